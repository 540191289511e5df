package ip

import (
	"context"
	"errors"

	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/node"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/port"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/subnet"
)

// claim keeps what the ports of a StatefulSet's pod have for when the pod goes, or what they had. Nothing of it is in the
// database: how the look ends makes no difference. It comes before the record is written, so that what is on record is kept.
func (f *feature) claim(ctx context.Context, _ types.NamespacedName, in *Record) (done func(reconcile.Outcome), err error) {
	for _, o := range in.Objects {
		keeper := retainer(o.Port)
		if !o.Retained {
			f.pools.Unkeep(keeper)
			continue
		}
		_, held := f.pools.Held(o.Port)
		_, kept := f.pools.Held(keeper)
		switch {
		case !held.IsZero():
			f.pools.Keep(keeper, o.Port)
		case kept.IsZero() && o.Have != nil:
			if err := f.take(ctx, keeper, o); err != nil {
				return nil, err
			}
		}
	}
	return nil, nil
}

// take keeps addresses that nobody has, as the record says them. If somebody else has them by now, they are waited for.
func (f *feature) take(ctx context.Context, keeper port.Key, o Object) error {
	spec := &o.Have.Spec
	f.pools.WaitOnly(keeper, pool.Subnet(spec.Subnet)) // before it is read
	home, inForce, err := f.subnets.Home(ctx, spec.Subnet)
	if err != nil || !inForce {
		return err //nolint:wrapcheck // it says what could not be read
	}
	lease, err := port.ParseLease(spec.IPAddress, spec.MACAddress)
	if err != nil {
		return nil //nolint:nilerr // it says nothing that could be kept
	}
	_, err = f.pools.Allocate(home.Pool(), exactly(keeper, lease))
	inUse := (*pool.InUseError)(nil)
	if err == nil || errors.As(err, &inUse) && inUse.Owner == o.Port { // the port got them a moment ago
		f.pools.Keep(keeper, o.Port)
	}
	return nil
}

// claim keeps what the object asks for. Nothing of it is in the database: how the look ends makes no difference.
func (f *reservations) claim(ctx context.Context, key types.NamespacedName, in *Input) (done func(reconcile.Outcome), err error) {
	if in.IP == nil || len(in.Problems) > 0 {
		f.Pools.Unkeep(keeper(key.Name))
		return nil, nil
	}
	if _, held := f.Pools.Held(in.wish.port); held.IsZero() {
		return nil, f.reserve(ctx, in, in.wish)
	}
	if in.IP.Labels[v1.LabelIPReserved] == "" && !f.Pools.Kept(in.wish.port) {
		in.IP = nil // it came after its port: the record, which is about to be labelled so
		return nil, nil
	}
	f.Pools.Keep(in.wish.request.Owner, in.wish.port)
	return nil, nil
}

// reserve keeps the addresses for a port that has none.
func (f *reservations) reserve(ctx context.Context, in *Input, w wish) error {
	f.Pools.WaitOnly(w.request.Owner, pool.Subnet(w.subnet)) // before it is read
	s, why, err := f.subnet(ctx, w)
	if err != nil {
		return err
	}
	if why != "" {
		in.refuse("subnet %s %s", w.subnet, why)
		return nil
	}
	lease, err := f.Pools.Allocate(s.Pool(), w.request)
	if errors.Is(err, ipam.ErrHolds) { // the object was edited: what it kept before is free
		f.Pools.Release(w.request.Owner)
		lease, err = f.Pools.Allocate(s.Pool(), w.request)
	}
	inUse := (*pool.InUseError)(nil)
	if errors.As(err, &inUse) && inUse.Owner == w.port {
		err, lease = nil, ipam.Lease{} // the port got them a moment ago
	}
	if err != nil {
		in.refuse("subnet %s (%s): %s", s.Name, s.CIDRs, err)
		return nil //nolint:nilerr // the user is told, and the reservation waits for what is in the way
	}
	in.Lease = lease
	f.Pools.Keep(w.request.Owner, w.port)
	return nil
}

// subnet reads the subnet of a wish, and says why it cannot be had, if it cannot: it completes "subnet <name> …".
func (f *reservations) subnet(ctx context.Context, w wish) (s subnet.Subnet, why string, err error) {
	if w.port.Owner.Feature == node.FeatureName {
		if w.subnet != f.Subnets.Names.Join {
			return s, "is not the nodes' own", nil
		}
		s, inForce, err := f.Subnets.Home(ctx, w.subnet)
		if err == nil && !inForce {
			why = "is not in force"
		}
		return s, why, err //nolint:wrapcheck // it says what could not be read
	}
	candidates, unfit, err := f.Subnets.Fit(ctx, w.subnet)
	if err != nil {
		return s, "", err //nolint:wrapcheck // it says what could not be read
	}
	if len(unfit) > 0 && unfit[0].Unjudged {
		return s, "", &reconcile.Wait{For: "the first look at subnet " + w.subnet}
	}
	if len(unfit) > 0 {
		return s, unfit[0].Why, nil
	}
	return candidates[0], "", nil
}

func (in *Input) refuse(format string, args ...any) {
	in.Problems.Add("", v1.ReasonInvalid, "the address is not reserved: "+format, args...)
}
