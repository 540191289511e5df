package nodeaddr

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/cidr"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// addressIndex finds the nodes that report an address, or one in a range.
const addressIndex = "address"

// apiServer is the Service, in the namespace default, whose endpoints are the API server.
const apiServer = "kubernetes"

func addressKeys(obj client.Object) []string {
	var out []string
	for _, a := range Reported(obj.(*corev1.Node)) {
		for _, key := range cidr.Keys(single(a)) {
			if text := key.String(); !slices.Contains(out, text) {
				out = append(out, text)
			}
		}
	}
	return out
}

// claims are the addresses in a Node's status that can be addresses of the node's own, by their type.
func claims(node *corev1.Node) []corev1.NodeAddress {
	var out []corev1.NodeAddress
	for _, a := range node.Status.Addresses {
		if a.Type == corev1.NodeInternalIP || a.Type == corev1.NodeExternalIP {
			out = append(out, a)
		}
	}
	return out
}

// parse reads an address as OVN would match it: an IPv4 address in IPv6's clothes is an IPv4 address.
func parse(text string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(text)
	a = a.Unmap()
	return a, err == nil && a.Zone() == "" && a.IsGlobalUnicast()
}

// Reported are the addresses that a Node's status claims, accepted or not; as many of them as are looked at.
func Reported(node *corev1.Node) []netip.Addr {
	var out []netip.Addr
	all := claims(node)
	for _, reported := range all[:min(len(all), most)] {
		if a, ok := parse(reported.Address); ok {
			out = append(out, a)
		}
	}
	return out
}

func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// reporting are the nodes that report an address in a range, each once. They are the cache's own: read them only.
func (j *Judge) reporting(ctx context.Context, p netip.Prefix) ([]*corev1.Node, error) {
	var out []*corev1.Node
	for _, piece := range cidr.Cut(p) {
		var list corev1.NodeList
		if err := j.reader.List(ctx, &list, client.MatchingFields{addressIndex: piece.String()}, client.UnsafeDisableDeepCopy); err != nil {
			return nil, fmt.Errorf("listing the nodes with addresses in %s: %w", p, err)
		}
		for i := range list.Items {
			node := &list.Items[i]
			if !slices.ContainsFunc(out, func(n *corev1.Node) bool { return n.Name == node.Name }) {
				out = append(out, node)
			}
		}
	}
	return out, nil
}

// Watches are the events of others that decide about a node's addresses, for the feature of nodes: other nodes that report
// the same one, Subnets, and the API server's addresses.
func (j *Judge) Watches() []reconcile.Watch {
	return []reconcile.Watch{
		{Kind: &corev1.Node{}, Map: j.rivals, When: []predicate.Predicate{ReportsOthers}},
		{Kind: &v1.Subnet{}, Map: j.inSubnet, When: []predicate.Predicate{forceChanged}},
		{Kind: &discoveryv1.EndpointSlice{}, Map: j.ofAPIServer},
	}
}

// ReportsOthers lets a node's coming and going through, and a change of what decides about its addresses.
var ReportsOthers = predicate.Funcs{
	UpdateFunc: func(e event.UpdateEvent) bool {
		before, after := e.ObjectOld.(*corev1.Node), e.ObjectNew.(*corev1.Node)
		return !slices.Equal(before.Status.Addresses, after.Status.Addresses) || isControlPlane(before) != isControlPlane(after)
	},
}

func isControlPlane(node *corev1.Node) bool {
	_, control := node.Labels[labelControlPlane]
	_, master := node.Labels[labelMaster]
	return control || master
}

// forceChanged lets Subnets through of which other ranges are in force than before.
var forceChanged = predicate.Funcs{
	UpdateFunc: func(e event.UpdateEvent) bool {
		before, after := e.ObjectOld.(*v1.Subnet), e.ObjectNew.(*v1.Subnet)
		return !slices.Equal(cidr.Held(before), cidr.Held(after)) || before.Spec.Vpc != after.Spec.Vpc
	},
}

func (j *Judge) rivals(ctx context.Context, obj client.Object) []ctrl.Request {
	var ranges []netip.Prefix
	for _, a := range Reported(obj.(*corev1.Node)) {
		ranges = append(ranges, single(a))
	}
	return j.requests(ctx, obj.GetName(), ranges)
}

func (j *Judge) inSubnet(ctx context.Context, obj client.Object) []ctrl.Request {
	return j.requests(ctx, "", cidr.Held(obj.(*v1.Subnet)))
}

func (j *Judge) ofAPIServer(ctx context.Context, obj client.Object) []ctrl.Request {
	var ranges []netip.Prefix
	for _, a := range APIServerOf(obj) {
		ranges = append(ranges, single(a))
	}
	return j.requests(ctx, "", ranges)
}

// APIServerOf are the addresses in an EndpointSlice if it is one of the API server's.
func APIServerOf(obj client.Object) []netip.Addr {
	slice := obj.(*discoveryv1.EndpointSlice)
	if slice.Namespace != corev1.NamespaceDefault || slice.Labels[discoveryv1.LabelServiceName] != apiServer {
		return nil
	}
	return endpoints(slice)
}

func endpoints(slice *discoveryv1.EndpointSlice) []netip.Addr {
	var out []netip.Addr
	for _, e := range slice.Endpoints {
		for _, text := range e.Addresses {
			if a, err := netip.ParseAddr(text); err == nil {
				out = append(out, a.Unmap())
			}
		}
	}
	return out
}

// requests are the nodes, but for one, that report an address in one of the ranges.
func (j *Judge) requests(ctx context.Context, but string, ranges []netip.Prefix) []ctrl.Request {
	var out []ctrl.Request
	for _, p := range ranges {
		nodes, err := j.reporting(ctx, p)
		if err != nil {
			return nil // the cache only fails to list while the manager stops
		}
		for _, node := range nodes {
			if request := reconcile.Request(node.Name); node.Name != but && !slices.Contains(out, request) {
				out = append(out, request)
			}
		}
	}
	return out
}
