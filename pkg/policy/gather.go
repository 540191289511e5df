package policy

import (
	"context"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/woven-cni/woven/pkg/node"
	"github.com/woven-cni/woven/pkg/nodeaddr"
	"github.com/woven-cni/woven/pkg/reconcile"
)

func (f *feature) gather(ctx context.Context, r client.Reader, key types.NamespacedName) (Input, error) {
	in := Input{Owner: f.owner(reconcile.Key(key))}
	if !f.served() {
		return in, nil
	}
	obj := f.empty()
	if err := r.Get(ctx, key, obj); err != nil {
		f.hostReaders.Note(key, false)
		return in, client.IgnoreNotFound(err)
	}
	in.Object = obj
	in.Policy, in.Problems = f.parse(obj)
	asksHosts := len(in.Problems.Blocking()) == 0 && speaksOfHosts(&in.Policy)
	f.hostReaders.Note(key, asksHosts)
	if asksHosts {
		var err error
		if in.Hosts, err = f.hosts(ctx, r); err != nil {
			return in, err
		}
	}
	return in, nil
}

// hosts are the addresses of all nodes that have one on the join subnet: those that are accepted as theirs, and those that
// the controller has given them. What a Node's annotations say, its kubelet may have written.
func (f *feature) hosts(ctx context.Context, r client.Reader) ([]Host, error) {
	var list corev1.NodeList
	if err := r.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing nodes: %w", err)
	}
	var out []Host
	for i := range list.Items {
		h := Host{Labels: list.Items[i].Labels}
		_, join := f.Pools.Held(node.PortKey(list.Items[i].Name))
		for _, a := range []netip.Addr{join.V4, join.V6} {
			if a.IsValid() {
				h.Join = append(h.Join, a)
			}
		}
		if len(h.Join) == 0 {
			continue // its annotation will wake the policy
		}
		addresses, err := f.Addresses.Of(ctx, &list.Items[i])
		if err != nil {
			return nil, err //nolint:wrapcheck // it says what could not be read
		}
		h.Known, h.Reported = append(addresses.Internal, addresses.External...), nodeaddr.Reported(&list.Items[i])
		out = append(out, h)
	}
	return out, nil
}
