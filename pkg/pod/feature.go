package pod

import (
	"context"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/recorder"
	"sigs.k8s.io/controller-runtime/pkg/source"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/group"
	"github.com/woven-cni/woven/pkg/ippool"
	"github.com/woven-cni/woven/pkg/ovs/engine"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/subnet"
)

// workers wait on the network nearly all the time; the engine joins their transactions.
const workers = 32

// parts are what the Pod feature works with.
type parts struct {
	// Client patches pods.
	Client client.Client
	// Chooser names the subnets of a pod, Subnets reads them, and Pools gives their addresses.
	Chooser *pool.Chooser
	Subnets subnet.Finder
	Pools   *pool.Pools
	// IPPools reads the parts of subnets that are set aside.
	IPPools ippool.Finder
	// Groups tells which port groups a pod is in.
	Groups *group.Registry
	// Events tells users why a pod has no address.
	Events recorder.EventRecorder
	// DB says which pods had ports before this process, and in which groups.
	DB *engine.DB
}

// New is the Pod feature.
func New(env *reconcile.Env) reconcile.Feature[Input] {
	f := &feature{parts: parts{
		Client: env.Client, Chooser: pool.ChooserOf(env), Subnets: subnet.FinderOf(env), Pools: pool.PoolsOf(env),
		IPPools: ippool.FinderOf(env),
		Groups:  group.RegistryOf(env), Events: env.Events, DB: env.DB,
	}, unheeded: reconcile.Unheeded{Events: env.Events, Heeded: heeded}}
	return reconcile.Feature[Input]{
		Name: FeatureName,
		For:  &corev1.Pod{},
		When: relevant,
		Watches: []reconcile.Watch{
			{Kind: &v1.Subnet{}, Map: f.whenSubnet, When: []predicate.Predicate{subnet.FitsOtherwise}},
			{Kind: &v1.IPPool{}, Map: f.whenIPPool, When: []predicate.Predicate{ippool.FitsOtherwise}},
			{Kind: &v1.Vpc{}, Map: f.whenVpc, When: []predicate.Predicate{predicate.GenerationChangedPredicate{}}},
			{Kind: &corev1.Namespace{}, Map: f.whenNamespace, When: []predicate.Predicate{labelsChanged}},
		},
		Sources: []source.Source{
			&reconcile.FeedSource{Feed: f.Pools.Turns(FeatureName), Enqueue: reconcile.Queue},
			&reconcile.FeedSource{Feed: f.Groups.Pods(), Enqueue: reconcile.Queue},
			f.renewal.Source(), f.waits.Source(),
		},
		Workers: workers, Seed: f.seed, Gather: f.gather, Claim: f.claim, Translate: Translate, Report: f.report,
	}
}

type feature struct {
	parts
	// unheeded tells which annotations of Kube-OVN are not in force, and renewal again that a pod waits.
	unheeded reconcile.Unheeded
	renewal  reconcile.Renewal
	// waits are told of when they are long: the pod has addresses, and something that its port refers to is not there.
	waits reconcile.LongWaits
}

// whenSubnet are the pods that wait for a Subnet, or for one that is bound to their namespace as this one is, or was.
func (f *feature) whenSubnet(ctx context.Context, obj client.Object) []ctrl.Request {
	causes := []pool.Cause{pool.Subnet(obj.GetName())}
	for _, namespace := range f.Pools.WaitingNamespaces() {
		if f.Chooser.Binds(ctx, obj.(*v1.Subnet), namespace) {
			causes = append(causes, pool.Namespace(namespace))
		}
	}
	return f.waiting(causes...)
}

// whenVpc are the pods that wait in the namespaces of a Vpc: its default Subnet may be theirs.
func (f *feature) whenVpc(_ context.Context, obj client.Object) []ctrl.Request {
	return f.waiting(pool.Namespaces(obj.(*v1.Vpc).Spec.Namespaces...)...)
}

// whenIPPool are the pods that wait for an IPPool, or in its namespaces: it may be theirs.
func (f *feature) whenIPPool(_ context.Context, obj client.Object) []ctrl.Request {
	return f.waiting(append(pool.Namespaces(obj.(*v1.IPPool).Spec.Namespaces...), pool.IPPool(obj.GetName()))...)
}

func (f *feature) waiting(causes ...pool.Cause) []ctrl.Request {
	keys := f.Pools.Waiting(FeatureName, causes...)
	out := make([]ctrl.Request, len(keys))
	for i, key := range keys {
		out[i] = reconcile.Request(key)
	}
	return out
}

// whenNamespace tells the groups what a namespace's labels are now, and they enqueue the pods whose groups change by it.
// Beside them it is the pods that wait there: the labels may have bound the namespace to other Subnets.
func (f *feature) whenNamespace(ctx context.Context, obj client.Object) []ctrl.Request {
	var now corev1.Namespace
	switch err := f.Client.Get(ctx, client.ObjectKeyFromObject(obj), &now); {
	case err == nil:
		f.Groups.SetNamespace(now.Name, now.Labels)
	case errors.IsNotFound(err):
		f.Groups.RemoveNamespace(obj.GetName())
	}
	return f.waiting(pool.Namespace(obj.GetName()))
}

var labelsChanged = predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
	return !maps.Equal(e.ObjectOld.GetLabels(), e.ObjectNew.GetLabels())
}}

// Attached says whether the pod has, or is about to have, an interface of ours.
func Attached(pod *corev1.Pod) bool {
	return !pod.Spec.HostNetwork && pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed
}

// relevant drops what cannot change a pod's row or annotations: nearly all of a pod's updates are its kubelet's.
var relevant = predicate.Funcs{
	CreateFunc: func(e event.CreateEvent) bool { return Attached(e.Object.(*corev1.Pod)) },
	UpdateFunc: func(e event.UpdateEvent) bool {
		before, after := e.ObjectOld.(*corev1.Pod), e.ObjectNew.(*corev1.Pod)
		return Attached(before) != Attached(after) || before.UID != after.UID || Attached(after) &&
			(!maps.Equal(before.Annotations, after.Annotations) || !maps.Equal(before.Labels, after.Labels) || before.Spec.NodeName != after.Spec.NodeName)
	},
	DeleteFunc: func(e event.DeleteEvent) bool { return !e.Object.(*corev1.Pod).Spec.HostNetwork },
}
