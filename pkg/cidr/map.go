package cidr

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/spec"
)

// exactIndex finds the Subnets of a Vpc that ask for a range or have it, withinIndex those with a range within one,
// vpcIndex all of a Vpc.
const (
	exactIndex  = "cidr"
	withinIndex = "cidr-within"
	vpcIndex    = "vpc"
)

// Map finds Subnets by range.
type Map struct {
	reader     client.Reader
	defaultVpc string
}

// MapOf is the Map that features share, with its indexes.
func MapOf(env *reconcile.Env) *Map { return reconcile.Shared(env, newMap) }

func newMap(env *reconcile.Env) *Map {
	m := &Map{reader: env.Client, defaultVpc: reconcile.Setting[spec.Defaults](env).Vpc}
	for name, keys := range map[string]func(netip.Prefix) []netip.Prefix{
		exactIndex:  func(p netip.Prefix) []netip.Prefix { return []netip.Prefix{p.Masked()} },
		withinIndex: Keys,
	} {
		env.Index(&v1.Subnet{}, name, func(obj client.Object) []string {
			var out []string
			for _, p := range All(obj.(*v1.Subnet)) {
				for _, key := range keys(p) {
					out = append(out, m.key(m.Vpc(obj.(*v1.Subnet)), key))
				}
			}
			return out
		})
	}
	env.Index(&v1.Subnet{}, vpcIndex, func(obj client.Object) []string { return []string{m.Vpc(obj.(*v1.Subnet))} })
	return m
}

// Of are the ranges that a Subnet's spec asks for; none when they cannot be read.
func Of(s *v1.Subnet) []netip.Prefix {
	cidrs, err := ipam.ParsePrefixes(s.Spec.CIDRBlock)
	if err != nil {
		return nil
	}
	var out []netip.Prefix
	for _, p := range []netip.Prefix{cidrs.V4, cidrs.V6} {
		if p.IsValid() {
			out = append(out, p)
		}
	}
	return out
}

// Held are the ranges that are in force of a Subnet, whatever its spec asks for now. They are in the object's status, so a
// restart of the controller does not forget them.
func Held(s *v1.Subnet) []netip.Prefix {
	inForce, ok := spec.InForce(s, "")
	if !ok {
		return nil
	}
	return inForce.Prefixes()
}

// All are the ranges that a Subnet asks for and those that are in force of it, each once.
func All(s *v1.Subnet) []netip.Prefix {
	out := Of(s)
	for _, p := range Held(s) {
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// InForce says whether the ranges that a Subnet asks for are in force.
func InForce(s *v1.Subnet) bool {
	asked, held := Of(s), Held(s)
	return len(asked) > 0 && !slices.ContainsFunc(asked, func(p netip.Prefix) bool { return !slices.Contains(held, p) })
}

// Vpc is the Vpc that a Subnet is in.
func (m *Map) Vpc(s *v1.Subnet) string {
	if s.Spec.Vpc == "" {
		return m.defaultVpc
	}
	return s.Spec.Vpc
}

// In are the Subnets of a Vpc. They are the cache's own: read them only.
func (m *Map) In(ctx context.Context, vpc string) ([]*v1.Subnet, error) {
	var list v1.SubnetList
	if err := m.reader.List(ctx, &list, client.MatchingFields{vpcIndex: vpc}, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing the subnets of vpc %s: %w", vpc, err)
	}
	out := make([]*v1.Subnet, len(list.Items))
	for i := range list.Items {
		out[i] = &list.Items[i]
	}
	return out, nil
}

// Default are the Subnets of the default Vpc that ask for an address of p, or have it. They are the cache's own: read them only.
func (m *Map) Default(ctx context.Context, p netip.Prefix) ([]*v1.Subnet, error) {
	return m.Overlapping(ctx, m.defaultVpc, p)
}

// Overlapping are the Subnets of a Vpc that ask for an address of p, or have it, each once. They are the cache's own: read them only.
func (m *Map) Overlapping(ctx context.Context, vpc string, p netip.Prefix) ([]*v1.Subnet, error) {
	var out []*v1.Subnet
	seen := map[string]bool{}
	find := func(index string, keys []netip.Prefix) error {
		for _, key := range keys {
			var list v1.SubnetList
			if err := m.reader.List(ctx, &list, client.MatchingFields{index: m.key(vpc, key)}, client.UnsafeDisableDeepCopy); err != nil {
				return fmt.Errorf("listing the subnets at %s: %w", p, err)
			}
			for i := range list.Items {
				if s := &list.Items[i]; !seen[s.Name] {
					seen[s.Name] = true
					out = append(out, s)
				}
			}
		}
		return nil
	}
	if err := find(exactIndex, around(p)); err != nil {
		return nil, err
	}
	return out, find(withinIndex, Cut(p))
}

func (m *Map) key(vpc string, p netip.Prefix) string { return vpc + " " + p.String() }
