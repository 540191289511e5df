package subnet

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"strings"

	"k8s.io/utils/ptr"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/meter"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/pkg/port"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/vpc"
)

// Input is all that a Subnet's rows depend on.
type Input struct {
	// Subnet is nil when the object is gone.
	Subnet *v1.Subnet
	// DefaultVpc is the name of the Vpc whose traffic leaves by the nodes.
	DefaultVpc string
	// JoinSubnet is the name of the subnet of the nodes, DefaultSubnet that of the subnet of pods that nothing binds to another.
	JoinSubnet, DefaultSubnet string
	// EnableLB is whether subnets that do not say so get the Vpc's Services.
	EnableLB bool
	// Users are the ports that have addresses of the subnet; read only when the object is to be deleted.
	Users []port.Key
	// InForce is what was accepted before; nil is nothing. While the spec is refused, the rows are those of this.
	InForce *Subnet
	// CutOff are the ports that the spec would cut off.
	CutOff []port.Key
	// VpcGoing says that the Vpc is being deleted.
	VpcGoing bool
	// NoNamespaces are those that the spec names and that do not exist.
	NoNamespaces []string
	// Taken are the ranges that this subnet must keep clear of.
	Taken []Taken
}

// Taken is a range that is spoken for, and by whom.
type Taken struct {
	Prefix netip.Prefix
	// Reason is what the condition calls the collision.
	Reason string
	// Who completes "overlaps …" in the condition's message.
	Who string
	// Subnet is the name of the one that has the range; "" when it is no Subnet's.
	Subnet string
}

// localPolicyPriority is above every policy that sends traffic out by a node: what goes to a subnet stays in OVN.
const localPolicyPriority = 31000

// Translate makes the rows of one Subnet.
func Translate(in Input) (ovs.Desired, reconcile.Problems) {
	var want ovs.Desired
	if in.Subnet == nil || in.gone() {
		return want, nil
	}
	s, problems := verdict(in)
	if len(problems.Blocking()) > 0 {
		if in.InForce == nil {
			return want, problems
		}
		s = *in.InForce
	}
	sw := want.Add(Switch(s.Name), &nb.LogicalSwitch{Name: s.Name, Copp: ptr.To(meter.Copp.UUID())})
	if s.loadBalanced(in) {
		sw.Also(ovs.SwitchLoadBalancerGroups.Of(Switch(s.Name)).Row(vpc.LoadBalancerGroup(s.VPC)))
	}
	want.Add(routerPort(s.Name), &nb.LogicalRouterPort{
		Name:     s.VPC + "-" + s.Name,
		MAC:      s.routerMAC().String(),
		Networks: s.gatewayNetworks(),
	}).In(ovs.RouterPorts.Of(vpc.Router(s.VPC)))
	up := want.Add(switchPort(s.Name), &nb.LogicalSwitchPort{
		Name:      s.Name + "-" + s.VPC,
		Type:      "router",
		Addresses: []string{"router"},
		Options:   map[string]string{"router-port": s.VPC + "-" + s.Name},
	}).In(ovs.SwitchPorts.Of(Switch(s.Name)))
	if s.Name != in.JoinSubnet {
		up.Also(ovs.GroupPorts.Of(vpc.Switches(s.VPC)).This())
	}
	if s.VPC == in.DefaultVpc {
		s.addLocalPolicies(&want)
		s.clearReplyMark(&want)
		if s.Name == in.JoinSubnet {
			s.addJoin(&want)
		} else {
			s.markReplies(&want)
		}
	}
	return want, problems
}

// verdict reads the spec, alone and beside what is taken.
func verdict(in Input) (Subnet, reconcile.Problems) {
	s, problems := Parse(in.Subnet, in.DefaultVpc)
	if in.Subnet.Spec.Default && s.Name != in.DefaultSubnet {
		problems.Advise("spec.default", v1.ReasonNotImplemented,
			"the default subnet is %s, by the controller's --default-subnet or the defaultSubnet of a Vpc", in.DefaultSubnet)
	}
	in.adviseIdle(s, &problems)
	if in.VpcGoing && in.InForce == nil {
		problems.Add("spec.vpc", v1.ReasonVpcTerminating, "Vpc %s is being deleted; the subnet comes into force when there is one of the name again", s.VPC)
	}
	if len(problems.Blocking()) == 0 {
		s.refuseTaken(in.Taken, &problems)
		s.refuseToCutOff(in, &problems)
	}
	return s, problems
}

// ownersShown is how many of the owners of addresses a condition names.
const ownersShown = 3

