package ippool

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/pool"
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

// Finder reads IPPools for those who want addresses of them.
type Finder struct {
	reader client.Reader
	pools  *pool.Pools
}

// FinderOf is the Finder of an environment, with its indexes.
func FinderOf(env *reconcile.Env) Finder {
	env.Index(&v1.IPPool{}, subnetIndex, func(obj client.Object) []string { return []string{obj.(*v1.IPPool).Spec.Subnet} })
	env.Index(&v1.IPPool{}, namespaceIndex, func(obj client.Object) []string { return obj.(*v1.IPPool).Spec.Namespaces })
	return Finder{reader: env.Client, pools: pool.PoolsOf(env)}
}

// list are IPPools, the oldest first. They are the cache's own: read them only.
func (f Finder) list(ctx context.Context, of ...client.ListOption) ([]*v1.IPPool, error) {
	var list v1.IPPoolList
	if err := f.reader.List(ctx, &list, append(of, client.UnsafeDisableDeepCopy)...); err != nil {
		return nil, fmt.Errorf("listing IPPools: %w", err)
	}
	out := make([]*v1.IPPool, len(list.Items))
	for i := range list.Items {
		out[i] = &list.Items[i]
	}
	slices.SortFunc(out, byAge)
	return out, nil
}

// byAge sorts IPPools, the oldest first.
func byAge(a, b *v1.IPPool) int {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
}

// verdictOn says what the controller has said of the spec of an IPPool as it reads now; Unknown is nothing yet.
func verdictOn(p *v1.IPPool) metav1.ConditionStatus {
	c := v1.FindCondition(p.Status.Conditions, v1.ConditionValidated)
	if c == nil || c.ObservedGeneration != p.Generation {
		return metav1.ConditionUnknown
	}
	return c.Status
}

func refused(p *v1.IPPool) bool { return verdictOn(p) == metav1.ConditionFalse }
