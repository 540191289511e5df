package pod

import (
	"context"
	"errors"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/subnet"
)

// claim takes addresses for the pod, and its place in the groups that policies have it in.
func (f *feature) claim(ctx context.Context, key types.NamespacedName, in *Input) (done func(reconcile.Outcome), err error) {
	done = func(out reconcile.Outcome) { f.done(key, in, out) }
	if !in.Attached {
		return done, nil
	}
	if err := f.lease(ctx, in); err != nil || in.Lease.IsZero() {
		return done, err
	}
	return done, f.place(in)
}

// done gives back what a pod without a port had, and tells the groups what has become of one with a port.
func (f *feature) done(key types.NamespacedName, in *Input, out reconcile.Outcome) {
	switch {
	case !in.Attached || in.Over:
		// Only when the row is gone can the address be another's.
		if out.Programmed() {
			f.Pools.ReleaseAll(Owner(key))
			f.Groups.Forget(key)
			if in.Over {
				f.Pools.Again(PortKey(key))
			}
		}
	case out.Waiting != nil:
		f.Groups.Failed(key, false)
	case out.Err != nil:
		// Perhaps it was written; the retry tells.
	case len(out.Problems.Blocking()) > 0, in.Lease.IsZero():
		f.Groups.Failed(key, true)
	default:
		f.Groups.Joined(key, in.Groups)
	}
}

// lease finds the pod's addresses. What the pod holds it keeps, whatever its annotations or its subnet have come to say
// since: its interface has these addresses, and moving the port would cut it off.
func (f *feature) lease(ctx context.Context, in *Input) error {
	owner := PortKey(in.Key)
	if err := f.claimKept(ctx, in); err != nil {
		return err
	}
	home, lease := f.Pools.Held(owner)
	if lease.IsZero() {
		return f.find(ctx, in)
	}
	if before := f.Pools.Holder(owner); before != "" && before != string(in.Pod.UID) {
		inherits, err := f.inherits(ctx, in.Pod, home, lease)
		if err != nil {
			return err
		}
		if !inherits {
			in.Over = true
			return nil
		}
	}
	f.Pools.Bind(owner, string(in.Pod.UID))
	var err error
	in.Lease = lease
	if in.Subnet, in.Untold, err = f.home(ctx, home); err != nil {
		return err
	}
	if !in.Untold {
		f.Pools.WaitOnly(owner) // nothing
	} else if f.Pools.WaitFor(owner, pool.Subnet(home)) {
		// The pod is told as soon as the subnet is in force: perhaps it is since the look at it.
		in.Subnet, in.Untold, err = f.home(ctx, home)
	}
	if !in.Untold {
		in.Told = told(f.Pools, in.Pod, in.Subnet, lease)
		f.Pools.Tell(owner, in.Told)
	}
	return err
}

// claimKept takes what is kept for the pod. What an earlier pod of its StatefulSet had is free when the pod is to be in another
// Subnet now, or asks for something else.
func (f *feature) claimKept(ctx context.Context, in *Input) error {
	owner := PortKey(in.Key)
	if keeper, kept := f.Pools.Keeper(owner); kept && keeper.Owner.Feature == pool.Retention {
		home, lease := f.Pools.Held(keeper)
		inherits := lease.IsZero()
		if !inherits {
			var err error
			if inherits, err = f.inherits(ctx, in.Pod, home, lease); err != nil {
				return err
			}
		}
		if !inherits {
			f.Pools.Unkeep(keeper)
			return nil
		}
	}
	f.Pools.Claim(owner)
	return nil
}

// home reads the subnet of a lease. While its spec is not in force, only its name is known.
func (f *feature) home(ctx context.Context, name string) (s subnet.Subnet, unknown bool, err error) {
	s, inForce, err := f.Subnets.Home(ctx, name)
	if !inForce {
		s = subnet.Subnet{Name: name}
	}
	return s, !inForce, err
}

// inherits says whether a pod may have what an earlier pod of its name left: it would be in the same subnet, and asks for
// nothing else.
func (f *feature) inherits(ctx context.Context, pod *corev1.Pod, home string, lease ipam.Lease) (bool, error) {
	asked, err := parseRequest(pod)
	if err != nil || Contradicts(f.Pools, pod, home, lease) ||
		asked.Family == ipam.OnlyV4 && lease.V6.IsValid() || asked.Family == ipam.OnlyV6 && lease.V4.IsValid() {
		return false, nil //nolint:nilerr // the refusal is told when the earlier pod's row has gone
	}
	found, err := f.seek(ctx, pod, asked)
	if err != nil {
		return false, err
	}
	in := f.Pools.IPPoolsOf(home, lease.Addrs)
	return slices.ContainsFunc(found.places, func(p place) bool {
		switch {
		case p.subnet.Name != home:
			return false
		case len(p.pools) > 0:
			return slices.ContainsFunc(p.pools, func(name string) bool { return slices.Contains(in, name) })
		default:
			return len(in) == 0 || !asked.Addrs.IsZero() || len(asked.wish.choices) > 0
		}
	}), nil
}

