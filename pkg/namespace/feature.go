package namespace

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/subnet"
)

// FeatureName is the feature's name in logs and metrics.
const FeatureName = "namespace"

// New is the Namespace feature.
func New(env *reconcile.Env) reconcile.Feature[Input] {
	f := &feature{client: env.Client, chooser: pool.ChooserOf(env), subnets: subnet.FinderOf(env)}
	return reconcile.Feature[Input]{
		Name: FeatureName,
		For:  &corev1.Namespace{},
		When: predicate.Or(predicate.LabelChangedPredicate{}, predicate.AnnotationChangedPredicate{}),
		Watches: []reconcile.Watch{
			{Kind: &v1.Subnet{}, Map: f.all, When: []predicate.Predicate{subnet.FitsOtherwise}},
			{Kind: &v1.Vpc{}, Map: f.all, When: []predicate.Predicate{predicate.GenerationChangedPredicate{}}},
		},
		Gather:    f.gather,
		Translate: Translate,
		Record:    record(),
	}
}

type feature struct {
	client  client.Client
	chooser *pool.Chooser
	subnets subnet.Finder
}

// all are the keys of all namespaces: a subnet may have stopped being anyone's, and has any number of selectors.
func (f *feature) all(ctx context.Context, _ client.Object) []ctrl.Request {
	var list corev1.NamespaceList
	if f.client.List(ctx, &list) != nil {
		return nil // the cache only fails to list while the manager stops
	}
	out := make([]ctrl.Request, len(list.Items))
	for i := range list.Items {
		out[i].Name = list.Items[i].Name
	}
	return out
}
