package service

import (
	"context"

	"k8s.io/apimachinery/pkg/types"

	"github.com/woven-cni/woven/pkg/reconcile"
)

// report tells the Service's author what keeps it from being reached. A Service has no condition of ours.
func (f *feature) report(ctx context.Context, key types.NamespacedName, in Input, out reconcile.Outcome) error {
	if in.Service == nil {
		f.unheeded.Forget(key)
		f.vpcs.Delete(key)
		return nil
	}
	if before, known := f.vpcs.Swap(key, in.Vpc); known && before != in.Vpc {
		for _, other := range f.sharing(ctx, in.Service) {
			f.moved.Add(reconcile.Key(other.NamespacedName))
		}
	}
	f.unheeded.Tell(in.Service, false)
	if wrong := out.Problems; len(wrong) > 0 {
		f.events.Eventf(in.Service, nil, "Warning", wrong[0].Reason, "Balance", "%s", reconcile.Note(wrong.String()))
		f.renewal.Told(key)
	}
	return nil
}
