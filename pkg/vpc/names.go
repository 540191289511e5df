package vpc

import "github.com/woven-cni/woven/pkg/ovs"

// FeatureName is the Owner.Feature of a Vpc's rows.
const FeatureName = "vpc"

// Router names the Logical_Router of a Vpc.
func Router(vpc string) ovs.Sym { return ovs.Sym("vpc/" + vpc + "/router") }

// Balancers names the Load_Balancer_Group of a Vpc. Every switch of the Vpc is attached to it, so that a Service costs
// one row, however many subnets there are.
func Balancers(vpc string) ovs.Sym { return ovs.Sym("vpc/" + vpc + "/balancers") }

func defaultRoute(vpc, family string) ovs.Sym {
	return ovs.Sym("vpc/" + vpc + "/default-route/" + family)
}
