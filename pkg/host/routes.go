package host

import (
	"net/netip"
	"slices"

	"github.com/woven-cni/woven/pkg/host/kernel"
)

// translateRoutes wants the routes to the pods of the default Vpc, by the gateways of the join subnet, and the node to
// forward. Without a place on the join subnet what is there stays.
func translateRoutes(in Input) (Desired, []Problem) {
	join := in.Node.Join
	if join == nil {
		return Desired{Kernel: kernel.State{KeepRoutes: true}}, nil
	}
	state := kernel.State{Sysctls: map[string]string{"net/ipv4/ip_forward": "1"}}
	if slices.ContainsFunc(join.Addresses, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
		state.Sysctls[kernel.Forwarding6] = "1"
	}
	for _, cidr := range in.cidrs().routed {
		i := slices.IndexFunc(join.Gateways, func(g netip.Addr) bool { return g.Is4() == cidr.Addr().Is4() })
		if i >= 0 {
			state.Routes = append(state.Routes, kernel.Route{
				Dst: cidr, Gateway: join.Gateways[i], Link: kernel.NodeInterface, Protocol: kernel.Protocol,
			})
		}
	}
	return Desired{Kernel: state}, nil
}

// clusterCIDRs are the CIDRs on the default router, sorted, without those that another one contains.
type clusterCIDRs struct {
	all    []netip.Prefix // the join subnet's with them
	natted []netip.Prefix // what comes from these leaves with the node's address
	routed []netip.Prefix // what is behind the join subnet
}

func (c Cluster) cidrs() clusterCIDRs {
	var out clusterCIDRs
	for _, subnet := range c.Subnets {
		if !subnet.Routed {
			continue
		}
		out.all = append(out.all, subnet.CIDRs...)
		if subnet.NAT {
			out.natted = append(out.natted, subnet.CIDRs...)
		}
		if !subnet.Join {
			out.routed = append(out.routed, subnet.CIDRs...)
		}
	}
	for _, list := range []*[]netip.Prefix{&out.all, &out.natted, &out.routed} {
		slices.SortFunc(*list, netip.Prefix.Compare)
		*list = withoutContained(*list)
	}
	return out
}

// withoutContained drops prefixes that another one contains: intervals of a set must not overlap.
func withoutContained(prefixes []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range prefixes {
		contained := slices.ContainsFunc(prefixes, func(other netip.Prefix) bool {
			return other != p && other.Bits() <= p.Bits() && other.Contains(p.Addr())
		})
		if !contained && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}
