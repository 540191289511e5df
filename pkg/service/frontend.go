package service

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/woven-cni/woven/pkg/reconcile"
)

// frontendIndex finds the Services that are called by an address, protocol and port.
const frontendIndex = "frontend"

// frontend is what a client calls, "192.0.2.9:80/tcp".
func frontend(a netip.Addr, port corev1.ServicePort) string {
	return join(a, port.Port) + "/" + protocolText(protocolOf(port))
}

// frontends are those of a Service, all or only those that other Services may have, too: the API server gives each ClusterIP
// to one Service, and users write addresses for the outside as they like.
func frontends(s *corev1.Service, outer bool) []string {
	if !ours(s) {
		return nil
	}
	var out []string
	for _, a := range addresses(s, nil) {
		for _, port := range s.Spec.Ports {
			if !outer || !a.cluster {
				out = append(out, frontend(a.Addr, port))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// taken are the frontends of a Service in a Vpc that another one there has, by whom: whose ClusterIP it is, else the older one.
// OVN would serve whichever of the two load balancers came last.
func (f *feature) taken(ctx context.Context, r client.Reader, s *corev1.Service, vpc string) (map[string]string, error) {
	var out map[string]string
	for _, front := range frontends(s, true) {
		var others corev1.ServiceList
		if err := r.List(ctx, &others, client.MatchingFields{frontendIndex: front}); err != nil {
			return nil, fmt.Errorf("listing the services at %s: %w", front, err)
		}
		var here []corev1.Service
		for _, other := range others.Items {
			in, err := f.vpcOf(ctx, r, &other)
			if err != nil {
				return nil, err
			}
			if in == vpc {
				here = append(here, other)
			}
		}
		if len(here) == 0 {
			continue
		}
		first := slices.MinFunc(here, func(a, b corev1.Service) int { return precedence(&a, &b, front) })
		if first.Namespace != s.Namespace || first.Name != s.Name {
			if out == nil {
				out = map[string]string{}
			}
			out[front] = reconcile.Key(client.ObjectKeyFromObject(&first))
		}
	}
	return out, nil
}

// precedence sorts Services by their claim to a frontend.
func precedence(a, b *corev1.Service, front string) int {
	guest := func(s *corev1.Service) int {
		if slices.Contains(frontends(s, true), front) {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(guest(a), guest(b)), a.CreationTimestamp.Compare(b.CreationTimestamp.Time),
		cmp.Compare(reconcile.Key(client.ObjectKeyFromObject(a)), reconcile.Key(client.ObjectKeyFromObject(b))))
}
