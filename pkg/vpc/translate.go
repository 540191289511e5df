package vpc

import (
	"net/netip"
	"slices"

	"k8s.io/utils/ptr"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/meter"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/spec"
)

// Input is all that a Vpc's rows depend on.
type Input struct {
	// Vpc is nil when the object is gone.
	Vpc *v1.Vpc
	// Default says that this is the Vpc whose traffic leaves by the nodes.
	Default bool
	// Subnets are the names of the subnets in it; they only go into the status.
	Subnets []string
	// JoinGateways are the default Vpc's own addresses on the join subnet; empty for every other Vpc.
	JoinGateways []netip.Addr
	// JoinCIDRs are the join subnet's, as JoinGateways.
	JoinCIDRs []netip.Prefix
}

// routerOptions keep a router's state in proportion to its neighbours, not to its traffic (ovn-nb(5), Logical_Router).
var routerOptions = map[string]string{
	"always_learn_from_arp_request": "false",
	"dynamic_neigh_routers":         "true",
	"mac_binding_age_threshold":     "300",
}

// Tiers of ACLs, in the order in which OVN asks them: the first that has an answer decides.
const (
	// NodeTier lets a pod's own node through, whatever policies say.
	NodeTier = iota
	// AdminTier has the policies that those of namespaces cannot overrule, PolicyTier NetworkPolicies, and BaselineTier
	// what holds where neither says anything.
	AdminTier
	PolicyTier
	BaselineTier
)

// Translate makes the rows of one Vpc.
func Translate(in Input) (ovs.Desired, reconcile.Problems) {
	var want ovs.Desired
	if in.Vpc == nil || in.gone() {
		return want, nil
	}
	name := in.Vpc.Name
	want.Add(Router(name), &nb.LogicalRouter{Name: name, Options: routerOptions, Copp: ptr.To(meter.Copp.UUID())})
	want.Add(Balancers(name), &nb.LoadBalancerGroup{Name: name})
	addMemory(&want, name)
	addSelf(&want, name)
	if in.Default {
		for _, family := range []string{"v4", "v6"} {
			want.Add(NodeAddresses(name, family), &nb.AddressSet{Name: NodesSet(family)})
		}
	}
	addDoors(&want, in)
	for _, gateway := range in.JoinGateways {
		family, everywhere := "v4", "0.0.0.0/0"
		if gateway.Is6() {
			family, everywhere = "v6", "::/0"
		}
		// The routing stage has to let a packet through before the policy stage can send it to its own node; the next
		// hop named here is only used by a packet that no node's policy takes, which then goes nowhere.
		want.Add(defaultRoute(name, family), &nb.LogicalRouterStaticRoute{IPPrefix: everywhere, Nexthop: gateway.String()}).
			In(ovs.RouterStaticRoutes.Of(Router(name)))
	}
	return want, notImplemented(&in.Vpc.Spec)
}

// addMemory lets the switches remember every connection, and who began it, also while no policy is there.
//
// OVN commits connections on switches that have a stateful ACL, and on no others. Without one, connections that are older
// than a policy are seen first when the policy comes, and often a reply of the server first: they are then taken for
// connections that the server began, whose "replies", the client's packets, no policy may stop. See adr/0007.
func addMemory(want *ovs.Desired, name string) {
	want.Add(Switches(name), &nb.PortGroup{Name: SwitchesGroup(name), ExternalIDs: map[string]string{"vpc": name}})
	want.Add(memory(name), &nb.ACL{
		Direction: nb.ACLDirectionToLport, Tier: BaselineTier, Priority: 0, Match: "ip", Action: nb.ACLActionAllowRelated,
	}).In(ovs.GroupACLs.Of(Switches(name)))
	for tier := NodeTier; tier < BaselineTier; tier++ {
		// A connection that a policy has ended is marked. Where no ACL of a tier speaks of a packet, OVN takes a marked
		// one for allowed, and takes the mark away, without asking the tiers after it: every second packet would pass.
		want.Add(nextTier(name, tier), &nb.ACL{
			Direction: nb.ACLDirectionToLport, Tier: tier, Priority: 0, Match: "ip", Action: nb.ACLActionPass,
		}).In(ovs.GroupACLs.Of(Switches(name)))
	}
}

// addSelf lets a pod reach itself through a Service, whatever NetworkPolicies say. That such a packet comes from the pod, its
// source does not say: OVN makes the Service's address of it, so that the answer comes by here too. But it is a packet that
// the switch sends back to where it came from, and besides only the switch's own answers are that.
func addSelf(want *ovs.Desired, name string) {
	want.Add(self(name), &nb.ACL{
		Direction: nb.ACLDirectionToLport, Tier: PolicyTier, Priority: selfPriority, Match: "ip && flags.loopback",
		Action: nb.ACLActionAllowRelated,
	}).In(ovs.GroupACLs.Of(Switches(name)))
}

// selfPriority is above those of NetworkPolicies.
const selfPriority = 3000

// gone says whether the Vpc is to be deleted and no Subnet is in it any more.
func (in Input) gone() bool { return in.Vpc.DeletionTimestamp != nil && len(in.Subnets) == 0 }

// actedOn are the fields of a spec that are acted on: by who chooses the Subnets of pods.
var actedOn = []string{"defaultSubnet", "namespaces"}

// notImplemented lists what the spec asks for that a later version will do. What is there to be switched on, and is not, asks
// for nothing.
func notImplemented(s *v1.VpcSpec) reconcile.Problems {
	var ps reconcile.Problems
	for _, field := range spec.Fields(s) {
		switch {
		case slices.Contains(actedOn, field):
		case field == "bfdPort" && !s.BFDPort.Enabled, field == "dynamicRouting" && !s.DynamicRouting.Enabled:
		default:
			ps.Advise("spec."+field, v1.ReasonNotImplemented, "not implemented yet; the rest of the Vpc is in force")
		}
	}
	return ps
}
