package service

import (
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// Scope says which clients of a virtual address get the same answer.
type Scope int

// The scopes, the narrower ones last.
const (
	Cluster Scope = iota
	Zone
	Node
)

// String is "cluster", "zone" or "node".
func (s Scope) String() string { return [...]string{"cluster", "zone", "node"}[s] }

// Topology is where clients run, as endpoints' hints say it: a node, and its zone.
type Topology struct{ Node, Zone string }

// name is the name of the node, or of the zone, that the scope speaks of.
func (t Topology) name(s Scope) string {
	if s == Zone {
		return t.Zone
	}
	return t.Node
}

// proxyNameLabel names somebody else who answers for the Service.
const proxyNameLabel = "service.kubernetes.io/service-proxy-name"

// ours says whether the Service has virtual addresses, and we are to answer for them.
func ours(s *corev1.Service) bool {
	_, others := s.Labels[proxyNameLabel]
	_, headless := s.Labels[corev1.IsHeadlessService]
	return !others && !headless && s.Spec.Type != corev1.ServiceTypeExternalName &&
		s.Spec.ClusterIP != "" && s.Spec.ClusterIP != corev1.ClusterIPNone
}

func isLocal(s *corev1.Service) bool {
	return s.Spec.InternalTrafficPolicy != nil && *s.Spec.InternalTrafficPolicy == corev1.ServiceInternalTrafficPolicyLocal
}

// hasLocalPorts says whether the Service has ports on the nodes, behind which are the endpoints of that node only.
func hasLocalPorts(s *corev1.Service) bool {
	if s.Spec.ExternalTrafficPolicy != corev1.ServiceExternalTrafficPolicyLocal {
		return false
	}
	for _, p := range s.Spec.Ports {
		if p.NodePort != 0 {
			return true
		}
	}
	return false
}

// preference is the scope that the Service itself asks for; policies aside.
func preference(s *corev1.Service) Scope {
	if d := s.Spec.TrafficDistribution; d != nil {
		if *d == corev1.ServiceTrafficDistributionPreferSameNode {
			return Node
		}
		return Zone
	}
	for _, key := range []string{corev1.AnnotationTopologyMode, corev1.DeprecatedAnnotationTopologyAwareHints} {
		if strings.EqualFold(s.Annotations[key], "auto") {
			return Zone
		}
	}
	return Cluster
}

// hinted is the scope that the hints of a slice are made for.
func hinted(slice *discoveryv1.EndpointSlice) Scope {
	scope := Cluster
	for _, e := range slice.Endpoints {
		zones, nodes := hints(e)
		if len(nodes) > 0 {
			return Node
		}
		if len(zones) > 0 {
			scope = Zone
		}
	}
	return scope
}

// Address is a virtual address of a Service.
type Address struct {
	netip.Addr
	// Scope says which of its clients get the same answer.
	Scope Scope
	// local says that only endpoints of the client's own node will do, and not only be preferred.
	local bool
	// cluster says that it is one of the cluster's own addresses, which nothing else answers to.
	cluster bool
}

// addresses are all virtual addresses of a Service: its ClusterIPs, and those that it has for the outside, which pods
// reach as well. Slices that have no hints do not matter.
func addresses(s *corev1.Service, slices []*discoveryv1.EndpointSlice) []Address {
	scope := preference(s)
	for _, slice := range slices {
		scope = max(scope, hinted(slice))
	}
	var out []Address
	for _, ip := range parse(s.Spec.ClusterIPs) {
		a := Address{Addr: ip, Scope: scope, local: isLocal(s), cluster: true}
		if a.local {
			a.Scope = Node
		}
		out = append(out, a)
	}
	// What a pod sends there never leaves the cluster, so that policies for traffic from outside do not concern it.
	outer := parse(s.Spec.ExternalIPs)
	for _, i := range s.Status.LoadBalancer.Ingress {
		// Only kube-proxy can tell by the source; and a proxy wants to see all traffic.
		if len(s.Spec.LoadBalancerSourceRanges) == 0 && (i.IPMode == nil || *i.IPMode == corev1.LoadBalancerIPModeVIP) {
			outer = append(outer, parse([]string{i.IP})...)
		}
	}
	for _, ip := range outer {
		out = append(out, Address{Addr: ip, Scope: scope})
	}
	return out
}

func parse(texts []string) []netip.Addr {
	var out []netip.Addr
	for _, text := range texts {
		if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
			out = append(out, a.Unmap())
		}
	}
	return out
}
