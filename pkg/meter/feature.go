package meter

import (
	"context"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/woven-cni/woven/pkg/reconcile"
)

// FeatureName is the Owner.Feature of the rows.
const FeatureName = "meter"

// New is the feature of the meters; their rates are a setting.
func New(env *reconcile.Env) reconcile.Feature[Input] {
	rates := reconcile.Setting[Input](env)
	return reconcile.Feature[Input]{
		Name: FeatureName,
		Sources: []source.Source{source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[ctrl.Request]) error {
			queue.Add(reconcile.Request(key))
			return nil
		})},
		Gather: func(_ context.Context, _ client.Reader, at types.NamespacedName) (Input, error) {
			if at.Name != key {
				return Input{}, nil // of another version
			}
			return rates, nil
		},
		Translate: Translate,
	}
}
