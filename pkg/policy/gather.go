package policy

import (
	"context"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/group"
	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/policy/rules"
	"github.com/woven-cni/woven/pkg/reconcile"
)

func (f *feature) gather(ctx context.Context, r client.Reader, key types.NamespacedName) (In, error) {
	in := In{Owner: f.owner(reconcile.Key(key))}
	if err := f.Groups.AwaitSeed(ctx); err != nil || !f.served() {
		return in, err
	}
	obj := f.empty()
	if err := r.Get(ctx, key, obj); err != nil {
		return in, client.IgnoreNotFound(err)
	}
	in.Object = obj
	in.Policy, in.Problems = f.parse(obj)
	if len(in.Problems.Blocking()) > 0 {
		return in, nil
	}
	if speaksOfHosts(&in.Policy) {
		var err error
		if in.Hosts, err = hosts(ctx, r); err != nil {
			return in, err
		}
	}
	return in, f.selectPods(&in)
}

// selectPods sees to the groups that the rows will speak of. The groups of the rows that are in place stay in use until
// the new ones have taken over.
func (f *feature) selectPods(in *In) error {
	var err error
	if in.Groups, in.Numbers, err = Resolve(f.Groups, in.Owner, &in.Policy); err != nil {
		return err
	}
	lacks, err := f.Groups.Use(in.Owner, in.Groups...)
	if err != nil {
		return fmt.Errorf("selecting: %w", err)
	}
	if lacks != "" {
		return &reconcile.Wait{For: lacks}
	}
	in.Lacking = f.Groups.Lacking(in.Groups...)
	return nil
}

// Resolve finds out what the names of ports mean that a policy speaks of, and lists all the groups that its rows need.
func Resolve(groups *group.Registry, owner ovs.Owner, p *rules.Policy) ([]group.Selector, map[group.Selector][]int32, error) {
	all, numbers := p.Selectors(), map[group.Selector][]int32{}
	if _, err := groups.Use(owner, all...); err != nil {
		return nil, nil, fmt.Errorf("selecting: %w", err)
	}
	for _, s := range p.Named() {
		numbers[s] = groups.Numbers(s)
		for _, n := range numbers[s] {
			exact := s.Port
			exact.Number = n
			all = append(all, s.With(exact))
		}
	}
	return all, numbers, nil
}

// hosts are the addresses of all nodes that have one on the join subnet.
func hosts(ctx context.Context, r client.Reader) ([]Host, error) {
	var nodes corev1.NodeList
	if err := r.List(ctx, &nodes, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing nodes: %w", err)
	}
	var out []Host
	for i := range nodes.Items {
		node := &nodes.Items[i]
		join, err := ipam.ParseAddrs(node.Annotations[v1.AnnotationIPAddress])
		if err != nil {
			continue // its own feature writes it anew
		}
		h := Host{Labels: node.Labels}
		for _, a := range []netip.Addr{join.V4, join.V6} {
			if a.IsValid() {
				h.Join = append(h.Join, a)
			}
		}
		for _, a := range node.Status.Addresses {
			if addr, err := netip.ParseAddr(a.Address); err == nil && addr.Zone() == "" {
				h.Known = append(h.Known, addr.Unmap())
			}
		}
		if len(h.Join) > 0 {
			out = append(out, h)
		}
	}
	return out, nil
}