// named are the first of the owners, and how many more there are.
func named(owners []port.Key) string {
	names := make([]string, 0, ownersShown+1)
	for _, o := range owners[:min(len(owners), ownersShown)] {
		names = append(names, o.String())
	}
	if more := len(owners) - ownersShown; more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

// refuseToCutOff refuses an edit that would take away an address that a pod has, or move the gateway that a pod was told; what was
// accepted before stays in force. A pod is told address and gateway once, when it starts.
func (s Subnet) refuseToCutOff(in Input, problems *reconcile.Problems) {
	if len(in.CutOff) == 0 {
		return
	}
	field := "spec.cidrBlock"
	if in.InForce != nil && in.InForce.CIDRs == s.CIDRs {
		field = "spec.gateway"
	}
	problems.Add(field, v1.ReasonCutsOff, "it would cut off %d: %s; what was accepted before stays in force until they are gone",
		len(in.CutOff), named(in.CutOff))
}

// ReplyMarkBit is the bit of pkt.mark that a reply has, as conntrack on the pod's switch knows it (the reply mark). It is one bit,
// so that "without the mark" is one flow and not one for each bit, and keeps clear of kube-proxy's bits, 14 and 15.
const ReplyMarkBit = 24

// replyMarkPriority is below the priorities of all QoS rules that users may ask for.
const replyMarkPriority = 10

// markReplies has the switch mark replies for the router (the reply mark). If another node called by a NodePort of the pod's node,
// only kube-proxy on the pod's node can translate the reply back, so the router must not send the reply straight to the caller's
// node. The router has no conntrack to tell a reply by, but a mark passes from the switch to the router. The client's
// port tells calls that came by a NodePort of this node from calls within OVN (v1.FirstSelfCallPort).
//
// Every reply that leaves the switch for the router is marked, whoever the client is: matching the nodes' addresses here would
// cost each chassis a flow for each node on each switch. The router matches them, once (docs/adr/0012).
func (s Subnet) markReplies(want *ovs.Desired) {
	want.Add(replyMark(s.Name), &nb.QoS{
		Direction: nb.QoSDirectionToLport,
		Priority:  replyMarkPriority,
		// The group has one port of this switch, the one to the router. With the group and not the port in it, the match is
		// the same on all switches, and northd makes one logical flow for all of them.
		Match: fmt.Sprintf("outport == @%s && ct.est && ct.rpl", vpc.SwitchesGroup(s.VPC)) +
			fmt.Sprintf(" && (tcp.dst < %d || udp.dst < %[1]d || sctp.dst < %[1]d)", v1.FirstSelfCallPort),
		Action: map[string]int{nb.QoSActionMark: 1 << ReplyMarkBit},
	}).In(ovs.SwitchQoSRules.Of(Switch(s.Name)))
}

// clearReplyMark takes the reply mark off packets that come from the router. The userspace datapath would find no route for the
// tunnel of a packet that has a mark, and the kernel's datapath would show the mark to the node's firewall.
func (s Subnet) clearReplyMark(want *ovs.Desired) {
	want.Add(replyMarkCleared(s.Name), &nb.QoS{
		Direction: nb.QoSDirectionFromLport,
		Priority:  replyMarkPriority,
		Match:     fmt.Sprintf("pkt.mark[%d] == 1", ReplyMarkBit),
		Action:    map[string]int{nb.QoSActionMark: 0},
	}).In(ovs.SwitchQoSRules.Of(Switch(s.Name)))
}

// gone says whether the subnet is being deleted and nobody has an address of it any more. Until then it carries its pods.
func (in Input) gone() bool { return in.Subnet.DeletionTimestamp != nil && len(in.Users) == 0 }

// addLocalPolicies keeps packets to the subnet's addresses within OVN, ahead of the nodes' policies, which send all other packets
// out by a node.
func (s Subnet) addLocalPolicies(want *ovs.Desired) {
	for _, cidr := range s.prefixes() {
		family := Family(cidr.Addr())
		want.Add(localPolicy(s.Name, family), &nb.LogicalRouterPolicy{
			Priority: localPolicyPriority,
			Match:    fmt.Sprintf("%s.dst == %s", matchField(family), cidr),
			Action:   nb.LogicalRouterPolicyActionAllow,
		}).In(ovs.RouterPolicies.Of(vpc.Router(s.VPC)))
	}
}

func (s Subnet) refuseTaken(taken []Taken, problems *reconcile.Problems) {
	for _, cidr := range s.prefixes() {
		for _, t := range taken {
			if cidr.Overlaps(t.Prefix) {
				problems.Add("spec.cidrBlock", t.Reason, "%s overlaps %s", cidr, t.Who)
			}
		}
	}
}

func (s Subnet) loadBalanced(in Input) bool {
	if s.EnableLB != nil {
		return *s.EnableLB
	}
	// Nodes reach Services by kube-proxy; a load balancer on the join subnet's switch would only hide the source a second time.
	return in.EnableLB && s.Name != in.JoinSubnet
}

func (s Subnet) gatewayNetworks() []string {
	var networks []string
	for _, cidr := range s.prefixes() {
		networks = append(networks, netip.PrefixFrom(s.gateway(cidr), cidr.Bits()).String())
	}
	return networks
}

// routerMAC is the same for ever: pods keep the gateway's MAC in their neighbour tables while OVN's databases are made
// anew. The first byte marks it as unicast and locally administered (IEEE 802).
func (s Subnet) routerMAC() ipam.MAC {
	sum := sha256.Sum256([]byte(s.VPC + "/" + s.Name))
	return ipam.MAC(append([]byte{0x0e}, sum[:5]...))
}

// Family is "v4" or "v6": the last part of the names of rows that exist once a family.
func Family(a netip.Addr) string {
	if a.Is4() {
		return "v4"
	}
	return "v6"
}

func matchField(family string) string { return "ip" + family[1:] }
