package service

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/reconcile"
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
