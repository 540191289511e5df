package ippool

import (
	"context"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/woven-cni/woven/pkg/reconcile"
)

// claim sets the addresses aside, if nothing is in the way.
func (f *feature) claim(ctx context.Context, key types.NamespacedName, in *Input) (done func(reconcile.Outcome), err error) {
	done = func(out reconcile.Outcome) {
		if (in.IPPool == nil || in.gone()) && out.Programmed() {
			f.end(ctx, key.Name)
		}
	}
	if in.IPPool == nil || in.gone() {
		return done, nil
	}
	if ranges, problems := in.verdict(); len(problems.Blocking()) == 0 {
		in.Rivals = f.pools.SetIPPool(in.Subnet.Pool(), key.Name, ranges)
	}
	return done, nil
}

// end gives the addresses of a pool back, and has the refused pools of its Subnet looked at again.
func (f *feature) end(ctx context.Context, name string) {
	home := f.pools.EndIPPool(name)
	for _, r := range f.requests(ctx, refused, client.MatchingFields{subnetIndex: home}) {
		f.freed.Add(r.Name)
	}
}
