package subnet

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/cidr"
	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/port"
	"github.com/woven-cni/woven/pkg/spec"
)

func (f *feature) gather(ctx context.Context, r client.Reader, key types.NamespacedName) (Input, error) {
	in := Input{DefaultVpc: f.defaults.Vpc, JoinSubnet: f.defaults.Join, DefaultSubnet: f.defaults.Subnet, EnableLB: f.config.EnableLB}
	var subnet v1.Subnet
	if err := r.Get(ctx, key, &subnet); err != nil {
		return in, client.IgnoreNotFound(err)
	}
	in.Subnet = &subnet
	var err error
	if in.InForce, err = f.inForce(ctx, &subnet); err != nil {
		return in, err
	}
	in.CutOff = f.cutOff(in)
	if in.NoNamespaces, err = f.chooser.Missing(ctx, subnet.Spec.Namespaces); err != nil {
		return in, err //nolint:wrapcheck // it says what could not be read
	}
	if in.VpcGoing, err = f.vpcGoing(ctx, r, f.subnets.Vpc(&subnet)); err != nil {
		return in, err
	}
	if subnet.DeletionTimestamp != nil {
		in.Users = f.pools.Users(subnet.Name)
	}
	// What the cluster has of its own is asked only of a spec that is not in force: an address that a node reports later, in the
	// middle of a Subnet, is the node's mistake, and must not take the Subnet down with all its pods.
	if c := requestOf(&subnet, f.subnets.Vpc(&subnet)); c.vpc == f.defaults.Vpc && !c.inForce {
		in.Taken, err = f.clusterAddrs(ctx, c.prefixes)
	}
	return in, err
}

// vpcGoing says whether a Vpc is being deleted. What is in it already keeps it; a new Subnet would do so for ever.
func (*feature) vpcGoing(ctx context.Context, r client.Reader, name string) (bool, error) {
	var vpc v1.Vpc
	err := r.Get(ctx, types.NamespacedName{Name: name}, &vpc)
	if client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("reading vpc %s: %w", name, err)
	}
	return err == nil && vpc.DeletionTimestamp != nil, nil
}

// inForce is what is in force of a Subnet, or nil. What this process has let it have it knows by itself; only of a Subnet
// that it has not seen yet the object's status says it.
func (f *feature) inForce(ctx context.Context, obj *v1.Subnet) (*Subnet, error) {
	if known, ok := f.memory.accepted.Load(obj.Name); ok && known.(accepted).uid == obj.UID {
		return known.(accepted).subnet, nil
	}
	s, ok := spec.InForce(obj, f.defaults.Vpc)
	if ok && !cidr.InForce(obj) {
		// The range is another than the spec asks for. If a Subnet of which the very spec is in force has it, somebody has
		// edited the status.
		for _, p := range s.Prefixes() {
			others, err := f.subnets.Overlapping(ctx, s.VPC, p)
			if err != nil {
				return nil, err //nolint:wrapcheck // it says what could not be read
			}
			ok = ok && !slices.ContainsFunc(others, func(o *v1.Subnet) bool { return o.Name != obj.Name && cidr.InForce(o) })
		}
	}
	if !ok {
		return nil, nil
	}
	return (*Subnet)(&s), nil
}

// cutOff are the ports that the spec would cut off: their address would be outside, or their gateway nobody's.
func (f *feature) cutOff(in Input) []port.Key {
	s, problems := Parse(in.Subnet, in.DefaultVpc)
	if len(problems.Blocking()) > 0 || in.InForce != nil && in.InForce.CIDRs == s.CIDRs && in.InForce.Gateways == s.Gateways {
		return nil
	}
	var gateways ipam.Addrs
	if in.InForce != nil {
		gateways = in.InForce.Gateways
	}
	return f.pools.CutOff(s.Pool(), gateways)
}

// taken is a range of a Subnet, as it stands in another one's way.
func taken(p netip.Prefix, subnet string) Taken {
	return Taken{Prefix: p, Reason: v1.ReasonOverlap, Subnet: subnet, Who: fmt.Sprintf("%s of subnet %s", p, subnet)}
}

// clusterAddrs are the Services' ranges, and the API server's and the nodes' own addresses in some ranges: a subnet that
// holds one would cut the cluster off.
func (f *feature) clusterAddrs(ctx context.Context, within []netip.Prefix) ([]Taken, error) {
	var out []Taken
	for _, p := range f.config.ServicePrefixes {
		out = append(out, Taken{Prefix: p, Reason: v1.ReasonOverlap, Who: "the cluster's Service addresses"})
	}
	servers, err := f.addresses.APIServer(ctx)
	if err != nil {
		return nil, err //nolint:wrapcheck // it says what could not be read
	}
	for _, a := range servers {
		out = append(out, Taken{
			Prefix: netip.PrefixFrom(a, a.BitLen()), Reason: v1.ReasonContainsAPIServer, Who: "the API server's address " + a.String(),
		})
	}
	for _, p := range within {
		holders, err := f.addresses.Within(ctx, p)
		if err != nil {
			return nil, err //nolint:wrapcheck // it says what could not be read
		}
		for _, h := range holders {
			out = append(out, Taken{
				Prefix: netip.PrefixFrom(h.Address, h.Address.BitLen()), Reason: v1.ReasonOverlap, Who: fmt.Sprintf("node %s at %s", h.Node, h.Address),
			})
		}
	}
	return out, nil
}
