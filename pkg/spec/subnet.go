package spec

import (
	"fmt"
	"net/netip"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ipam"
)

// Subnet is what a v1.Subnet means, in typed values.
type Subnet struct {
	// Name is the object's and the switch's.
	Name string
	// VPC is the Vpc it is in; never empty.
	VPC string
	// CIDRs are its addresses.
	CIDRs ipam.Prefixes
	// Gateways are the router's addresses, one in each of CIDRs.
	Gateways ipam.Addrs
	// Excludes are the addresses that are never given out.
	Excludes ipam.Ranges
	// ExcludeTexts are Excludes as they should read: normalised, with the gateways among them as Kube-OVN's users know it.
	ExcludeTexts []string
	// NAT says that what leaves the cluster takes the node's address.
	NAT bool
	// MTU is that of the pods' interfaces; 0: worked out from the tunnels.
	MTU int
	// EnableLB says whether the Vpc's Services are reached from here; nil leaves it to the controller's flag.
	EnableLB *bool
}

// Fault is something in a spec that its author has to mend.
type Fault struct {
	// Field is the JSON path of the field, Reason the word for the condition, Message the sentence for people.
	Field, Reason, Message string
}

// Asked reads the spec of a Subnet as it is now. The CRD's own validation has refused most of what can be wrong; what is
// checked here is what an object stored before that validation may still hold, and how fields go together.
func Asked(obj *v1.Subnet, defaultVpc string) (Subnet, []Fault) {
	return read(obj.Name, asked(obj), defaultVpc)
}

// InForce reads what is in force of a Subnet: the spec as it is now, if the controller has accepted it, else the last one
// that it accepted; false when there is none. The verdict on the very spec comes first, so that a status which somebody has
// edited decides nothing as long as the spec makes sense.
func InForce(obj *v1.Subnet, defaultVpc string) (Subnet, bool) {
	if accepted(obj) {
		if s, faults := Asked(obj, defaultVpc); len(faults) == 0 {
			return s, true
		}
	}
	if obj.Status.InForce != nil {
		if s, faults := read(obj.Name, *obj.Status.InForce, defaultVpc); len(faults) == 0 {
			return s, true
		}
	}
	return Subnet{Name: obj.Name}, false
}

// accepted says whether the controller has accepted the spec of a Subnet as it reads now: it says so, or that OVN has it.
func accepted(obj *v1.Subnet) bool {
	for _, kind := range []v1.ConditionType{v1.ConditionValidated, v1.ConditionProgrammed} {
		c := v1.FindCondition(obj.Status.Conditions, kind)
		if c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == obj.Generation {
			return true
		}
	}
	return false
}

// Usable reads what is in force of a Subnet, or what it asks for while nobody has judged it.
func Usable(obj *v1.Subnet, defaultVpc string) (Subnet, bool) {
	if s, ok := InForce(obj, defaultVpc); ok {
		return s, true
	}
	s, faults := Asked(obj, defaultVpc)
	c := v1.FindCondition(obj.Status.Conditions, v1.ConditionValidated)
	judged := c != nil && c.ObservedGeneration == obj.Generation
	return s, len(faults) == 0 && !judged
}

func asked(obj *v1.Subnet) v1.SubnetInForce {
	spec := &obj.Spec
	return v1.SubnetInForce{
		Vpc: spec.Vpc, CIDRBlock: spec.CIDRBlock, Gateway: spec.Gateway, ExcludeIps: spec.ExcludeIps,
		NatOutgoing: spec.NatOutgoing, Mtu: spec.Mtu, EnableLb: spec.EnableLb,
	}
}

// Status is the subnet as an object's status says that it is in force.
func (s Subnet) Status() *v1.SubnetInForce {
	return &v1.SubnetInForce{
		Vpc: s.VPC, CIDRBlock: s.CIDRs.String(), Gateway: s.Gateways.String(), ExcludeIps: s.ExcludeTexts,
		NatOutgoing: s.NAT, Mtu: uint32(s.MTU), EnableLb: s.EnableLB, //nolint:gosec // it was one
	}
}

func read(name string, from v1.SubnetInForce, defaultVpc string) (Subnet, []Fault) {
	s := Subnet{Name: name, VPC: from.Vpc, NAT: from.NatOutgoing, MTU: int(from.Mtu), EnableLB: from.EnableLb}
	if s.VPC == "" {
		s.VPC = defaultVpc
	}
	var faults []Fault
	fault := func(field, reason, format string, args ...any) {
		faults = append(faults, Fault{"spec." + field, reason, fmt.Sprintf(format, args...)})
	}
	var err error
	if s.CIDRs, err = ipam.ParsePrefixes(from.CIDRBlock); err != nil {
		fault("cidrBlock", v1.ReasonInvalidCIDR, "%s", err)
	} else if s.CIDRs.IsZero() {
		fault("cidrBlock", v1.ReasonInvalidCIDR, "an overlay subnet needs a CIDR")
	}
	s.readGateways(from.Gateway, fault)
	if s.Excludes, err = ipam.ParseRanges(from.ExcludeIps); err != nil {
		fault("excludeIps", v1.ReasonInvalidExcludeIPs, "%s", err)
	}
	for _, text := range from.ExcludeIps {
		s.ExcludeTexts = append(s.ExcludeTexts, strings.ToLower(strings.TrimSpace(text)))
	}
	for _, p := range s.Prefixes() {
		if g := s.Gateway(p); g.IsValid() && !s.Excludes.Contains(g) {
			s.ExcludeTexts = append(s.ExcludeTexts, g.String())
		}
	}
	return s, faults
}

// readGateways takes the gateways that are given and the first address of the families that have none.
func (s *Subnet) readGateways(text string, fault func(field, reason, format string, args ...any)) {
	given, err := ipam.ParseAddrs(text)
	if err != nil {
		fault("gateway", v1.ReasonInvalidGateway, "%s", err)
		return
	}
	s.Gateways = s.CIDRs.FirstUsable()
	for _, g := range []struct {
		given  netip.Addr
		within netip.Prefix
		place  *netip.Addr
	}{{given.V4, s.CIDRs.V4, &s.Gateways.V4}, {given.V6, s.CIDRs.V6, &s.Gateways.V6}} {
		switch {
		case !g.given.IsValid():
		case !g.within.Contains(g.given):
			fault("gateway", v1.ReasonGatewayOutsideCIDR, "%s is not in %s", g.given, describe(g.within))
		case g.given == g.within.Addr() && g.within.Bits() < g.given.BitLen()-1:
			fault("gateway", v1.ReasonInvalidGateway, "%s is the network's own address", g.given)
		default:
			*g.place = g.given
		}
	}
}

// describe is the text of a prefix, also of the one that a subnet does not have.
func describe(p netip.Prefix) string {
	if !p.IsValid() {
		return "a CIDR of its family, which the subnet does not have"
	}
	return p.String()
}

// Prefixes lists CIDRs, IPv4 first.
func (s Subnet) Prefixes() []netip.Prefix {
	var out []netip.Prefix
	for _, p := range []netip.Prefix{s.CIDRs.V4, s.CIDRs.V6} {
		if p.IsValid() {
			out = append(out, p)
		}
	}
	return out
}

// Gateway is the router's address in a prefix of the subnet.
func (s Subnet) Gateway(p netip.Prefix) netip.Addr {
	if p.Addr().Is4() {
		return s.Gateways.V4
	}
	return s.Gateways.V6
}
