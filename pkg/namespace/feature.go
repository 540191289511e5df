package namespace

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ippool"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/subnet"
)

// FeatureName is the feature's name in logs and metrics.
const FeatureName = "namespace"

// New is the Namespace feature.
func New(env *reconcile.Env) reconcile.Feature[Input] {
	f := &feature{
		chooser: pool.ChooserOf(env), subnets: subnet.FinderOf(env), ipPools: ippool.FinderOf(env),
		unheeded: reconcile.Unheeded{Events: env.Events, Heeded: heeded},
	}
	return reconcile.Feature[Input]{
		Name: FeatureName,
		For:  &corev1.Namespace{},
		When: predicate.Or(predicate.LabelChangedPredicate{}, predicate.AnnotationChangedPredicate{}),
		Watches: []reconcile.Watch{
			{Kind: &v1.Subnet{}, Map: f.whenSubnet, When: []predicate.Predicate{subnet.FitsOtherwise}},
			{Kind: &v1.IPPool{}, Map: whenIPPool, When: []predicate.Predicate{ippool.FitsOtherwise}},
			{Kind: &v1.Vpc{}, Map: whenVpc, When: []predicate.Predicate{predicate.GenerationChangedPredicate{}}},
		},
		Gather:    f.gather,
		Translate: Translate,
		Report:    f.report,
		Record:    record(),
	}
}

type feature struct {
	chooser *pool.Chooser
	subnets subnet.Finder
	ipPools ippool.Finder
	// unheeded tells which annotations of Kube-OVN are not in force.
	unheeded reconcile.Unheeded
}

// whenSubnet are the namespaces whose pods may have their addresses from a Subnet. Those of a Subnet that is edited are asked for as it
// was and as it is.
func (f *feature) whenSubnet(ctx context.Context, obj client.Object) []ctrl.Request {
	return requests(f.chooser.NamespacesOf(ctx, obj.(*v1.Subnet)))
}

// whenVpc are the namespaces of a Vpc: its default Subnet may be theirs.
func whenVpc(_ context.Context, obj client.Object) []ctrl.Request {
	return requests(obj.(*v1.Vpc).Spec.Namespaces)
}

// whenIPPool are the namespaces that an IPPool is bound to.
func whenIPPool(_ context.Context, obj client.Object) []ctrl.Request {
	return requests(obj.(*v1.IPPool).Spec.Namespaces)
}

func requests(names []string) []ctrl.Request {
	out := make([]ctrl.Request, len(names))
	for i, name := range names {
		out[i] = reconcile.Request(name)
	}
	return out
}
