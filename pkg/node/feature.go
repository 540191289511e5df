package node

import (
	"context"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/recorder"
	"sigs.k8s.io/controller-runtime/pkg/source"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/nodeaddr"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/spec"
	"github.com/woven-cni/woven/pkg/subnet"
)

// workers wait for the database nearly all the time; so many nodes can go in one transaction.
const workers = 256

// New is the Node feature: it takes nodes' addresses from pools and tells each node its own by annotations.
func New(env *reconcile.Env) reconcile.Feature[Input] {
	f := &feature{
		client: env.Client, pools: pool.PoolsOf(env), defaults: reconcile.Setting[spec.Defaults](env),
		addresses: nodeaddr.JudgeOf(env), events: env.Events,
		unheeded: reconcile.Unheeded{Events: env.Events, Heeded: heeded},
	}
	return reconcile.Feature[Input]{
		Name: FeatureName,
		For:  &corev1.Node{},
		When: relevant,
		Watches: append(f.addresses.Watches(),
			reconcile.Watch{Kind: &v1.Subnet{}, Map: f.whenJoin, When: []predicate.Predicate{subnet.FitsOtherwise}}),
		Sources: []source.Source{&reconcile.FeedSource{Feed: f.pools.Turns(FeatureName), Enqueue: reconcile.Queue}, f.renewal.Source()},
		Workers: workers, Gather: f.gather, Claim: f.claim, Translate: Translate, Report: f.report, Record: f.record(),
	}
}

type feature struct {
	client   client.Client
	pools    *pool.Pools
	defaults spec.Defaults
	// addresses decides which of the addresses that nodes report are theirs.
	addresses *nodeaddr.Judge
	// events tells why a node has no address, and which of those that it reports do not count.
	events recorder.EventRecorder
	// unheeded tells which annotations of Kube-OVN are not in force.
	unheeded reconcile.Unheeded
	// renewal tells again that a node has no address, or none of those that it reports.
	renewal reconcile.Renewal
	told    sync.Map // node -> []netip.Addr: the accepted addresses that others have been told of
}

// relevant drops the heartbeats.
var relevant = predicate.Funcs{
	UpdateFunc: func(e event.UpdateEvent) bool {
		before, after := e.ObjectOld, e.ObjectNew
		return nodeaddr.ReportsOthers.Update(e) || !sameAnnotations(before, after)
	},
}

func sameAnnotations(a, b client.Object) bool {
	if !slices.Equal(heeded.Unheeded(a.GetAnnotations()), heeded.Unheeded(b.GetAnnotations())) {
		return false
	}
	for _, key := range []string{
		v1.AnnotationIPAddress, v1.AnnotationMACAddress, v1.AnnotationCIDR, v1.AnnotationGateway,
		v1.AnnotationAllocated, v1.AnnotationLogicalSwitch, v1.AnnotationPortName,
	} {
		if a.GetAnnotations()[key] != b.GetAnnotations()[key] {
			return false
		}
	}
	return true
}

// whenJoin looks at every node again when the subnet of the nodes is edited.
func (f *feature) whenJoin(ctx context.Context, obj client.Object) []ctrl.Request {
	var nodes corev1.NodeList
	if obj.GetName() != f.defaults.Join || f.client.List(ctx, &nodes) != nil {
		return nil
	}
	out := make([]ctrl.Request, len(nodes.Items))
	for i := range nodes.Items {
		out[i] = ctrl.Request{NamespacedName: types.NamespacedName{Name: nodes.Items[i].Name}}
	}
	return out
}
