package namespace

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/woven-cni/woven/pkg/reconcile"
)

func (f *feature) gather(ctx context.Context, r client.Reader, key types.NamespacedName) (Input, error) {
	var ns corev1.Namespace
	if err := r.Get(ctx, key, &ns); err != nil {
		return Input{}, client.IgnoreNotFound(err)
	}
	names, err := f.chooser.Bound(ctx, ns.Name)
	if err != nil {
		return Input{}, err //nolint:wrapcheck // it says what could not be read
	}
	chosen, unfit, err := f.subnets.Fit(ctx, names...)
	if err != nil {
		return Input{}, err //nolint:wrapcheck // it says what could not be read
	}
	for _, u := range unfit {
		if u.Unjudged {
			return Input{}, &reconcile.Wait{For: "the first look at subnet " + u.Name}
		}
	}
	pools, err := f.ipPools.Bound(ctx, ns.Name)
	return Input{Namespace: &ns, Subnets: chosen, IPPools: pools}, err //nolint:wrapcheck // it says what could not be read
}
