package ippool

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/source"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/subnet"
)

// FeatureName is the Owner.Feature of an IPPool's rows.
const FeatureName = "ippool"

// subnetIndex finds the IPPools of a Subnet, and namespaceIndex those that name a Namespace.
const (
	subnetIndex    = "subnet"
	namespaceIndex = "namespace"
)

// statusDelay gathers the changes of a pool's usage, as those of a Subnet's are.
const statusDelay = time.Second

// New is the IPPool feature. One worker looks at one pool after the other, so that of two that overlap the second finds the first.
func New(env *reconcile.Env) reconcile.Feature[Input] {
	f := &feature{finder: FinderOf(env), subnets: subnet.FinderOf(env), chooser: pool.ChooserOf(env), pools: pool.PoolsOf(env)}
	return reconcile.Feature[Input]{
		Name: FeatureName,
		For:  &v1.IPPool{},
		When: edited,
		Watches: []reconcile.Watch{
			{Kind: &v1.Subnet{}, Map: f.whenSubnet, When: []predicate.Predicate{subnet.FitsOtherwise}},
			{Kind: &v1.IPPool{}, Map: f.whenRival, When: []predicate.Predicate{FitsOtherwise}},
			{Kind: &corev1.Namespace{}, Map: f.whenNamespace, When: []predicate.Predicate{reconcile.CameOrWent}},
		},
		Sources: []source.Source{
			&reconcile.FeedSource{Feed: f.pools.IPPoolsChanged(), Enqueue: reconcile.QueueAfter(statusDelay)},
			&reconcile.FeedSource{Feed: &f.freed, Enqueue: reconcile.Queue},
		},
		Seed:      f.seed,
		Gather:    f.gather,
		Claim:     f.claim,
		Translate: Translate,
		Record:    f.record(),
	}
}

type feature struct {
	finder  Finder
	subnets subnet.Finder
	// chooser knows which Namespaces there are.
	chooser *pool.Chooser
	pools   *pool.Pools
	// freed delivers refused pools when another one of their Subnet has ended.
	freed reconcile.Feed
}

// edited lets edits of the spec through, of our finalizer, and of the verdict and what is in force, which are then written
// again. The news of usage is dropped.
var edited = predicate.Or(predicate.GenerationChangedPredicate{}, predicate.Funcs{
	CreateFunc:  func(event.CreateEvent) bool { return false },
	DeleteFunc:  func(event.DeleteEvent) bool { return false },
	GenericFunc: func(event.GenericEvent) bool { return false },
	UpdateFunc: func(e event.UpdateEvent) bool {
		return !slices.Equal(e.ObjectOld.GetFinalizers(), e.ObjectNew.GetFinalizers()) || judgedOtherwise(e)
	},
})

// FitsOtherwise lets IPPools through that come, go, or may be fit for others than before. The news of their usage is dropped.
var FitsOtherwise = predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
	return e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() || judgedOtherwise(e)
}}

func judgedOtherwise(e event.UpdateEvent) bool {
	before, after := &e.ObjectOld.(*v1.IPPool).Status, &e.ObjectNew.(*v1.IPPool).Status
	return !equality.Semantic.DeepEqual(before.Conditions, after.Conditions) || !equality.Semantic.DeepEqual(before.InForce, after.InForce)
}

// whenSubnet are the IPPools of a Subnet.
func (f *feature) whenSubnet(ctx context.Context, obj client.Object) []ctrl.Request {
	return f.requests(ctx, func(*v1.IPPool) bool { return true }, client.MatchingFields{subnetIndex: obj.GetName()})
}

// whenRival are the refused IPPools of the Subnet that another one is of: what was in their way is perhaps so no more.
func (f *feature) whenRival(ctx context.Context, obj client.Object) []ctrl.Request {
	rival := obj.(*v1.IPPool)
	return f.requests(ctx, func(p *v1.IPPool) bool { return p.Name != rival.Name && refused(p) }, client.MatchingFields{subnetIndex: rival.Spec.Subnet})
}

// whenNamespace are the IPPools that name a Namespace: for these it is news whether it exists.
func (f *feature) whenNamespace(ctx context.Context, obj client.Object) []ctrl.Request {
	return f.requests(ctx, func(*v1.IPPool) bool { return true }, client.MatchingFields{namespaceIndex: obj.GetName()})
}

func (f *feature) requests(ctx context.Context, which func(*v1.IPPool) bool, of client.MatchingFields) []ctrl.Request {
	all, err := f.finder.list(ctx, of)
	if err != nil {
		return nil // the cache only fails to list while the manager stops
	}
	var out []ctrl.Request
	for _, p := range all {
		if which(p) {
			out = append(out, reconcile.Request(p.Name))
		}
	}
	return out
}
