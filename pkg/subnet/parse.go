package subnet

import (
	"net/netip"
	"strings"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/reconcile"
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
	// EnableLB says whether the Vpc's Services are reached from here; nil leaves it to the controller's flag.
	EnableLB *bool
}

// Pool is what the subnet gives addresses from.
func (s Subnet) Pool() pool.Spec {
	return pool.Spec{Subnet: s.Name, Config: ipam.Config{
		Prefixes: s.CIDRs, Gateways: s.Gateways, Exclude: s.Excludes, RouterMAC: s.routerMAC(),
	}}
}

// prefixes lists CIDRs, IPv4 first.
func (s Subnet) prefixes() []netip.Prefix {
	var out []netip.Prefix
	for _, p := range []netip.Prefix{s.CIDRs.V4, s.CIDRs.V6} {
		if p.IsValid() {
			out = append(out, p)
		}
	}
	return out
}

// gateway is the router's address in a prefix of the subnet.
func (s Subnet) gateway(p netip.Prefix) netip.Addr {
	if p.Addr().Is4() {
		return s.Gateways.V4
	}
	return s.Gateways.V6
}

// Parse reads a Subnet's spec. The CRD's own validation has refused most of what can be wrong; what is checked here is
// what an object stored before that validation may still hold, and how fields go together.
func Parse(obj *v1.Subnet, defaultVpc string) (Subnet, reconcile.Problems) {
	var ps reconcile.Problems
	s := Subnet{Name: obj.Name, VPC: obj.Spec.Vpc, EnableLB: obj.Spec.EnableLb}
	if s.VPC == "" {
		s.VPC = defaultVpc
	}
	var err error
	if s.CIDRs, err = ipam.ParsePrefixes(obj.Spec.CIDRBlock); err != nil {
		ps.Add("spec.cidrBlock", v1.ReasonInvalidCIDR, "%s", err)
	} else if s.CIDRs.IsZero() {
		ps.Add("spec.cidrBlock", v1.ReasonInvalidCIDR, "an overlay subnet needs a CIDR")
	}
	s.parseGateways(obj.Spec.Gateway, &ps)
	if s.Excludes, err = ipam.ParseRanges(obj.Spec.ExcludeIps); err != nil {
		ps.Add("spec.excludeIps", v1.ReasonInvalidExcludeIPs, "%s", err)
	}
	if s.Name == s.VPC {
		ps.Add("metadata.name", v1.ReasonNameTaken, "a subnet cannot have the name of its Vpc")
	}
	notImplemented(&obj.Spec, &ps)
	return s, ps
}

// parseGateways takes the gateways that are given and the first address of the families that have none.
func (s *Subnet) parseGateways(text string, ps *reconcile.Problems) {
	given, err := ipam.ParseAddrs(text)
	if err != nil {
		ps.Add("spec.gateway", v1.ReasonInvalidGateway, "%s", err)
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
			ps.Add("spec.gateway", v1.ReasonGatewayOutsideCIDR, "%s is not in %s", g.given, describe(g.within))
		case g.given == g.within.Addr() && g.within.Bits() < g.given.BitLen()-1:
			ps.Add("spec.gateway", v1.ReasonInvalidGateway, "%s is the network's own address", g.given)
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

// notImplemented tells of every field that asks for something a later version will do. Fields without which the subnet
// would be another network than asked for keep it from being programmed at all.
func notImplemented(spec *v1.SubnetSpec, ps *reconcile.Problems) {
	if spec.Vlan != "" {
		ps.Add("spec.vlan", v1.ReasonNotImplemented, "underlay subnets are not implemented yet")
	}
	if spec.Provider != "" && spec.Provider != v1.Provider {
		ps.Add("spec.provider", v1.ReasonNotImplemented, "subnets of attachments are not implemented yet")
	}
	if spec.Private {
		ps.Advise("spec.private", v1.ReasonNotImplemented, "not implemented yet: the subnet is NOT isolated")
	}
	for _, f := range []struct {
		field string
		set   bool
	}{
		{"gatewayType", spec.GatewayType == v1.GatewayCentralized},
		{"gatewayNode", spec.GatewayNode != ""},
		{"gatewayNodeSelectors", len(spec.GatewayNodeSelectors) > 0},
		{"enableEcmp", spec.EnableEcmp},
		{"natOutgoingPolicyRules", len(spec.NatOutgoingPolicyRules) > 0},
		{"externalEgressGateway", spec.ExternalEgressGateway != ""},
		{"allowSubnets", len(spec.AllowSubnets) > 0},
		{"acls", len(spec.Acls) > 0},
		{"allowEWTraffic", spec.AllowEWTraffic},
		{"vips", len(spec.Vips) > 0},
		{"logicalGateway", spec.LogicalGateway},
		{"enableDHCP", spec.EnableDHCP},
		{"enableIPv6RA", spec.EnableIPv6RA},
		{"u2oInterconnection", spec.U2OInterconnection},
		{"enableMulticastSnoop", spec.EnableMulticastSnoop},
		{"enableExternalLBAddress", spec.EnableExternalLBAddress},
		{"routeTable", spec.RouteTable != ""},
		{"nodeNetwork", spec.NodeNetwork != ""},
	} {
		if f.set {
			ps.Advise("spec."+f.field, v1.ReasonNotImplemented, "not implemented yet")
		}
	}
}

// protocol is the value of spec.protocol that the subnet's CIDRs make.
func (s Subnet) protocol() string {
	switch {
	case s.CIDRs.V4.IsValid() && s.CIDRs.V6.IsValid():
		return v1.ProtocolDual
	case s.CIDRs.V6.IsValid():
		return v1.ProtocolIPv6
	default:
		return v1.ProtocolIPv4
	}
}

// excludeTexts are spec.excludeIps as they should read: normalised, with the gateways among them as Kube-OVN's users
// know it.
func (s Subnet) excludeTexts(given []string) []string {
	out := make([]string, 0, len(given)+2)
	for _, text := range given {
		out = append(out, strings.ToLower(strings.TrimSpace(text)))
	}
	for _, p := range s.prefixes() {
		if g := s.gateway(p); !s.Excludes.Contains(g) {
			out = append(out, g.String())
		}
	}
	return out
}
