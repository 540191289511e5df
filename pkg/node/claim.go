package node

import (
	"context"

	"k8s.io/apimachinery/pkg/types"

	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// claim takes the node's addresses.
func (f *feature) claim(_ context.Context, key types.NamespacedName, in *Input) (done func(reconcile.Outcome), err error) {
	owner := PortKey(key.Name)
	if in.Exists && in.Shortage == nil {
		f.pools.Claim(owner)
		in.Lease, in.Shortage = f.pools.Allocate(in.Join.Pool(), pool.Request{Owner: owner})
	}
	return func(out reconcile.Outcome) {
		if !in.Exists && out.Programmed() {
			f.pools.Release(owner)
		}
	}, nil
}
