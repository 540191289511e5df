package service

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// VariablesIn is all that the template variables of a node's chassis depend on.
type VariablesIn struct {
	// Exists is false when the node is gone.
	Exists bool
	// Topology is the node and its zone.
	Topology Topology
	// VIPs are the virtual addresses whose backends depend on the client's zone or node.
	VIPs []Address
}

// TranslateVariables makes the row of one node. It depends on which Services and nodes there are, and not on endpoints:
// a change of a variable is a full recompute in northd.
//
// The row stays when nothing is in it. An ovn-controller that hears in one turn of a row that has gone and of one that has
// come for its chassis fails an assertion (template_vars_update, at least up to OVN 26.03): all nodes' would.
func TranslateVariables(in VariablesIn) (ovs.Desired, reconcile.Problems) {
	var want ovs.Desired
	values := map[string]string{}
	for _, vip := range in.VIPs {
		values[variable(vip.Addr, vip.Scope, in.Topology.name(vip.Scope))] = vip.String()
	}
	if in.Exists {
		// The daemon gives the chassis the name of its node.
		want.Add(variables(in.Topology.Node), &nb.ChassisTemplateVar{Chassis: in.Topology.Node, Variables: values})
	}
	return want, nil
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

type variablesFeature struct{ reader client.Reader }

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

func (f *variablesFeature) gather(ctx context.Context, r client.Reader, key types.NamespacedName) (VariablesIn, error) {
	in := VariablesIn{Topology: Topology{Node: key.Name}}
	var node corev1.Node
	if err := r.Get(ctx, key, &node); err != nil {
		return in, client.IgnoreNotFound(err)
	}
	in.Exists, in.Topology = true, topologyOf(&node)
	var asking corev1.ServiceList
	if err := r.List(ctx, &asking, client.MatchingFields{asksIndex: asksVariables}); err != nil {
		return in, fmt.Errorf("listing Services that have variables: %w", err)
	}
	services := map[types.NamespacedName]*corev1.Service{}
	for i := range asking.Items {
		services[client.ObjectKeyFromObject(&asking.Items[i])] = &asking.Items[i]
	}
	var slices discoveryv1.EndpointSliceList
	if err := r.List(ctx, &slices, client.MatchingFields{hintedIndex: "true"}); err != nil {
		return in, fmt.Errorf("listing EndpointSlices with hints: %w", err)
	}
	hints := map[types.NamespacedName][]*discoveryv1.EndpointSlice{}
	for i := range slices.Items {
		for _, req := range serviceOf(ctx, &slices.Items[i]) {
			hints[req.NamespacedName] = append(hints[req.NamespacedName], &slices.Items[i])
		}
	}
	for name := range hints {
		var svc corev1.Service
		if services[name] != nil {
			continue
		}
		if err := r.Get(ctx, name, &svc); client.IgnoreNotFound(err) != nil {
			return in, fmt.Errorf("reading Service %s: %w", name, err)
		} else if err == nil {
			services[name] = &svc
		}
	}
	for name, svc := range services {
		in.VIPs = append(in.VIPs, TopologyAddresses(svc, hints[name])...)
	}
	return in, nil
}

// TopologyAddresses are the virtual addresses of a Service that are written as variables. Slices that have no hints do not matter.
func TopologyAddresses(s *corev1.Service, hinted []*discoveryv1.EndpointSlice) []Address {
	if !ours(s) {
		return nil
	}
	var out []Address
	for _, a := range addresses(s, hinted) {
		if a.Scope != Cluster {
			out = append(out, a)
		}
	}
	return out
}