// find gets addresses for a pod that has none. What it asks for has bounds, and others' addresses are others'. Annotations
// that look like our own answer are no more than that: a copy of another pod's, or what is left of an allocation of which
// there is no record. The pod gets what they say if it can be had, and something else otherwise.
func (f *feature) find(ctx context.Context, in *Input) error {
	answered := in.Pod.Annotations[v1.AnnotationAllocated] == "true"
	asked, err := parseRequest(in.Pod)
	if err != nil {
		in.refuse("metadata.annotations", v1.ReasonInvalid, "%s", err)
		if !answered || bounded(in.Pod) != nil {
			return nil //nolint:nilerr // the pod's author is told, and nothing is to be tried again
		}
	}
	found, err := f.seek(ctx, in.Pod, asked)
	if err != nil {
		return err
	}
	for _, u := range found.unfit {
		in.refuse("", v1.ReasonInvalid, "%s %s", u.what, u.why)
	}
	if err := f.allocate(ctx, in, found.places, asked); err != nil {
		return err
	}
	if in.Lease.IsZero() && answered {
		asked.Addrs, asked.MAC = ipam.Addrs{}, ipam.MAC{}
		if found, err = f.seek(ctx, in.Pod, asked); err == nil {
			err = f.allocate(ctx, in, found.places, asked)
		}
		if err != nil {
			return err
		}
	}
	f.Pools.Bind(asked.Owner, string(in.Pod.UID))
	if i := slices.IndexFunc(found.unfit, func(u unfit) bool { return u.unjudged }); i >= 0 && in.Lease.IsZero() {
		return &reconcile.Wait{For: "the first look at " + found.unfit[i].what}
	}
	return nil
}

// place finds the groups that the pod's port is in from its first moment on.
func (f *feature) place(in *Input) error {
	groups, placed := f.Groups.Place(Selected(in.Pod))
	if !placed {
		return &reconcile.Wait{For: "the labels of namespace " + in.Key.Namespace}
	}
	in.Groups = groups
	return nil
}

// allocate takes addresses from the first place that has any.
func (f *feature) allocate(ctx context.Context, in *Input, places []place, asked request) error {
	for _, p := range places {
		var wrong []string
		for _, r := range asked.of(p) {
			r.Told = p.subnet.CIDRs
			lease, refused, err := f.take(ctx, in.Key.Namespace, p.subnet, r)
			switch {
			case err != nil:
				return err
			case refused == nil:
				in.Subnet, in.Lease, in.Told = p.subnet, lease, p.subnet.CIDRs
				return nil
			case errors.Is(refused, ipam.ErrFull):
				in.refuse("", v1.ReasonNoFreeAddress, "%s is full; the pod starts as soon as an address is free", p)
			default:
				wrong = append(wrong, refused.Error())
			}
		}
		if len(wrong) > 0 {
			in.refuse("metadata.annotations", v1.ReasonInvalid, "%s: %s", p, reconcile.Few(wrong))
		}
	}
	return nil
}

// take takes addresses of a subnet, unless they are those of an IPPool which the namespace may not have.
func (f *feature) take(ctx context.Context, namespace string, s subnet.Subnet, r pool.Request) (lease ipam.Lease, refused, err error) {
	for _, name := range f.Pools.IPPoolsOf(s.Name, r.Addrs) {
		f.Pools.WaitFor(r.Owner, pool.IPPool(name))
		why, err := f.IPPools.Barred(ctx, namespace, name)
		if err != nil {
			return lease, nil, err //nolint:wrapcheck // it says what could not be read
		}
		if why != "" {
			return lease, &ipam.UnfitError{Subject: r.Addrs.String(), Why: why}, nil
		}
	}
	lease, refused = f.Pools.Allocate(s.Pool(), r)
	return lease, refused, nil
}

// refuse notes why the pod does not get what it asks for. It is advice, since the pod has no row that could stay as it is:
// a port without a record of its addresses is taken away.
func (in *Input) refuse(field, reason, format string, args ...any) {
	var one reconcile.Problems
	if one.Advise(field, reason, format, args...); !slices.Contains(in.Problems, one[0]) {
		in.Problems = append(in.Problems, one[0])
	}
}
