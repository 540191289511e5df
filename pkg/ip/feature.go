package ip

import (
	"context"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/recorder"
	"sigs.k8s.io/controller-runtime/pkg/source"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/pod"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/spec"
	"github.com/woven-cni/woven/pkg/subnet"
)

// workers bound how many writes of IP objects are under way: they come after what pods wait for.
const workers = 4

// New is the feature of the record of addresses. Its keys are pods and nodes, which have no namespace; it has no rows.
func New(env *reconcile.Env) reconcile.Feature[Record] {
	pools := pool.PoolsOf(env)
	f := &feature{client: env.Client, pools: pools, subnets: subnet.FinderOf(env)}
	env.Index(&v1.IP{}, ownerIndex, ownerKeys)
	env.Index(&v1.IP{}, statefulSetIndex, statefulSetKeys)
	before := &seed{
		reader: env.Client, db: env.DB, pools: pools, names: reconcile.Setting[spec.Defaults](env), events: env.Events,
		log: env.Log.WithName("seed"),
	}
	return reconcile.Feature[Record]{
		Name: FeatureName,
		Watches: []reconcile.Watch{
			{Kind: &corev1.Pod{}, Map: keyOf, When: []predicate.Predicate{changed}},
			{Kind: &corev1.Node{}, Map: keyOf, When: []predicate.Predicate{changed}},
			{Kind: &v1.IP{}, Map: keyOf},
			{Kind: &appsv1.StatefulSet{}, Map: f.whenStatefulSet, When: []predicate.Predicate{wantsOthers}},
			{Kind: &v1.Subnet{}, Map: f.whenSubnet, When: []predicate.Predicate{subnet.FitsOtherwise}},
		},
		Sources: []source.Source{&reconcile.FeedSource{Feed: pools.Turns(pool.Retention), Enqueue: reconcile.Queue}},
		Workers: workers, Seed: before.run, Gather: f.gather, Claim: f.claim, Report: f.report,
	}
}

type feature struct {
	client  client.Client
	pools   *pool.Pools
	subnets subnet.Finder
}

// changed drops the updates that cannot change the record. That annotations changed means that something was told, or that
// somebody edited them; what they say is not asked.
var changed = predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
	if !maps.Equal(e.ObjectOld.GetAnnotations(), e.ObjectNew.GetAnnotations()) {
		return true
	}
	before, isPod := e.ObjectOld.(*corev1.Pod)
	if !isPod {
		return false
	}
	after := e.ObjectNew.(*corev1.Pod)
	return before.Spec.NodeName != after.Spec.NodeName || pod.Attached(before) != pod.Attached(after)
}}

// keyOf is the key of the owner that an object is or speaks of.
func keyOf(_ context.Context, obj client.Object) []ctrl.Request {
	return []ctrl.Request{reconcile.Request(ownerOf(obj).Key)}
}

// ownerIndex finds the IP objects of a pod or node, by the key of its owner.
const ownerIndex = "owner"

func ownerKeys(obj client.Object) []string { return []string{ownerOf(obj).String()} }

// NewReservations is the feature of the IP objects that users write before a port exists, or label ip_reserved: their addresses
// are nobody's but that port's. They have no rows.
func NewReservations(env *reconcile.Env) reconcile.Feature[Input] {
	f := &reservations{parts: parts{Client: env.Client, Subnets: subnet.FinderOf(env), Pools: pool.PoolsOf(env), Events: env.Events}}
	return reconcile.Feature[Input]{
		Name:    pool.Reservation,
		For:     &v1.IP{},
		When:    predicate.NewPredicateFuncs(func(obj client.Object) bool { return !isRecord(obj) || f.Pools.Keeps(keeper(obj.GetName())) }),
		Watches: []reconcile.Watch{{Kind: &v1.Subnet{}, Map: f.whenSubnet, When: []predicate.Predicate{subnet.FitsOtherwise}}},
		Sources: []source.Source{&reconcile.FeedSource{Feed: f.Pools.Turns(pool.Reservation), Enqueue: reconcile.Queue}, f.renewal.Source()},
		Gather:  f.gather, Claim: f.claim, Translate: Translate, Report: f.report,
	}
}

// parts are what the Reservation feature works with.
type parts struct {
	Client client.Client
	// Subnets reads the subnets that addresses are reserved of, and Pools keeps them.
	Subnets subnet.Finder
	Pools   *pool.Pools
	// Events tells why an address is not reserved.
	Events recorder.EventRecorder
}

type reservations struct {
	parts
	// renewal tells again that nothing is reserved.
	renewal reconcile.Renewal
}

// whenSubnet are the reservations that wait for a subnet.
func (f *reservations) whenSubnet(_ context.Context, obj client.Object) []ctrl.Request {
	keys := f.Pools.Waiting(pool.Reservation, pool.Subnet(obj.GetName()))
	out := make([]ctrl.Request, len(keys))
	for i, key := range keys {
		out[i] = reconcile.Request(key)
	}
	return out
}
