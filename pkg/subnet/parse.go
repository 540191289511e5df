package subnet

import (
	"net/netip"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/spec"
)

// Subnet is a spec.Subnet with what it makes: rows, a pool, the normal form of the spec.
type Subnet spec.Subnet

// Pool is what the subnet gives addresses from.
func (s Subnet) Pool() pool.Spec {
	return pool.Spec{Subnet: s.Name, Config: ipam.Config{
		Prefixes: s.CIDRs, Gateways: s.Gateways, Exclude: s.Excludes, RouterMAC: s.routerMAC(),
	}}
}

func (s Subnet) prefixes() []netip.Prefix { return spec.Subnet(s).Prefixes() }

func (s Subnet) gateway(p netip.Prefix) netip.Addr { return spec.Subnet(s).Gateway(p) }

// Parse reads a Subnet's spec, and says what is wrong with it.
func Parse(obj *v1.Subnet, defaultVpc string) (Subnet, reconcile.Problems) {
	s, faults := spec.Asked(obj, defaultVpc)
	var ps reconcile.Problems
	for _, f := range faults {
		ps.Add(f.Field, f.Reason, "%s", f.Message)
	}
	if s.Name == s.VPC {
		ps.Add("metadata.name", v1.ReasonNameTaken, "a subnet cannot have the name of its Vpc")
	}
	notImplemented(&obj.Spec, &ps)
	return Subnet(s), ps
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
