package service

import (
	"context"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
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

// New is the Service feature.
func New(env *reconcile.Env) reconcile.Feature[Input] {
	index(env)
	f := &feature{
		reader: env.Client, addresses: nodeaddr.JudgeOf(env), defaultVpc: reconcile.Setting[spec.Defaults](env).Vpc, events: env.Events,
		unheeded: reconcile.Unheeded{Events: env.Events, Heeded: heeded}, pools: pool.PoolsOf(env), subnets: subnet.FinderOf(env),
	}
	return reconcile.Feature[Input]{
		Name: FeatureName,
		For:  &corev1.Service{},
		Watches: []reconcile.Watch{
			{Kind: &discoveryv1.EndpointSlice{}, Map: serviceOf},
			{Kind: &corev1.Node{}, Map: f.dependents, When: []predicate.Predicate{topologyChanged}},
			{Kind: &v1.Vpc{}, Map: f.naming, When: []predicate.Predicate{reconcile.CameOrWent}},
			{Kind: &corev1.Service{}, Map: f.sharing, When: []predicate.Predicate{frontendsChanged}},
		},
		Sources: []source.Source{
			&reconcile.FeedSource{Feed: f.addresses.Changed(), Enqueue: f.whenAddresses}, f.renewal.Source(),
			&reconcile.FeedSource{Feed: &f.moved, Enqueue: reconcile.Queue},
		},
		Workers: 4, Gather: f.gather, Translate: Translate, Report: f.report,
	}
}

// NewVariables is the feature that tells each chassis which virtual addresses are for clients of its node and zone.
func NewVariables(env *reconcile.Env) reconcile.Feature[VariablesIn] {
	index(env)
	f := &variablesFeature{reader: env.Client}
	return reconcile.Feature[VariablesIn]{
		Name: VariablesFeatureName,
		For:  &corev1.Node{},
		When: topologyChanged,
		Watches: []reconcile.Watch{
			{Kind: &corev1.Service{}, Map: f.allNodes, When: []predicate.Predicate{asksForVariables}},
			{Kind: &discoveryv1.EndpointSlice{}, Map: f.whenHinted, When: []predicate.Predicate{hintsChanged}},
		},
		Workers: 4, Gather: f.gather, Translate: TranslateVariables,
	}
}

type feature struct {
	reader client.Reader
	// addresses knows those of nodes.
	addresses *nodeaddr.Judge
	// defaultVpc is where Services are reached that name no Vpc and have no pods in one. Pools and subnets know where pods are.
	defaultVpc string
	pools      *pool.Pools
	subnets    subnet.Finder
	// vpcs are where Services were at the last look, and moved delivers those that share a frontend with one that has moved.
	vpcs  sync.Map // types.NamespacedName -> string
	moved reconcile.Feed
	// events tells users why a Service is not reached.
	events recorder.EventRecorder
	// unheeded tells which annotations of Kube-OVN are not in force.
	unheeded reconcile.Unheeded
	// renewal tells again that a Service is not reached.
	renewal reconcile.Renewal
}

type variablesFeature struct{ reader client.Reader }

// naming are the Services that name a Vpc.
func (f *feature) naming(ctx context.Context, vpc client.Object) []ctrl.Request {
	var services corev1.ServiceList
	if f.reader.List(ctx, &services, client.MatchingFields{vpcIndex: vpc.GetName()}) != nil {
		return nil // the cache only fails to list while the manager stops
	}
	out := make([]ctrl.Request, len(services.Items))
	for i := range services.Items {
		out[i] = ctrl.Request{NamespacedName: client.ObjectKeyFromObject(&services.Items[i])}
	}
	return out
}

// sharing are the other Services that have a frontend of a Service.
func (f *feature) sharing(ctx context.Context, obj client.Object) []ctrl.Request {
	var out []ctrl.Request
	for _, front := range frontends(obj.(*corev1.Service), false) {
		var others corev1.ServiceList
		if f.reader.List(ctx, &others, client.MatchingFields{frontendIndex: front}) != nil {
			return nil // the cache only fails to list while the manager stops
		}
		for i := range others.Items {
			key := client.ObjectKeyFromObject(&others.Items[i])
			if request := (ctrl.Request{NamespacedName: key}); key != client.ObjectKeyFromObject(obj) && !slices.Contains(out, request) {
				out = append(out, request)
			}
		}
	}
	return out
}

// whenAddresses looks again at what depends on the nodes when one of them has other addresses than before.
func (f *feature) whenAddresses(queue workqueue.TypedRateLimitingInterface[ctrl.Request], _ string) {
	for _, request := range f.dependents(context.Background(), nil) {
		queue.Add(request)
	}
}

// dependents are the Services whose rows depend on the nodes.
func (f *feature) dependents(ctx context.Context, _ client.Object) []ctrl.Request {
	var services corev1.ServiceList
	var slices discoveryv1.EndpointSliceList
	if f.reader.List(ctx, &services, client.MatchingFields{asksIndex: asksNodes}) != nil ||
		f.reader.List(ctx, &slices, client.MatchingFields{hintedIndex: "true"}) != nil {
		return nil // the cache only fails to list while the manager stops
	}
	var out []ctrl.Request
	for i := range services.Items {
		out = append(out, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(&services.Items[i])})
	}
	for i := range slices.Items {
		out = append(out, serviceOf(ctx, &slices.Items[i])...)
	}
	return out
}

