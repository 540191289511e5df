package pod

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/subnet"
)

// search is for the places where a pod may have its addresses from. The pod waits for what is read before it is read, until it has
// addresses.
type search struct {
	*feature
	pod    *corev1.Pod
	asked  request
	causes []pool.Cause
	// places are what is found, the first choice first, and unfit what would be if it were not for something.
	places []place
	unfit  []unfit
}

// place is where a pod may have its addresses from: a subnet, or IPPools of it.
type place struct {
	subnet subnet.Subnet
	pools  []string
}

// String names the place for people.
func (p place) String() string {
	if len(p.pools) > 0 {
		return fmt.Sprintf("IPPool %s of subnet %s", reconcile.Few(p.pools), p.subnet.Name)
	}
	return fmt.Sprintf("subnet %s (%s)", p.subnet.Name, p.subnet.CIDRs)
}

// unfit is a subnet or an IPPool that a pod cannot have its addresses from.
type unfit struct {
	// what is "subnet <name>" or "IPPool <name>", and why completes the sentence.
	what, why string
	// unjudged says that the reason is over in a moment: it is that the controller has not looked at the spec yet.
	unjudged bool
}

// seek finds the places of a pod: the IPPools that it names, else those that are bound to its namespace, else the subnets that it
// names or that are its namespace's. Of the pools bound to its namespace only those count that are of a subnet which the pod
// names, if it names any.
func (f *feature) seek(ctx context.Context, pod *corev1.Pod, asked request) (search, error) {
	s := search{feature: f, pod: pod, asked: asked}
	err := s.run(ctx)
	f.Pools.WaitOnly(asked.Owner, s.causes...)
	return s, err
}

func (s *search) run(ctx context.Context) error {
	if len(s.asked.wish.pools) > 0 {
		return s.among(ctx, s.asked.wish.pools, true)
	}
	s.await(pool.Namespace(s.pod.Namespace))
	if s.asked.Addrs.IsZero() && len(s.asked.wish.choices) == 0 {
		bound, err := s.IPPools.Bound(ctx, s.pod.Namespace)
		if err == nil && len(bound) > 0 {
			err = s.among(ctx, bound, false)
		}
		if err != nil || len(s.places)+len(s.unfit) > 0 {
			return err
		}
	}
	names := pool.Named(s.pod)
	if len(names) == 0 {
		var err error
		if names, err = s.Chooser.Bound(ctx, s.pod.Namespace); err != nil {
			return err //nolint:wrapcheck // it says what could not be read
		}
	}
	return s.in(ctx, names, nil)
}

// among finds the places of some IPPools, which the pod names or which are bound to its namespace.
func (s *search) among(ctx context.Context, names []string, named bool) error {
	s.await(pool.IPPools(names...)...)
	found, err := s.IPPools.Find(ctx, s.pod.Namespace, names...)
	if err != nil {
		return err //nolint:wrapcheck // it says what could not be read
	}
	var subnets []string
	pools := map[string][]string{}
	for _, p := range found {
		elsewhere := len(pool.Named(s.pod)) > 0 && p.Subnet != "" && !slices.Contains(pool.Named(s.pod), p.Subnet)
		switch {
		case elsewhere && !named:
			continue
		case elsewhere:
			p.Unfit = "is of subnet " + p.Subnet + ", which the pod does not name"
		}
		if p.Unfit != "" {
			s.unfit = append(s.unfit, unfit{"IPPool " + p.Name, p.Unfit, p.Unjudged})
			continue
		}
		if pools[p.Subnet] == nil {
			subnets = append(subnets, p.Subnet)
		}
		pools[p.Subnet] = append(pools[p.Subnet], p.Name)
	}
	return s.in(ctx, subnets, pools)
}

// in makes places of subnets, and of some IPPools in them if there are any.
func (s *search) in(ctx context.Context, names []string, pools map[string][]string) error {
	s.await(pool.Subnets(names...)...)
	candidates, no, err := s.Subnets.Fit(ctx, names...)
	for _, c := range candidates {
		s.places = append(s.places, place{c, pools[c.Name]})
	}
	for _, u := range no {
		s.unfit = append(s.unfit, unfit{"subnet " + u.Name, u.Why, u.Unjudged})
	}
	return err //nolint:wrapcheck // it says what could not be read
}

func (s *search) await(causes ...pool.Cause) {
	s.causes = append(s.causes, causes...)
	s.Pools.WaitFor(s.asked.Owner, causes...)
}
