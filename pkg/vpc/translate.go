package vpc

import (
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
	// NoNamespaces are those that the spec names and that do not exist.
	NoNamespaces []string
	// Elsewhere are, as a sentence each, the namespaces of the spec whose pods are not in the Vpc.
	Elsewhere []string
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
	want.Add(LoadBalancerGroup(name), &nb.LoadBalancerGroup{Name: name})
	addBaselineACLs(&want, name)
	addHairpinACL(&want, name)
	if in.Default {
		for _, family := range []string{"v4", "v6"} {
			want.Add(NodeAddresses(name, family), &nb.AddressSet{Name: NodesSet(family)})
		}
	}
	addDoors(&want, in)
	if in.Default {
		// These rows are the join subnet's now (package subnet), and were the Vpc's in earlier versions.
		want.Left = []ovs.Sym{DefaultRoute(name, "v4"), DefaultRoute(name, "v6"), JoinACL(name), JoinReplies(name)}
	}
	problems := notImplemented(&in.Vpc.Spec)
	problems.AdviseUnheeded(nil, in.Vpc)
	in.adviseIdle(&problems)
	return want, problems
}

// addBaselineACLs gives the switches a stateful ACL, so that conntrack has every connection and its direction also while no
// policy exists.
//
// OVN commits connections to conntrack on switches that have a stateful ACL, and on no others. Without the ACL, conntrack
// first sees a connection that is older than a policy when the policy comes, and often by a reply of the server. Conntrack
// takes the server for the client then, and the real client's packets for replies, which no policy may stop. See adr/0007.
func addBaselineACLs(want *ovs.Desired, name string) {
	want.Add(Switches(name), &nb.PortGroup{Name: SwitchesGroup(name), ExternalIDs: map[string]string{"vpc": name}})
	want.Add(baselineACL(name), &nb.ACL{
		Direction: nb.ACLDirectionToLport, Tier: BaselineTier, Priority: 0, Match: "ip", Action: nb.ACLActionAllowRelated,
	}).In(ovs.GroupACLs.Of(Switches(name)))
	for tier := NodeTier; tier < BaselineTier; tier++ {
		// OVN marks a connection that a policy has ended (ct_mark.blocked). Where no ACL of a tier matches a packet of such a
		// connection, OVN allows the packet and clears the mark, without evaluating the tiers after it: every second packet
		// would pass.
		want.Add(nextTier(name, tier), &nb.ACL{
			Direction: nb.ACLDirectionToLport, Tier: tier, Priority: 0, Match: "ip", Action: nb.ACLActionPass,
		}).In(ovs.GroupACLs.Of(Switches(name)))
	}
}

// addHairpinACL lets a pod reach itself through a Service (hairpin), whatever NetworkPolicies say. The source address of a
// hairpinned packet does not tell that it is the pod's own: OVN translates it to the Service's address, so that the pod's reply
// comes to the switch too. But the switch sends the packet out of the port that it came in by, and flags.loopback tells that;
// otherwise only replies that the switch makes itself (ARP, ICMP) have the flag.
func addHairpinACL(want *ovs.Desired, name string) {
	want.Add(hairpinACL(name), &nb.ACL{
		Direction: nb.ACLDirectionToLport, Tier: PolicyTier, Priority: hairpinPriority, Match: "ip && flags.loopback",
		Action: nb.ACLActionAllowRelated,
	}).In(ovs.GroupACLs.Of(Switches(name)))
}

// hairpinPriority is above those of NetworkPolicies.
const hairpinPriority = 3000

// gone says whether the Vpc is being deleted and no Subnet is in it any more.
func (in Input) gone() bool { return in.Vpc.DeletionTimestamp != nil && len(in.Subnets) == 0 }

// adviseIdle tells what of the spec has no effect: Namespaces that do not exist or whose pods are elsewhere, a Subnet that is not in the Vpc.
func (in Input) adviseIdle(problems *reconcile.Problems) {
	if len(in.NoNamespaces) > 0 {
		problems.Advise("spec.namespaces", v1.ReasonNamespaceNotFound, "there is no namespace %s", reconcile.Few(in.NoNamespaces))
	}
	if subnet := in.Vpc.Spec.DefaultSubnet; subnet != "" && !slices.Contains(in.Subnets, subnet) {
		problems.Advise("spec.defaultSubnet", v1.ReasonSubnetNotFound, "the Vpc has no Subnet %s", subnet)
	}
	if len(in.Elsewhere) > 0 {
		problems.Advise("spec.namespaces", v1.ReasonSubnetNotFound,
			"%s: not in this Vpc, until it has a defaultSubnet or one that is bound to the namespace", reconcile.Few(in.Elsewhere))
	}
}

// actedOn are the fields of a spec that are acted on; package pool reads both, to choose the Subnets of pods.
var actedOn = []string{"defaultSubnet", "namespaces"}

// notImplemented lists the fields of a spec that ask for something a later version will do. A block that is there but not
// enabled asks for nothing.
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
