package subnet

import (
	"net/netip"
	"slices"

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
	ps.AdviseUnheeded(nil, obj)
	return Subnet(s), ps
}

// actedOn are the fields of a spec that are acted on, or whose answer has a sentence of its own. Pods never wait for their
// gateway, with disableGatewayCheck or without.
var actedOn = []string{
	"vpc", "protocol", "namespaces", "namespaceSelectors", "cidrBlock", "gateway", "excludeIps", "natOutgoing", "mtu", "enableLb",
	"disableGatewayCheck", "default", "provider", "gatewayType", "private", "vlan",
}

// notImplemented tells of every field that asks for something a later version will do. Fields without which the subnet
// would be another network than asked for keep it from being programmed at all.
func notImplemented(s *v1.SubnetSpec, ps *reconcile.Problems) {
	if s.Vlan != "" {
		ps.Add("spec.vlan", v1.ReasonNotImplemented, "underlay subnets are not implemented yet")
	}
	if s.Provider != "" && s.Provider != v1.Provider {
		ps.Add("spec.provider", v1.ReasonNotImplemented, "subnets of attachments are not implemented yet")
	}
	if s.Private {
		ps.Advise("spec.private", v1.ReasonNotImplemented, "not implemented yet: the subnet is NOT isolated")
	}
	if s.GatewayType == v1.GatewayCentralized {
		ps.Advise("spec.gatewayType", v1.ReasonNotImplemented, "not implemented yet")
	}
	for _, field := range spec.Fields(s) {
		if !slices.Contains(actedOn, field) {
			ps.Advise("spec."+field, v1.ReasonNotImplemented, "not implemented yet")
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
