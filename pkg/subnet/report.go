package subnet

import (
	"fmt"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/port"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/spec"
)

// rangesShown bounds the text of addresses in the status: a /16 with every other address in use would not fit an object.
const rangesShown = 256

// record is how the Subnet itself should read.
func (f *feature) record() reconcile.Record[Input, *v1.Subnet] {
	return reconcile.Record[Input, *v1.Subnet]{
		Object: func(in Input) (*v1.Subnet, bool) { return in.Subnet, in.Subnet != nil },
		Held:   kept, Spec: normalise, Status: f.status,
	}
}

// kept keeps the object for the pods that have addresses of the subnet; one that was never accepted has none.
func kept(in Input, out reconcile.Outcome) bool {
	if in.Subnet.DeletionTimestamp != nil {
		return !in.gone() || !out.Programmed()
	}
	return len(out.Problems.Blocking()) == 0
}

// normalise writes the spec as it is understood, as users of Kube-OVN expect to read it: defaults filled in, CIDRs without
// host bits, IPv6 in lower case, the gateway among the excluded addresses.
func normalise(in Input, subnet *v1.Subnet) {
	s, _ := Parse(in.Subnet, in.DefaultVpc)
	spec := &subnet.Spec
	spec.CIDRBlock, spec.Gateway, spec.Protocol, spec.Vpc = s.CIDRs.String(), s.Gateways.String(), s.protocol(), s.VPC
	spec.ExcludeIps = in.exclusions(s)
	if spec.Provider == "" {
		spec.Provider = v1.Provider
	}
	if spec.GatewayType == "" {
		spec.GatewayType = v1.GatewayDistributed
	}
}

func (f *feature) status(in Input, out reconcile.Outcome, subnet *v1.Subnet) {
	if subnet.DeletionTimestamp != nil {
		out.InUse = fmt.Sprintf("%d addresses are in use, of %s", len(in.Users), named(in.Users))
	}
	reconcile.SetConditions(&subnet.Status.Conditions, subnet.Generation, out)
	inForce := in.InForce
	if len(out.Problems.Blocking()) == 0 {
		s, _ := Parse(in.Subnet, in.DefaultVpc)
		inForce = &s
	}
	if subnet.Status.InForce = nil; inForce != nil {
		subnet.Status.InForce = spec.Subnet(*inForce).Status()
	}
	if pool := f.pools.Get(subnet.Name); pool != nil {
		setUsage(&subnet.Status, pool)
	}
}

func setUsage(st *v1.SubnetStatus, pool *ipam.Subnet[port.Key]) {
	v4, v6 := pool.Usage()
	ranges4, ranges6 := pool.UsageRanges()
	st.V4AvailableIPs, st.V4UsingIPs = v1.Count(v4.Available), v1.Count(v4.Using)
	st.V6AvailableIPs, st.V6UsingIPs = v1.Count(v6.Available), v1.Count(v6.Using)
	st.V4AvailableIPRange, st.V4UsingIPRange = ranges4.Available.Text(rangesShown), ranges4.Using.Text(rangesShown)
	st.V6AvailableIPRange, st.V6UsingIPRange = ranges6.Available.Text(rangesShown), ranges6.Using.Text(rangesShown)
}
