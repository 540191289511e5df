package v1

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"k8s.io/apimachinery/pkg/types"
)

// Allocation is the controller's answer to one interface of a pod, or to a node: what it has on which subnet. Annotations
// carry it from the controller, which encodes it, to the node, which decodes it; there is no other place for either.
//
// +kubebuilder:object:generate=false
type Allocation struct {
	// For is the UID of the pod that the answer is for; empty for a node, whose name is its own.
	For types.UID
	// Subnet and Router are the names of the subnet and its Vpc.
	Subnet, Router string
	// Port is the name of a node's switch port; a pod's follows from its name.
	Port      string
	MAC       net.HardwareAddr
	Addresses []netip.Addr
	// CIDRs and Gateways are the subnet's. The controller leaves them out as long as it does not know them for sure.
	CIDRs    []netip.Prefix
	Gateways []netip.Addr
}

// key is the key of an annotation for another provider than the one it is written for in this package.
func key(provider, annotation string) string {
	return provider + strings.TrimPrefix(annotation, Provider)
}

// Annotations encodes the answer for a provider. What is empty is left out.
func (a Allocation) Annotations(provider string) map[string]string {
	out := map[string]string{key(provider, AnnotationAllocated): "true"}
	if a.For != "" {
		out[key(provider, AnnotationAllocatedUID)] = string(a.For)
		out[key(provider, AnnotationRouted)] = "true"
	}
	for annotation, text := range map[string]string{
		AnnotationLogicalSwitch: a.Subnet, AnnotationLogicalRouter: a.Router, AnnotationPortName: a.Port,
		AnnotationMACAddress: a.MAC.String(), AnnotationIPAddress: join(a.Addresses),
		AnnotationCIDR: join(a.CIDRs), AnnotationGateway: join(a.Gateways),
	} {
		if text != "" {
			out[key(provider, annotation)] = text
		}
	}
	return out
}

func join[T fmt.Stringer](values []T) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = v.String()
	}
	return strings.Join(texts, ",")
}

// AllocatedFor is the UID that an answer among the annotations is for: empty without an answer, and for a node's. An answer to
// another UID is a copy from another object, and none.
func AllocatedFor(annotations map[string]string, provider string) types.UID {
	if annotations[key(provider, AnnotationAllocated)] != "true" {
		return ""
	}
	return types.UID(annotations[key(provider, AnnotationAllocatedUID)])
}

// DecodeAllocation reads the answer for a provider; nil if there is none yet.
func DecodeAllocation(annotations map[string]string, provider string) (*Allocation, error) {
	if annotations[key(provider, AnnotationAllocated)] != "true" {
		return nil, nil
	}
	text := func(annotation string) string { return annotations[key(provider, annotation)] }
	a := &Allocation{
		For:    AllocatedFor(annotations, provider),
		Subnet: text(AnnotationLogicalSwitch), Router: text(AnnotationLogicalRouter), Port: text(AnnotationPortName),
	}
	var err error
	fail := func(annotation string) (*Allocation, error) {
		return nil, fmt.Errorf("annotation %s: %w", key(provider, annotation), err)
	}
	if a.MAC, err = net.ParseMAC(text(AnnotationMACAddress)); err != nil {
		return fail(AnnotationMACAddress)
	}
	if a.Addresses, err = split(text(AnnotationIPAddress), netip.ParseAddr); err != nil {
		return fail(AnnotationIPAddress)
	}
	if len(a.Addresses) == 0 {
		return nil, fmt.Errorf("annotation %s is empty", key(provider, AnnotationIPAddress))
	}
	if a.CIDRs, err = split(text(AnnotationCIDR), netip.ParsePrefix); err != nil {
		return fail(AnnotationCIDR)
	}
	if a.Gateways, err = split(text(AnnotationGateway), netip.ParseAddr); err != nil {
		return fail(AnnotationGateway)
	}
	return a, nil
}

func split[T any](text string, parse func(string) (T, error)) ([]T, error) {
	var out []T
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		value, err := parse(part)
		if err != nil {
			return nil, err //nolint:wrapcheck // the caller names the annotation
		}
		out = append(out, value)
	}
	return out, nil
}

// Prefixes are the addresses, each with the length of the CIDR that it is in; of one that is in none it is the whole address.
func (a Allocation) Prefixes() []netip.Prefix {
	out := make([]netip.Prefix, 0, len(a.Addresses))
	for _, address := range a.Addresses {
		bits := address.BitLen()
		for _, cidr := range a.CIDRs {
			if cidr.Contains(address) {
				bits = cidr.Bits()
			}
		}
		out = append(out, netip.PrefixFrom(address, bits))
	}
	return out
}
