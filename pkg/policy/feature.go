package policy

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/recorder"
	"sigs.k8s.io/controller-runtime/pkg/source"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/group"
	"github.com/woven-cni/woven/pkg/nodeaddr"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/engine"
	"github.com/woven-cni/woven/pkg/policy/rules"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// parts are what the features of policies work with.
type parts struct {
	// Client writes statuses.
	Client client.Client
	// Groups knows which pods a policy selects.
	Groups *group.Registry
	// Events tells users what is wrong with a policy.
	Events recorder.EventRecorder
	// Cache is where policies are watched whose API comes late.
	Cache cache.Cache
	// DB says which groups rows speak of from before this process.
	DB  *engine.DB
	Log logr.Logger
}

// workers wait on the network nearly all the time.
const workers = 8

// NewNetworkPolicies is the feature of NetworkPolicies.
func NewNetworkPolicies(env *reconcile.Env) reconcile.Feature[Input] {
	return newFeature(env, NetworkPolicyName)
}

// NewClusterNetworkPolicies is the feature of ClusterNetworkPolicies.
func NewClusterNetworkPolicies(env *reconcile.Env) reconcile.Feature[Input] {
	return newFeature(env, ClusterNetworkPolicyName)
}

// NewAdminNetworkPolicies is the feature of AdminNetworkPolicies.
func NewAdminNetworkPolicies(env *reconcile.Env) reconcile.Feature[Input] {
	return newFeature(env, AdminNetworkPolicyName)
}

// NewBaselineAdminNetworkPolicies is the feature of BaselineAdminNetworkPolicies.
func NewBaselineAdminNetworkPolicies(env *reconcile.Env) reconcile.Feature[Input] {
	return newFeature(env, BaselineAdminNetworkPolicyName)
}

// newFeature is the feature of the policies of one API.
func newFeature(env *reconcile.Env, kind string) reconcile.Feature[Input] {
	f := &feature{
		parts: parts{
			Client: env.Client, Groups: group.RegistryOf(env), Events: env.Events, Cache: env.Cache, DB: env.DB, Log: env.Log.WithName("seed"),
		},
		kind: kindsOf(env).named(kind), hosts: hostsOf(env),
	}
	return f.feature()
}

// feature is the kind at work.
type feature struct {
	parts
	kind
	// waits are told of when they are long, and pace is how often numbers of pods are.
	waits reconcile.LongWaits
	pace  pace
	// hosts are the nodes, and hostReaders the policies whose rows depend on their addresses.
	hosts       *hosts
	hostReaders reconcile.Readers
}

func (f *feature) feature() reconcile.Feature[Input] {
	out := reconcile.Feature[Input]{
		Name: f.name,
		Sources: []source.Source{
			&reconcile.FeedSource{Feed: f.Groups.Users(), Enqueue: f.enqueue(func(string, time.Time) time.Duration { return 0 })},
			&reconcile.FeedSource{Feed: f.Groups.Counts(), Enqueue: f.enqueue(f.pace.next)},
			&reconcile.FeedSource{Feed: f.hosts.addresses.Changed(), Enqueue: f.whenAddresses},
			f.waits.Source(),
		},
		Workers: workers, Seed: f.seed, Gather: f.gather, Claim: f.claim, Translate: Translate, Report: f.report,
	}
	if f.served() {
		out.For, out.When = f.empty(), edited(annotationsOfUsers)
		out.Watches = []reconcile.Watch{{Kind: &corev1.Node{}, Map: f.whenNode, When: []predicate.Predicate{nodeChanged}}}
		return out
	}
	out.Sources = append(out.Sources, &onArrival{f.presence, []source.Source{
		source.Kind(f.Cache, f.empty(), &handler.EnqueueRequestForObject{}, edited(annotationsOfUsers)),
		source.Kind(f.Cache, client.Object(&corev1.Node{}), handler.EnqueueRequestsFromMapFunc(f.whenNode), nodeChanged),
	}})
	return out
}

// enqueue takes the owners of this kind out of a feed; after says how long each waits.
func (f *feature) enqueue(after func(key string, now time.Time) time.Duration) func(workqueue.TypedRateLimitingInterface[ctrl.Request], string) {
	return func(q workqueue.TypedRateLimitingInterface[ctrl.Request], owner string) {
		if key, ok := strings.CutPrefix(owner, f.name+"/"); ok {
			q.AddAfter(reconcile.Request(key), after(key, time.Now()))
		}
	}
}

// edited lets through what may change a policy's rows: a new generation, or annotations that say something.
func edited(annotations []string) predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, after := e.ObjectOld, e.ObjectNew
		return before.GetGeneration() != after.GetGeneration() || before.GetUID() != after.GetUID() ||
			slices.ContainsFunc(annotations, func(key string) bool { return before.GetAnnotations()[key] != after.GetAnnotations()[key] })
	}}
}

var annotationsOfUsers = []string{
	v1.AnnotationPolicyLog, v1.AnnotationPolicyLogActions, v1.AnnotationPolicyLogRate, v1.AnnotationPolicyEnforcement, v1.AnnotationPolicyFor,
}

// nodeChanged lets through nodes that go or have other labels than before. Of their addresses, also when they come, the
// feature of nodes tells.
var nodeChanged = predicate.Funcs{CreateFunc: func(event.CreateEvent) bool { return false }, UpdateFunc: func(e event.UpdateEvent) bool {
	before, after := e.ObjectOld.(*corev1.Node), e.ObjectNew.(*corev1.Node)
	return nodeaddr.ReportsOthers.Update(e) ||
		before.Annotations[v1.AnnotationIPAddress] != after.Annotations[v1.AnnotationIPAddress] || !maps.Equal(before.Labels, after.Labels)
}}

// whenNode looks again at the policies that let in networks: the node may be within them.
func (f *feature) whenNode(context.Context, client.Object) []ctrl.Request {
	f.hosts.forget()
	return f.hostReaders.Requests()
}

// whenAddresses does the same when the accepted addresses of a node are others than before.
func (f *feature) whenAddresses(queue workqueue.TypedRateLimitingInterface[ctrl.Request], _ string) {
	for _, request := range f.whenNode(context.Background(), nil) {
		queue.Add(request)
	}
}

// speaksOfHosts says whether a policy's rows depend on the addresses of nodes.
func speaksOfHosts(p *rules.Policy) bool {
	return slices.ContainsFunc(p.Ingress.Rules, func(r rules.Rule) bool { return !r.Peers.Networks.Empty() }) ||
		slices.ContainsFunc(p.Egress.Rules, func(r rules.Rule) bool {
			return len(r.Peers.Nodes) > 0 || r.Peers.Networks.HasExceptions()
		})
}

func (f *feature) owner(key string) ovs.Owner { return ovs.Owner{Feature: f.name, Key: key} }
