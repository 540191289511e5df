package service

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/reconcile"
)

func (f *feature) gather(ctx context.Context, r client.Reader, key types.NamespacedName) (Input, error) {
	in := Input{Key: reconcile.Key(key)}
	var svc corev1.Service
	if err := r.Get(ctx, key, &svc); err != nil {
		return in, client.IgnoreNotFound(err)
	}
	in.Service = &svc
	var err error
	if in.Vpc, err = f.vpcOf(ctx, r, &svc); err != nil {
		return in, err
	}
	if svc.Annotations[v1.AnnotationVpc] != "" {
		err := r.Get(ctx, types.NamespacedName{Name: in.Vpc}, &v1.Vpc{})
		if in.NoVpc = errors.IsNotFound(err); err != nil && !in.NoVpc {
			return in, fmt.Errorf("reading vpc %s: %w", in.Vpc, err)
		}
	}
	if in.Taken, err = f.taken(ctx, r, &svc, in.Vpc); err != nil {
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
