package node

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/nodeaddr"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/engine"
	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/pkg/port"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/subnet"
	"github.com/woven-cni/woven/pkg/vpc"
)

// Input is all that a Node's rows depend on.
type Input struct {
	// Name is the node's.
	Name string
	// Exists is false when the object is gone.
	Exists bool
	// Node is the object, for the report.
	Node *corev1.Node
	// Join is the subnet that the nodes are on.
	Join subnet.Subnet
	// Lease is the node's address there; the zero Lease while none could be had, and Shortage says why.
	Lease    ipam.Lease
	Shortage error
	// HostAddrs are the InternalIPs of the Node that are accepted as its own, Refused are the others.
	HostAddrs []netip.Addr
	Refused   []nodeaddr.Refusal
}

// Priorities of the router policies. They lie below subnet.localPolicyPriority, and a node's own address comes before
// the way out.
const (
	hostPolicyPriority   = 30000
	egressPolicyPriority = 29000
)

const ownACLPriority = 1000

// Translate makes the rows of one Node.
func Translate(in Input) (ovs.Desired, reconcile.Problems) {
	var want ovs.Desired
	if !in.Exists || in.Shortage != nil {
		return want, shortage(in)
	}
	row := port.Port{
		Owner: Owner(in.Name), Name: PortName(in.Name), Switch: subnet.PortsOf(in.Join.Name), Lease: in.Lease,
		// A node forwards for the outside, with the addresses of the outside.
		Security: port.Anybody,
	}.AddTo(&want)
	for _, host := range in.HostAddrs {
		row.Also(ovs.SetAddresses.Of(vpc.NodeAddresses(in.Join.VPC, subnet.Family(host))).Value(host.String()))
	}
	for _, own := range []netip.Addr{in.Lease.V4, in.Lease.V6} {
		if !own.IsValid() {
			continue
		}
		in.addEgressPolicy(&want, own)
		in.addHostPolicies(&want, own)
		in.addOwnACL(&want, own)
	}
	return want, nil
}

func shortage(in Input) reconcile.Problems {
	var ps reconcile.Problems
	if in.Exists {
		ps.Add("", v1.ReasonNoFreeAddress, "the node gets no address on subnet %s: %v", in.Join.Name, in.Shortage)
	}
	return ps
}

// addEgressPolicy sends what leaves the cluster from a pod of this node to the node.
//
// The router's pipeline runs on the chassis of the pod that sends, so asking where the node's own port is resident
// selects the pods of the node, without a group that every pod has to join, and each chassis installs one such flow,
// however many nodes and subnets there are. See docs/adr/0003-distributed-gateway.md.
func (in Input) addEgressPolicy(want *ovs.Desired, own netip.Addr) {
	family := subnet.Family(own)
	want.Add(egressPolicy(in.Name, family), &nb.LogicalRouterPolicy{
		Priority: egressPolicyPriority,
		Match:    fmt.Sprintf("ip%s && is_chassis_resident(%q)", family[1:], PortName(in.Name)),
		Action:   nb.LogicalRouterPolicyActionReroute,
		Nexthops: []string{own.String()},
	}).In(ovs.RouterPolicies.Of(vpc.Router(in.Join.VPC)))
}

// addHostPolicies sends packets to the node's own addresses to it through OVN, so that the node sees the pod's address as the
// client, wherever the pod runs. Replies of pods, which have the reply mark, leave by the pod's own node: a node calls pods from
// its address on the join subnet, and if it called from another one, it called a NodePort of the pod's node, where kube-proxy has
// to translate the reply back.
func (in Input) addHostPolicies(want *ovs.Desired, own netip.Addr) {
	hosts := in.hosts(own)
	if len(hosts) == 0 {
		return
	}
	family := subnet.Family(own)
	want.Add(hostPolicy(in.Name, family), &nb.LogicalRouterPolicy{
		Priority: hostPolicyPriority,
		Match:    hostMatch(family, hosts),
		Action:   nb.LogicalRouterPolicyActionReroute,
		Nexthops: []string{own.String()},
	}).In(ovs.RouterPolicies.Of(vpc.Router(in.Join.VPC)))
}

// addOwnACL lets the node reach its own pods, whatever policies say: the kubelet probes them.
//
// An ACL for packets to a port is evaluated on the chassis of that port, so this ACL is about pods on the node and no others.
// It is one row a node, and each chassis installs its own.
func (in Input) addOwnACL(want *ovs.Desired, own netip.Addr) {
	family := subnet.Family(own)
	sources := append([]string{own.String()}, in.hosts(own)...)
	want.Add(ownACL(in.Name, family), &nb.ACL{
		Direction: nb.ACLDirectionToLport, Tier: vpc.NodeTier, Priority: ownACLPriority, Action: nb.ACLActionAllowRelated,
		Match: fmt.Sprintf("ip%s.src == {%s} && is_chassis_resident(%q)", family[1:], strings.Join(sources, ", "), PortName(in.Name)),
	}).In(ovs.GroupACLs.Of(vpc.Switches(in.Join.VPC)))
}

// hosts are the InternalIPs of the family of own.
func (in Input) hosts(own netip.Addr) []string {
	var hosts []string
	for _, host := range in.HostAddrs {
		if host.Is4() == own.Is4() {
			hosts = append(hosts, host.String())
		}
	}
	return hosts
}

// hostMatch is the match of a host policy.
func hostMatch(family string, hosts []string) string {
	return fmt.Sprintf("ip%s.dst == {%s} && pkt.mark[%d] == 0", family[1:], strings.Join(hosts, ", "), subnet.ReplyMarkBit)
}

// Holds tells by the rows in the database which addresses a node has: what a node has in force is not taken from it by
// what another one reports later, nor by a restart.
func Holds(db *engine.DB) func(node string, a netip.Addr) bool {
	return func(node string, a netip.Addr) bool {
		for _, row := range db.Owned(Owner(node)) {
			policy, ok := row.Model.(*nb.LogicalRouterPolicy)
			if ok && row.Sym == hostPolicy(node, subnet.Family(a)) && slices.Contains(hostsOf(policy.Match), a.String()) {
				return true
			}
		}
		return false
	}
}

// hostsOf is the inverse of hostMatch.
func hostsOf(match string) []string {
	_, after, _ := strings.Cut(match, "{")
	list, _, _ := strings.Cut(after, "}")
	return strings.Split(list, ", ")
}