// serviceOf is the Service that an EndpointSlice carries the name of.
func serviceOf(_ context.Context, obj client.Object) []ctrl.Request {
	name := obj.GetLabels()[discoveryv1.LabelServiceName]
	if name == "" {
		return nil
	}
	return []ctrl.Request{{NamespacedName: types.NamespacedName{Namespace: obj.GetNamespace(), Name: name}}}
}

// whenHinted looks at all nodes when a slice has hints that its Service does not announce.
func (f *variablesFeature) whenHinted(ctx context.Context, obj client.Object) []ctrl.Request {
	for _, req := range serviceOf(ctx, obj) {
		var svc corev1.Service
		if f.reader.Get(ctx, req.NamespacedName, &svc) == nil && preference(&svc) < Node {
			return f.allNodes(ctx, obj)
		}
	}
	return nil
}

func (f *variablesFeature) allNodes(ctx context.Context, _ client.Object) []ctrl.Request {
	var nodes corev1.NodeList
	if f.reader.List(ctx, &nodes) != nil {
		return nil // the cache only fails to list while the manager stops
	}
	out := make([]ctrl.Request, len(nodes.Items))
	for i := range nodes.Items {
		out[i] = ctrl.Request{NamespacedName: types.NamespacedName{Name: nodes.Items[i].Name}}
	}
	return out
}

// topologyChanged lets a node's coming and going through, and a change of its zone. Of its addresses the feature of nodes tells.
var topologyChanged = predicate.Funcs{
	UpdateFunc: func(e event.UpdateEvent) bool {
		return topologyOf(e.ObjectOld.(*corev1.Node)) != topologyOf(e.ObjectNew.(*corev1.Node))
	},
}

func topologyOf(n *corev1.Node) Topology {
	return Topology{Node: n.Name, Zone: n.Labels[corev1.LabelTopologyZone]}
}

// frontendsChanged lets Services through that come, go, or are called by others than before, or elsewhere.
var frontendsChanged = predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
	before, after := e.ObjectOld.(*corev1.Service), e.ObjectNew.(*corev1.Service)
	return before.Annotations[v1.AnnotationVpc] != after.Annotations[v1.AnnotationVpc] ||
		!slices.Equal(frontends(before, false), frontends(after, false))
}}

// asksForVariables lets Services through that have variables, or had.
var asksForVariables = predicate.Funcs{
	CreateFunc: func(e event.CreateEvent) bool { return hasVariables(e.Object) },
	DeleteFunc: func(e event.DeleteEvent) bool { return hasVariables(e.Object) },
	UpdateFunc: func(e event.UpdateEvent) bool { return hasVariables(e.ObjectOld) || hasVariables(e.ObjectNew) },
}

func hasVariables(obj client.Object) bool {
	for _, what := range asks(obj.(*corev1.Service)) {
		if what == asksVariables {
			return true
		}
	}
	return false
}

// hintsChanged lets slices through that have got hints, or have lost them.
var hintsChanged = predicate.Funcs{
	CreateFunc: func(e event.CreateEvent) bool { return hintScope(e.Object) != Cluster },
	DeleteFunc: func(e event.DeleteEvent) bool { return hintScope(e.Object) != Cluster },
	UpdateFunc: func(e event.UpdateEvent) bool { return hintScope(e.ObjectOld) != hintScope(e.ObjectNew) },
}

func hintScope(obj client.Object) Scope { return hinted(obj.(*discoveryv1.EndpointSlice)) }
