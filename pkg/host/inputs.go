package host

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	kubeovnv1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/spec"
)

// Node is what the cluster knows about this node.
type Node struct {
	InternalIPs []netip.Addr
	// TunnelInterface is what the node's annotation asks for.
	TunnelInterface string
	// Join is nil until the controller has given the node its place on the join subnet.
	Join *Join
}

// Join is the node's place on the join subnet.
type Join struct {
	MAC       net.HardwareAddr
	Addresses []netip.Prefix
	Gateways  []netip.Addr
}

// ParseNode reads a Node object.
func ParseNode(obj *corev1.Node) (Node, error) {
	node := Node{TunnelInterface: obj.Annotations[kubeovnv1.AnnotationTunnelInterface]}
	for _, address := range obj.Status.Addresses {
		if address.Type != corev1.NodeInternalIP {
			continue
		}
		if ip, err := netip.ParseAddr(address.Address); err == nil {
			node.InternalIPs = append(node.InternalIPs, ip)
		}
	}
	if obj.Annotations[kubeovnv1.AnnotationAllocated] != "true" {
		return node, nil
	}
	join, err := parseJoin(obj.Annotations)
	if err != nil {
		return node, fmt.Errorf("reading the annotations of node %s: %w", obj.Name, err)
	}
	node.Join = join
	return node, nil
}

func parseJoin(annotations map[string]string) (*Join, error) {
	mac, err := net.ParseMAC(annotations[kubeovnv1.AnnotationMACAddress])
	if err != nil {
		return nil, fmt.Errorf("annotation %s: %w", kubeovnv1.AnnotationMACAddress, err)
	}
	join := &Join{MAC: mac}
	var cidrs []netip.Prefix
	for _, text := range list(annotations[kubeovnv1.AnnotationCIDR]) {
		cidr, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("annotation %s: %w", kubeovnv1.AnnotationCIDR, err)
		}
		cidrs = append(cidrs, cidr)
	}
	for _, text := range list(annotations[kubeovnv1.AnnotationIPAddress]) {
		address, err := netip.ParseAddr(text)
		if err != nil {
			return nil, fmt.Errorf("annotation %s: %w", kubeovnv1.AnnotationIPAddress, err)
		}
		bits := address.BitLen()
		if i := slices.IndexFunc(cidrs, func(p netip.Prefix) bool { return p.Contains(address) }); i >= 0 {
			bits = cidrs[i].Bits()
		}
		join.Addresses = append(join.Addresses, netip.PrefixFrom(address, bits))
	}
	for _, text := range list(annotations[kubeovnv1.AnnotationGateway]) {
		gateway, err := netip.ParseAddr(text)
		if err != nil {
			return nil, fmt.Errorf("annotation %s: %w", kubeovnv1.AnnotationGateway, err)
		}
		join.Gateways = append(join.Gateways, gateway)
	}
	return join, nil
}

func list(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

// Subnet is what a node has to know of a subnet.
type Subnet struct {
	Name  string
	MTU   int
	Join  bool
	CIDRs []netip.Prefix
	// Routed tells that the subnet is on the default router, so that the node reaches it over the join subnet.
	Routed bool
	NAT    bool
}

// NewSubnet takes from what is in force of a Subnet what a node has to know, in a cluster whose default Vpc and join subnet
// have these names.
func NewSubnet(s spec.Subnet, vpc, join string) Subnet {
	return Subnet{Name: s.Name, MTU: s.MTU, Join: s.Name == join, NAT: s.NAT, Routed: s.VPC == vpc, CIDRs: s.Prefixes()}
}

// inputs are all that the desired state follows from, beside the kernel and Open vSwitch.
type inputs struct {
	node    Node
	subnets map[string]Subnet
	remotes []string
}

// clusterCIDRs are the CIDRs on the default router, the join subnet's with them.
func (in inputs) clusterCIDRs() (all, natted, routed []netip.Prefix) {
	for _, subnet := range in.subnets {
		if !subnet.Routed {
			continue
		}
		all = append(all, subnet.CIDRs...)
		if subnet.NAT {
			natted = append(natted, subnet.CIDRs...)
		}
		if !subnet.Join {
			routed = append(routed, subnet.CIDRs...)
		}
	}
	compare := func(a, b netip.Prefix) int { return a.Compare(b) }
	for _, l := range [][]netip.Prefix{all, natted, routed} {
		slices.SortFunc(l, compare)
	}
	return withoutContained(all), withoutContained(natted), withoutContained(routed)
}

// withoutContained drops prefixes that another one contains: intervals of a set must not overlap.
func withoutContained(prefixes []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range prefixes {
		contained := slices.ContainsFunc(prefixes, func(other netip.Prefix) bool {
			return other != p && other.Bits() <= p.Bits() && other.Contains(p.Addr())
		})
		if !contained && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}
