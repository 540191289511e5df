package group

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/types"
)

// Fork is a copy of the registry for a dry run: what is claimed of it is not claimed here, and nobody hears of it.
func (r *Registry) Fork() *Registry {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := forking{
		entries: map[*entry]*entry{}, pods: map[*pod]*pod{}, users: map[*user]*user{}, namespaces: map[*namespace]*namespace{},
		spaces: map[*space]*space{},
	}
	return &Registry{
		namespaces: valued(r.namespaces, f.namespace), pods: valued(r.pods, f.pod), entries: valued(r.entries, f.entry), byName: valued(r.byName, f.entry),
		users: valued(r.users, f.user), spaces: valued(r.spaces, f.space), bound: r.bound,
		leaving: valued(r.leaving, slices.Clone[[]types.NamespacedName]), closing: maps.Clone(r.closing),
	}
}

// forking are the copies that are made already: what points at each other here does so there.
type forking struct {
	entries    map[*entry]*entry
	pods       map[*pod]*pod
	users      map[*user]*user
	namespaces map[*namespace]*namespace
	spaces     map[*space]*space
}

// copied is the copy of a thing, which fill completes when it is new.
func copied[T any](done map[*T]*T, of *T, fill func(copy *T)) *T {
	if of == nil {
		return nil
	}
	if made, there := done[of]; there {
		return made
	}
	made := new(T)
	*made = *of
	done[of] = made
	fill(made)
	return made
}

// valued copies a map with other values.
func valued[K comparable, V any](m map[K]V, value func(V) V) map[K]V {
	out := make(map[K]V, len(m))
	for k, v := range m {
		out[k] = value(v)
	}
	return out
}

// mapped copies a map with other keys.
func mapped[K comparable, V any](m map[K]V, key func(K) K) map[K]V {
	if m == nil {
		return nil
	}
	out := make(map[K]V, len(m))
	for k, v := range m {
		out[key(k)] = v
	}
	return out
}

func (f forking) entry(e *entry) *entry {
	return copied(f.entries, e, func(c *entry) {
		c.idle = f.space(e.idle)
		c.members, c.lacking = mapped(e.members, f.pod), mapped(e.lacking, f.pod)
		c.users, c.waiting, c.counted = mapped(e.users, f.user), mapped(e.waiting, f.user), mapped(e.counted, f.user)
		c.numbers = maps.Clone(e.numbers)
	})
}

func (f forking) pod(p *pod) *pod {
	return copied(f.pods, p, func(c *pod) {
		c.home, c.member = f.namespace(p.home), mapped(p.member, f.entry)
		c.joined, c.pending = maps.Clone(p.joined), maps.Clone(p.pending)
	})
}

func (f forking) user(u *user) *user {
	return copied(f.users, u, func(c *user) { c.uses = mapped(u.uses, f.entry) })
}

func (f forking) namespace(ns *namespace) *namespace {
	return copied(f.namespaces, ns, func(c *namespace) {
		c.pods, c.covers = mapped(ns.pods, f.pod), mapped(ns.covers, f.entry)
	})
}

func (f forking) space(s *space) *space {
	return copied(f.spaces, s, func(c *space) {
		c.groups, c.idle, c.refused = mapped(s.groups, f.entry), mapped(s.idle, f.entry), maps.Clone(s.refused)
	})
}
