package ippool

import (
	"context"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/subnet"
)

func (f *feature) gather(ctx context.Context, r client.Reader, key types.NamespacedName) (Input, error) {
	var obj v1.IPPool
	if err := r.Get(ctx, key, &obj); err != nil {
		return Input{}, client.IgnoreNotFound(err)
	}
	in := Input{IPPool: &obj, InForce: f.pools.IPPool(obj.Name)}
	var err error
	if in.Subnet, in.NoSubnet, err = f.subnet(ctx, obj.Spec.Subnet, len(in.InForce) > 0); err != nil {
		return Input{}, err // of a pool that waits for its Subnet nothing is to be said yet
	}
	if in.NoNamespaces, err = f.chooser.Missing(ctx, obj.Spec.Namespaces); err != nil {
		return Input{}, err //nolint:wrapcheck // it says what could not be read
	}
	if obj.DeletionTimestamp != nil {
		in.Users = f.pools.UsersOfIPPool(obj.Name)
	}
	if len(in.InForce) == 0 && in.NoSubnet == "" {
		in.Rivals, err = f.rivals(ctx, &obj, in.Subnet)
	}
	return in, err
}

// subnet reads the Subnet of an IPPool, and says why it can have none of it, if it cannot: that completes "subnet <name> …". A
// Subnet that is about to go keeps the pools that it has.
func (f *feature) subnet(ctx context.Context, name string, inForce bool) (s subnet.Subnet, why string, err error) {
	if inForce {
		s, is, err := f.subnets.Home(ctx, name)
		if err != nil || is {
			return s, "", err //nolint:wrapcheck // it says what could not be read
		}
	}
	candidates, unfit, err := f.subnets.Fit(ctx, name)
	switch {
	case err != nil:
		return s, "", err //nolint:wrapcheck // it says what could not be read
	case len(candidates) > 0:
		return candidates[0], "", nil
	case unfit[0].Unjudged:
		return s, "", &reconcile.Wait{For: "the first look at subnet " + name}
	}
	return s, unfit[0].Why, nil
}

// rivals are the older IPPools of a Subnet that nobody has judged yet, with addresses of this one's. Those that are in force are
// found when the addresses are claimed.
func (f *feature) rivals(ctx context.Context, obj *v1.IPPool, of subnet.Subnet) ([]string, error) {
	ranges, err := ipam.ParsePart(obj.Spec.IPs)
	if err != nil {
		return nil, nil //nolint:nilerr // it is refused for that
	}
	all, err := f.finder.list(ctx, client.MatchingFields{subnetIndex: obj.Spec.Subnet})
	if err != nil {
		return nil, err
	}
	var out []string
	for _, other := range all {
		if byAge(other, obj) >= 0 {
			break
		}
		if refused(other) || other.DeletionTimestamp != nil || len(f.pools.IPPool(other.Name)) > 0 {
			continue
		}
		if theirs, err := ipam.ParsePart(other.Spec.IPs); err == nil && len(within(of, ranges.And(theirs))) > 0 {
			out = append(out, other.Name)
		}
	}
	return out, nil
}

// within is what of some addresses a Subnet has.
func within(s subnet.Subnet, ranges ipam.Ranges) ipam.Ranges {
	var out ipam.Ranges
	for _, p := range s.CIDRs.List() {
		out = append(out, ranges.Within(ipam.PrefixRange(p))...)
	}
	return out
}
