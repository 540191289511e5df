package service

import (
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/vpc"
)

// In is all that a Service's rows depend on.
type In struct {
	// Key is the Service's namespace/name.
	Key string
	// Service is nil when the object is gone.
	Service *corev1.Service
	// Slices are the EndpointSlices that carry the Service's name.
	Slices []*discoveryv1.EndpointSlice
	// Vpc is where the Service can be reached.
	Vpc string
}

// defaultAffinity is Kubernetes' default session affinity, in seconds.
const defaultAffinity = 10800

// Translate makes the rows of one Service.
func Translate(in In) (ovs.Desired, reconcile.Problems) {
	var want ovs.Desired
	if in.Service == nil || !hasClusterIP(in.Service) {
		return want, nil
	}
	vips := map[corev1.Protocol]map[string]string{}
	for _, port := range in.Service.Spec.Ports {
		protocol := port.Protocol
		if protocol == "" {
			protocol = corev1.ProtocolTCP
		}
		if vips[protocol] == nil {
			vips[protocol] = map[string]string{}
		}
		for _, ip := range in.Service.Spec.ClusterIPs {
			vip := net.JoinHostPort(ip, strconv.Itoa(int(port.Port)))
			vips[protocol][vip] = strings.Join(in.backends(port.Name, protocol, ip), ",")
		}
	}
	for _, protocol := range slices.Sorted(maps.Keys(vips)) {
		name := strings.ToLower(string(protocol))
		want.Add(balancer(in.Key, protocol), &nb.LoadBalancer{
			Name:     in.Key + "/" + name,
			Protocol: &name,
			Vips:     vips[protocol],
			Options:  options(in.Service, protocol),
		}).Also(ovs.LoadBalancerGroupMembers.Of(vpc.Balancers(in.Vpc)).This())
	}
	return want, nil
}

func hasClusterIP(s *corev1.Service) bool {
	return s.Spec.Type != corev1.ServiceTypeExternalName && s.Spec.ClusterIP != "" && s.Spec.ClusterIP != corev1.ClusterIPNone
}

// options are those of ovn-nb(5), Load_Balancer. A Service without endpoints refuses connections rather than letting
// them time out.
func options(s *corev1.Service, protocol corev1.Protocol) map[string]string {
	o := map[string]string{"reject": "true"}
	if protocol == corev1.ProtocolUDP {
		// UDP has no end of a connection: without this, clients stay with a backend that is gone.
		o["ct_flush"] = "true"
	}
	if s.Spec.SessionAffinity == corev1.ServiceAffinityClientIP {
		timeout := int32(defaultAffinity)
		if c := s.Spec.SessionAffinityConfig; c != nil && c.ClientIP != nil && c.ClientIP.TimeoutSeconds != nil {
			timeout = *c.ClientIP.TimeoutSeconds
		}
		o["affinity_timeout"] = strconv.Itoa(int(timeout))
	}
	return o
}

// backends are the endpoints of one port in the family of vip, sorted. While none is ready, those that still serve
// although they are terminating stand in, as KEP-1669 asks.
func (in In) backends(port string, protocol corev1.Protocol, vip string) []string {
	var ready, draining []string
	family := discoveryv1.AddressTypeIPv4
	if strings.Contains(vip, ":") {
		family = discoveryv1.AddressTypeIPv6
	}
	for _, slice := range in.Slices {
		if slice.AddressType != family {
			continue
		}
		number := portNumber(slice, port, protocol)
		if number == "" {
			continue
		}
		for _, e := range slice.Endpoints {
			to := &ready
			switch c := e.Conditions; {
			case c.Ready == nil || *c.Ready:
			case c.Serving != nil && *c.Serving && c.Terminating != nil && *c.Terminating:
				to = &draining
			default:
				continue
			}
			for _, address := range e.Addresses {
				*to = append(*to, net.JoinHostPort(address, number))
			}
		}
	}
	if len(ready) == 0 {
		ready = draining
	}
	slices.Sort(ready)
	return slices.Compact(ready)
}

// portNumber is the target port that a slice has for a Service's port, or "".
func portNumber(slice *discoveryv1.EndpointSlice, name string, protocol corev1.Protocol) string {
	for _, p := range slice.Ports {
		named := p.Name != nil && *p.Name == name || p.Name == nil && name == ""
		spoken := p.Protocol != nil && *p.Protocol == protocol || p.Protocol == nil && protocol == corev1.ProtocolTCP
		if named && spoken && p.Port != nil {
			return strconv.Itoa(int(*p.Port))
		}
	}
	return ""
}
