package service

import (
	"context"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/pod"
)

// vpcOf is the Vpc that a Service is in: the one that it names, else that of its pods, else the default one. Of pods in several
// it is the first by name.
func (f *feature) vpcOf(ctx context.Context, r client.Reader, s *corev1.Service) (string, error) {
	if name := s.Annotations[v1.AnnotationVpc]; name != "" {
		return name, nil
	}
	endpoints, err := slicesOf(ctx, r, client.ObjectKeyFromObject(s))
	if err != nil {
		return "", err
	}
	homes := map[string]struct{}{}
	for _, slice := range endpoints {
		for _, e := range slice.Endpoints {
			if home := f.homeOf(s.Namespace, e); home != "" {
				homes[home] = struct{}{}
			}
		}
	}
	first := ""
	for home := range homes {
		in, inForce, err := f.subnets.Home(ctx, home)
		if err != nil {
			return "", err //nolint:wrapcheck // it says what could not be read
		}
		if inForce && (first == "" || in.VPC < first) {
			first = in.VPC
		}
	}
	if first == "" {
		return f.defaultVpc, nil
	}
	return first, nil
}

// homeOf is the Subnet of the pod that an endpoint is, or "". Anybody may write endpoints: one counts if it names a pod of the
// Service's own namespace and has an address that this pod has, as the pools know it.
func (f *feature) homeOf(namespace string, e discoveryv1.Endpoint) string {
	if e.TargetRef == nil || e.TargetRef.Kind != "Pod" || e.TargetRef.Namespace != namespace {
		return ""
	}
	home, lease := f.pools.Held(pod.PortKey(types.NamespacedName{Namespace: namespace, Name: e.TargetRef.Name}))
	has := func(address string) bool {
		a, err := netip.ParseAddr(address)
		return err == nil && slices.Contains(lease.List(), a)
	}
	if !slices.ContainsFunc(e.Addresses, has) {
		return ""
	}
	return home
}
