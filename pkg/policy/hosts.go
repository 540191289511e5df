package policy

import (
	"context"
	"fmt"
	"net/netip"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/woven-cni/woven/pkg/node"
	"github.com/woven-cni/woven/pkg/nodeaddr"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// hosts are the nodes as policies see them. They are read once for all policies of all kinds, and again after news of a node: if each
// policy that lets in a network read them, one node's news would cost as many reads as there are nodes and such policies.
type hosts struct {
	// addresses and pools know the addresses of nodes: their own, and those on the join subnet.
	addresses *nodeaddr.Judge
	pools     *pool.Pools

	mu   sync.Mutex // protects following; held while nodes are read from the cache, so that no news come between
	read bool
	list []Host
}

// hostsOf are the hosts that the features of policies share.
func hostsOf(env *reconcile.Env) *hosts {
	return reconcile.Shared(env, func(env *reconcile.Env) *hosts {
		return &hosts{addresses: nodeaddr.JudgeOf(env), pools: pool.PoolsOf(env)}
	})
}

// forget has the nodes read again: there are news of one.
func (h *hosts) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.read, h.list = false, nil
}

// all are the addresses of all nodes that have one on the join subnet: those that are accepted as theirs, and those that
// the controller has given them. What a Node's annotations say, its kubelet may have written. The list is shared: read it only.
func (h *hosts) all(ctx context.Context, r client.Reader) ([]Host, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.read {
		return h.list, nil
	}
	var nodes corev1.NodeList
	if err := r.List(ctx, &nodes, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing nodes: %w", err)
	}
	var list []Host
	for i := range nodes.Items {
		host, err := h.host(ctx, &nodes.Items[i])
		if err != nil {
			return nil, err
		}
		if len(host.Join) > 0 { // else its annotation will be news
			list = append(list, host)
		}
	}
	h.read, h.list = true, list
	return list, nil
}

func (h *hosts) host(ctx context.Context, n *corev1.Node) (Host, error) {
	out := Host{Labels: n.Labels, Reported: nodeaddr.Reported(n)}
	_, join := h.pools.Held(node.PortKey(n.Name))
	for _, a := range []netip.Addr{join.V4, join.V6} {
		if a.IsValid() {
			out.Join = append(out.Join, a)
		}
	}
	addresses, err := h.addresses.Of(ctx, n)
	out.Known = append(addresses.Internal, addresses.External...)
	return out, err //nolint:wrapcheck // it says what could not be read
}
