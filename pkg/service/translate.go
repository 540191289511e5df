package service

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/subnet"
	"github.com/woven-cni/woven/pkg/vpc"
)

// Input is all that a Service's rows depend on.
type Input struct {
	// Key is the Service's namespace/name.
	Key string
	// Service is nil when the object is gone.
	Service *corev1.Service
	// Slices are the EndpointSlices that carry the Service's name.
	Slices []*discoveryv1.EndpointSlice
	// Vpc is where the Service can be reached; NoVpc says that there is no such Vpc.
	Vpc   string
	NoVpc bool
	// Taken are the frontends of the Service that another one has, and its key.
	Taken map[string]string
	// Nodes are all nodes; read only for a Service that depends on them.
	Nodes []Host
}

// Host is a node: its name and zone, and its own addresses.
type Host struct {
	Topology
	Addrs []netip.Addr
}

// Translate makes the rows of one Service.
func Translate(in Input) (ovs.Desired, reconcile.Problems) {
	var want ovs.Desired
	if in.Service == nil || !ours(in.Service) {
		return want, nil
	}
	var problems reconcile.Problems
	if in.NoVpc {
		problems.Add("metadata.annotations["+v1.AnnotationVpc+"]", v1.ReasonVpcNotFound, "there is no Vpc %q", in.Vpc)
		return want, problems
	}
	t := tables{}
	rejected := map[string]string{}
	for _, a := range addresses(in.Service, in.Slices) {
		for _, port := range in.Service.Spec.Ports {
			front := frontend(a.Addr, port)
			if other, taken := in.Taken[front]; taken && !a.cluster {
				problems.Advise("", v1.ReasonAddressTaken, "%s is not answered, since it is Service %s's", front, other)
				continue
			}
			in.addPort(t, a, port)
		}
		if a.cluster && a.Scope != Cluster {
			rejected[a.String()] = ""
		}
	}
	in.addNodePorts(t)
	group := ovs.LoadBalancerGroupMembers.Of(vpc.LoadBalancerGroup(in.Vpc)).This()
	for _, k := range slices.SortedFunc(maps.Keys(t), compareKinds) {
		sym, row := in.row(k, t[k])
		want.Add(sym, row).Also(group)
	}
	in.addRetransmits(&want, t, group)
	if len(rejected) > 0 {
		// On a chassis without the variable, no backend is for the client's node or zone. Without this reject, the packet would
		// go on to the node as if the address were no Service's, and conntrack would keep a UDP client there.
		want.Add(rejectLoadBalancer(in.Key), &nb.LoadBalancer{
			Name: in.Key + "/refuse", Vips: rejected, Options: map[string]string{"reject": "true"},
		}).Also(group)
	}
	return want, problems
}

// kind tells the load balancers of a Service apart. Family is empty but for templates, which have one family each.
type kind struct {
	protocol corev1.Protocol
	family   string
}

func compareKinds(a, b kind) int {
	return cmp.Or(cmp.Compare(a.protocol, b.protocol), cmp.Compare(a.family, b.family))
}

// tables are the virtual addresses and backends of each load balancer.
type tables map[kind]map[string]string

func (t tables) add(k kind, vip string, to backends) {
	if t[k] == nil {
		t[k] = map[string]string{}
	}
	t[k][vip] = strings.Join(to.texts(), ",")
}

// addPort adds one port of a virtual address, with its backends: once if all clients have the same, else once a node or zone.
func (in Input) addPort(t tables, a Address, port corev1.ServicePort) {
	all := in.backendsOf(port, a.Addr)
	number := strconv.Itoa(int(port.Port))
	byTopology := kind{protocolOf(port), subnet.Family(a.Addr)}
	switch {
	case a.Scope == Cluster:
		t.add(kind{protocol: protocolOf(port)}, join(a.Addr, port.Port), all.usable())
	case a.local:
		for _, node := range all.nodes() { // elsewhere no backend is local, and the call is rejected
			t.add(byTopology, "^"+variable(a.Addr, Node, node)+":"+number, all.on(node))
		}
	default:
		for _, host := range in.Nodes {
			client := host.Topology
			if a.Scope == Zone {
				client.Node = ""
			}
			vip := "^" + variable(a.Addr, a.Scope, client.name(a.Scope)) + ":" + number
			if _, done := t[byTopology][vip]; !done {
				t.add(byTopology, vip, all.forTopology(client))
			}
		}
	}
}

