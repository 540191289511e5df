package service

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/errors"
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
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/spec"
)

// Indexes, so that nothing is looked for among all Services and EndpointSlices.
const (
	// serviceNameIndex finds the EndpointSlices of a Service.
	serviceNameIndex = "service"
	// hintedIndex finds the EndpointSlices that have hints.
	hintedIndex = "hinted"
	// asksIndex finds the Services that by themselves ask for nodes to be looked at, or for variables.
	asksIndex                = "asks"
	asksNodes, asksVariables = "nodes", "variables"
	// vpcIndex finds the Services that name a Vpc.
	vpcIndex = "vpc"
)

// index asks for the indexes that the features of this package read.
func index(env *reconcile.Env) {
	for _, i := range []struct {
		obj  client.Object
		name string
		keys client.IndexerFunc
	}{
		{&discoveryv1.EndpointSlice{}, serviceNameIndex, func(obj client.Object) []string {
			return []string{obj.GetLabels()[discoveryv1.LabelServiceName]}
		}},
		{&discoveryv1.EndpointSlice{}, hintedIndex, func(obj client.Object) []string {
			if hinted(obj.(*discoveryv1.EndpointSlice)) == Cluster {
				return nil
			}
			return []string{"true"}
		}},
		{&corev1.Service{}, asksIndex, func(obj client.Object) []string { return asks(obj.(*corev1.Service)) }},
		{&corev1.Service{}, vpcIndex, func(obj client.Object) []string { return named(obj.GetAnnotations()[v1.AnnotationVpc]) }},
		{&corev1.Service{}, frontendIndex, func(obj client.Object) []string { return frontends(obj.(*corev1.Service), false) }},
	} {
		env.Index(i.obj, i.name, i.keys)
	}
}

// named is a name as the keys of an index; none is no key.
func named(name string) []string {
	if name == "" {
		return nil
	}
	return []string{name}
}

func asks(s *corev1.Service) []string {
	var out []string
	if preference(s) != Cluster || hasLocalPorts(s) {
		out = append(out, asksNodes)
	}
	if preference(s) != Cluster || isLocal(s) {
		out = append(out, asksVariables)
	}
	return out
}

// New is the Service feature.
func New(env *reconcile.Env) reconcile.Feature[Input] {
	index(env)
	f := &feature{
		reader: env.Client, addresses: nodeaddr.JudgeOf(env), defaultVpc: reconcile.Setting[spec.Defaults](env).Vpc, events: env.Events,
		unheeded: reconcile.Unheeded{Events: env.Events, Heeded: heeded},
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
		Sources: []source.Source{&reconcile.FeedSource{Feed: f.addresses.Changed(), Enqueue: f.whenAddresses}, f.renewal.Source()},
		Workers: 4, Gather: f.gather, Translate: Translate, Report: f.report,
	}
}

type feature struct {
	reader client.Reader
	// addresses knows those of nodes.
	addresses *nodeaddr.Judge
	// defaultVpc is where Services are reached that name no Vpc.
	defaultVpc string
	// events tells users why a Service is not reached.
	events recorder.EventRecorder
	// unheeded tells which annotations of Kube-OVN are not in force.
	unheeded reconcile.Unheeded
	// renewal tells again that a Service is not reached.
	renewal reconcile.Renewal
}

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

// report tells the Service's author what keeps it from being reached. A Service has no condition of ours.
func (f *feature) report(_ context.Context, key types.NamespacedName, in Input, out reconcile.Outcome) error {
	if in.Service == nil {
		f.unheeded.Forget(key)
		return nil
	}
	f.unheeded.Tell(in.Service, false)
	if wrong := out.Problems; len(wrong) > 0 {
		f.events.Eventf(in.Service, nil, "Warning", wrong[0].Reason, "Balance", "%s", reconcile.Note(wrong.String()))
		f.renewal.Told(key)
	}
	return nil
}

// serviceOf is the Service that an EndpointSlice carries the name of.
func serviceOf(_ context.Context, obj client.Object) []ctrl.Request {
	name := obj.GetLabels()[discoveryv1.LabelServiceName]
	if name == "" {
		return nil
	}
	return []ctrl.Request{{NamespacedName: types.NamespacedName{Namespace: obj.GetNamespace(), Name: name}}}
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

func (f *feature) gather(ctx context.Context, r client.Reader, key types.NamespacedName) (Input, error) {
	in := Input{Key: reconcile.Key(key), Vpc: f.defaultVpc}
	var svc corev1.Service
	if err := r.Get(ctx, key, &svc); err != nil {
		return in, client.IgnoreNotFound(err)
	}
	in.Service = &svc
	if vpc := svc.Annotations[v1.AnnotationVpc]; vpc != "" {
		in.Vpc = vpc
		err := r.Get(ctx, types.NamespacedName{Name: vpc}, &v1.Vpc{})
		if in.NoVpc = errors.IsNotFound(err); err != nil && !in.NoVpc {
			return in, fmt.Errorf("reading vpc %s: %w", vpc, err)
		}
	}
	var err error
	if in.Taken, err = f.taken(ctx, r, &svc); err != nil {
		return in, err
	}
	if in.Slices, err = slicesOf(ctx, r, key); err != nil || !in.asksNodes() {
		return in, err
	}
	var nodes corev1.NodeList
	if err := r.List(ctx, &nodes, client.UnsafeDisableDeepCopy); err != nil {
		return in, fmt.Errorf("listing nodes: %w", err)
	}
	for i := range nodes.Items {
		node := &nodes.Items[i]
		addresses, err := f.addresses.Of(ctx, node)
		if err != nil {
			return in, err //nolint:wrapcheck // it says what could not be read
		}
		in.Nodes = append(in.Nodes, Host{Topology: topologyOf(node), Addrs: addresses.Internal})
	}
	return in, nil
}

// asksNodes says whether the rows depend on which nodes there are.
func (in Input) asksNodes() bool {
	if slices.Contains(asks(in.Service), asksNodes) {
		return true
	}
	return slices.ContainsFunc(in.Slices, func(s *discoveryv1.EndpointSlice) bool { return hinted(s) != Cluster })
}

func slicesOf(ctx context.Context, r client.Reader, key types.NamespacedName) ([]*discoveryv1.EndpointSlice, error) {
	var list discoveryv1.EndpointSliceList
	if err := r.List(ctx, &list, client.InNamespace(key.Namespace), client.MatchingFields{serviceNameIndex: key.Name}); err != nil {
		return nil, fmt.Errorf("listing endpoints of %s: %w", key, err)
	}
	var out []*discoveryv1.EndpointSlice
	for i := range list.Items {
		out = append(out, &list.Items[i])
	}
	return out, nil
}
