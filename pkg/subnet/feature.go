package subnet

import (
	"context"
	"maps"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/source"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/cidr"
	"github.com/woven-cni/woven/pkg/nodeaddr"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/spec"
)

// Settings are what the cluster's operator decides about all subnets.
type Settings struct {
	// EnableLB gives subnets that do not say otherwise the Vpc's Services.
	EnableLB bool
	// ServicePrefixes are the cluster's Service addresses.
	ServicePrefixes []netip.Prefix
}

// workers wait on the API server and the database nearly all the time; so many Subnets can go in one transaction.
const workers = 256

// New is the Subnet feature. It keeps the pools in step with the specs.
func New(env *reconcile.Env) reconcile.Feature[Input] {
	f := &feature{
		client: env.Client, pools: pool.PoolsOf(env), config: reconcile.Setting[Settings](env), defaults: reconcile.Setting[spec.Defaults](env),
		subnets: cidr.MapOf(env), addresses: nodeaddr.JudgeOf(env), chooser: pool.ChooserOf(env), memory: memoryOf(env), usage: newPace(),
	}
	return reconcile.Feature[Input]{
		Name: FeatureName,
		For:  &v1.Subnet{},
		When: edited,
		Watches: []reconcile.Watch{
			{Kind: &corev1.Node{}, Map: f.whenNode, When: []predicate.Predicate{nodeaddr.ReportsOthers}},
			{Kind: &discoveryv1.EndpointSlice{}, Map: f.whenAPIServer},
			f.chooser.SubnetsNaming(),
			{Kind: &v1.Vpc{}, Map: f.whenVpc, When: []predicate.Predicate{vpcGoesOn}},
		},
		Sources: []source.Source{
			&reconcile.FeedSource{Feed: f.pools.Changed(), Enqueue: f.whenUsage},
			&reconcile.FeedSource{Feed: &f.memory.freed, Enqueue: reconcile.Queue},
			&reconcile.FeedSource{Feed: f.addresses.Changed(), Enqueue: f.whenAddresses},
		},
		Workers:   workers,
		Gather:    f.gather,
		Claim:     f.claim,
		Translate: Translate,
		Record:    f.record(),
	}
}

// edited lets edits of the spec and of annotations through, of our finalizer, and of the verdict and what is in force, which are then written
// again. A deletion that waits for a finalizer counts as an edit. The news of usage is dropped.
var edited = predicate.Or(predicate.GenerationChangedPredicate{}, predicate.Funcs{
	CreateFunc:  func(event.CreateEvent) bool { return false },
	DeleteFunc:  func(event.DeleteEvent) bool { return false },
	GenericFunc: func(event.GenericEvent) bool { return false },
	UpdateFunc: func(e event.UpdateEvent) bool {
		before, after := e.ObjectOld.(*v1.Subnet), e.ObjectNew.(*v1.Subnet)
		return !slices.Equal(before.Finalizers, after.Finalizers) || !maps.Equal(before.Annotations, after.Annotations) ||
			!equality.Semantic.DeepEqual(before.Status.Conditions, after.Status.Conditions) ||
			!equality.Semantic.DeepEqual(before.Status.InForce, after.Status.InForce)
	},
})

type feature struct {
	client   client.Client
	pools    *pool.Pools
	config   Settings
	defaults spec.Defaults
	// subnets finds Subnets by their ranges; addresses knows those of nodes and of the API server.
	subnets   *cidr.Map
	addresses *nodeaddr.Judge
	// chooser knows which Subnets name a Namespace.
	chooser *pool.Chooser
	memory  *memory
	usage   *pace
}

// vpcGoesOn drops what a Vpc says besides being there, or about to go.
var vpcGoesOn = predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
	return e.ObjectOld.GetDeletionTimestamp().IsZero() != e.ObjectNew.GetDeletionTimestamp().IsZero()
}}

// whenVpc are the Subnets of a Vpc of which nothing is in force.
func (f *feature) whenVpc(ctx context.Context, vpc client.Object) []ctrl.Request {
	subnets, err := f.subnets.In(ctx, vpc.GetName())
	if err != nil {
		return nil // the cache only fails to list while the manager stops
	}
	var out []ctrl.Request
	for _, s := range subnets {
		if s.Status.InForce == nil {
			out = append(out, reconcile.Request(s.Name))
		}
	}
	return out
}

// whenNode are the refused subnets that want an address that a node reports, or reported.
func (f *feature) whenNode(ctx context.Context, obj client.Object) []ctrl.Request {
	return f.refused(ctx, nodeaddr.Reported(obj.(*corev1.Node)))
}

// whenAPIServer are the refused subnets that want an address that the API server has, or had.
func (f *feature) whenAPIServer(ctx context.Context, obj client.Object) []ctrl.Request {
	return f.refused(ctx, nodeaddr.APIServerOf(obj))
}

// whenAddresses looks again at the refused subnets that want an address of a node whose accepted addresses are others
// than before.
func (f *feature) whenAddresses(queue workqueue.TypedRateLimitingInterface[ctrl.Request], node string) {
	var obj corev1.Node
	if f.client.Get(context.Background(), types.NamespacedName{Name: node}, &obj) != nil {
		return // its going is an event of its own
	}
	for _, request := range f.whenNode(context.Background(), &obj) {
		queue.Add(request)
	}
}

// refused are the subnets that are not in force and want one of the addresses. Those in force keep their range whoever
// comes to have an address in it.
func (f *feature) refused(ctx context.Context, addresses []netip.Addr) []ctrl.Request {
	var out []ctrl.Request
	for _, a := range addresses {
		subnets, err := f.subnets.Default(ctx, netip.PrefixFrom(a, a.BitLen()))
		if err != nil {
			return nil // the cache only fails to list while the manager stops
		}
		for _, s := range subnets {
			if !cidr.InForce(s) {
				out = append(out, reconcile.Request(s.Name))
			}
		}
	}
	return out
}