// addNodePorts adds the NodePorts of a Service with externalTrafficPolicy Local, which lead to endpoints of that node only.
// The client keeps its source address there, and so the endpoint's reply would not come back by kube-proxy, to be translated.
// All other NodePorts are left to kube-proxy.
func (in Input) addNodePorts(t tables) {
	if !hasLocalPorts(in.Service) {
		return
	}
	families := map[bool]bool{} // by "is IPv6"
	for _, ip := range parse(in.Service.Spec.ClusterIPs) {
		families[ip.Is6()] = true
	}
	for _, host := range in.Nodes {
		for _, a := range host.Addrs {
			for _, port := range in.Service.Spec.Ports {
				if port.NodePort != 0 && families[a.Is6()] {
					t.add(kind{protocol: protocolOf(port)}, join(a, port.NodePort), in.backendsOf(port, a).on(host.Node))
				}
			}
		}
	}
}

func join(a netip.Addr, port int32) string {
	return netip.AddrPortFrom(a, uint16(port)).String() //nolint:gosec // the API server holds it below 65536
}

func protocolOf(p corev1.ServicePort) corev1.Protocol {
	return cmp.Or(p.Protocol, corev1.ProtocolTCP)
}

// protocolText is the protocol as OVN calls it.
func protocolText(p corev1.Protocol) string { return strings.ToLower(string(p)) }

// row is one load balancer.
func (in Input) row(k kind, vips map[string]string) (ovs.Sym, *nb.LoadBalancer) {
	protocol := protocolText(k.protocol)
	lb := &nb.LoadBalancer{Name: in.Key + "/" + protocol, Protocol: &protocol, Vips: vips, Options: options(k.protocol)}
	switch {
	case in.ovnKeepsAffinity(k):
		lb.Options["affinity_timeout"] = strconv.Itoa(in.affinityTimeout())
	case in.hasAffinity():
		lb.SelectionFields = affinityFields[k.family]
	}
	if k.family == "" {
		return loadBalancer(in.Key, k.protocol), lb
	}
	lb.Name += "/by-place-" + k.family
	lb.Options["template"], lb.Options["address-family"] = "true", "ip"+k.family
	return topologyLoadBalancer(in.Key, k.protocol, k.family), lb
}

// options are those of ovn-nb(5), Load_Balancer. A Service without endpoints refuses connections rather than letting
// them time out.
func options(protocol corev1.Protocol) map[string]string {
	o := map[string]string{"reject": "true"}
	if protocol == corev1.ProtocolUDP {
		// UDP has no end of a connection: without this, clients stay with a backend that is gone.
		o["ct_flush"] = "true"
	}
	return o
}

// VariablesIn is all that the template variables of a node's chassis depend on.
type VariablesIn struct {
	// Exists is false when the node is gone.
	Exists bool
	// Topology is the node and its zone.
	Topology Topology
	// VIPs are the virtual addresses whose backends depend on the client's zone or node.
	VIPs []Address
}

// TranslateVariables makes the row of one node. It depends on which Services and nodes there are, and not on endpoints:
// a change of a variable is a full recompute in northd.
//
// The row stays when nothing is in it. An ovn-controller that hears in one turn of a row that has gone and of one that has
// come for its chassis fails an assertion (template_vars_update, at least up to OVN 26.03): all nodes' would.
func TranslateVariables(in VariablesIn) (ovs.Desired, reconcile.Problems) {
	var want ovs.Desired
	values := map[string]string{}
	for _, vip := range in.VIPs {
		values[variable(vip.Addr, vip.Scope, in.Topology.name(vip.Scope))] = vip.String()
	}
	if in.Exists {
		// The daemon gives the chassis the name of its node.
		want.Add(variables(in.Topology.Node), &nb.ChassisTemplateVar{Chassis: in.Topology.Node, Variables: values})
	}
	return want, nil
}

// TopologyAddresses are the virtual addresses of a Service that are written as variables. Slices that have no hints do not matter.
func TopologyAddresses(s *corev1.Service, hinted []*discoveryv1.EndpointSlice) []Address {
	if !ours(s) {
		return nil
	}
	var out []Address
	for _, a := range addresses(s, hinted) {
		if a.Scope != Cluster {
			out = append(out, a)
		}
	}
	return out
}
