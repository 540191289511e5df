package group

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/woven-cni/woven/pkg/reconcile"
)

// Pod is what selectors look at.
type Pod struct {
	Key    types.NamespacedName
	Labels map[string]string
	// Ports are the named ones.
	Ports []NamedPort
	// Node is where it runs; it is only counted.
	Node string
}

// pod is a Pod and how far its memberships are.
type pod struct {
	key    types.NamespacedName
	home   *namespace
	labels labels.Set
	ports  []NamedPort
	node   string
	member map[*entry]struct{}

	// joined are the groups that its port is in, nil while it has no port; pending those of a transaction under way, nil
	// while there is none.
	joined, pending map[string]struct{}
}

// SetNamespace tells a namespace's labels, also when nothing is new.
func (r *Registry) SetNamespace(name string, set map[string]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ns := r.namespace(name)
	if ns.known && maps.Equal(ns.labels, set) {
		return
	}
	first := !ns.known
	ns.known, ns.labels = true, set
	r.recover(ns)
	if first {
		for p := range ns.pods {
			r.podFeed.Add(reconcile.Key(p.key)) // they had to wait for this
		}
	}
}

// RemoveNamespace forgets a namespace's labels.
func (r *Registry) RemoveNamespace(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	ns := r.namespaces[name]
	if ns == nil {
		return
	}
	ns.known, ns.labels = false, nil
	r.recover(ns)
	r.drop(ns)
}

// recover works out anew which selectors can mean a namespace.
func (r *Registry) recover(ns *namespace) {
	for _, e := range r.entries {
		_, before := ns.covers[e]
		switch after := e.covers(ns); {
		case after && !before:
			r.cover(ns, e)
		case before && !after:
			delete(ns.covers, e)
			for p := range ns.pods {
				r.match(p, e)
			}
		}
	}
	for p := range ns.pods {
		r.tell(p)
	}
}

func (r *Registry) namespace(name string) *namespace {
	ns := r.namespaces[name]
	if ns == nil {
		ns = &namespace{name: name, pods: map[*pod]struct{}{}, covers: map[*entry]struct{}{}}
		r.namespaces[name] = ns
		for _, e := range r.entries {
			if e.Namespace == name {
				ns.covers[e] = struct{}{}
			}
		}
	}
	return ns
}

// drop forgets a namespace that nobody speaks of any more.
func (r *Registry) drop(ns *namespace) {
	if !ns.known && len(ns.pods) == 0 && len(ns.covers) == 0 {
		delete(r.namespaces, ns.name)
	}
}

// Place notes a pod that is about to get its rows, and returns the names of the groups that its port joins with them;
// placed is false as long as the labels of its namespace are unknown. Joined, Failed or Forget has to follow.
func (r *Registry) Place(p Pod) (groups []string, placed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.put(p)
	if !at.home.known {
		return nil, false
	}
	groups = sortedNames(at.member)
	at.pending = set(groups)
	r.weigh(at)
	return groups, true
}

// Record notes a pod, and which groups its port is found to be in; nil when it has no port.
func (r *Registry) Record(p Pod, has func(group string) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.put(p)
	if has == nil {
		return
	}
	at.joined = map[string]struct{}{}
	for _, name := range sortedNames(at.member) {
		if has(name) {
			at.joined[name] = struct{}{}
		}
	}
	r.weigh(at)
}

// put brings what is known of a pod up to date.
func (r *Registry) put(p Pod) *pod {
	at := r.pods[p.Key]
	if at == nil {
		at = &pod{key: p.Key, home: r.namespace(p.Key.Namespace), member: map[*entry]struct{}{}}
		at.home.pods[at] = struct{}{}
		r.pods[p.Key] = at
	}
	same := at.labels != nil && maps.Equal(at.labels, p.Labels) && slices.Equal(at.ports, p.Ports)
	moved := at.node != p.Node
	at.labels, at.ports, at.node = p.Labels, p.Ports, p.Node
	if at.labels == nil {
		at.labels = labels.Set{}
	}
	if !same {
		for e := range at.home.covers {
			r.match(at, e)
		}
	}
	if moved {
		for e := range at.member {
			r.count(e)
		}
	}
	return at
}

// Joined says that the port of a pod is in these groups now, and in no others of ours.
func (r *Registry) Joined(key types.NamespacedName, groups []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pods[key]
	if p == nil {
		return
	}
	p.joined, p.pending = set(groups), nil
	r.weigh(p)
	r.tell(p)
}

// Failed says that nothing was written for a pod. If there is nothing that could be, because the pod has no port or its
// author has made it impossible, nobody waits for it.
func (r *Registry) Failed(key types.NamespacedName, never bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pods[key]
	if p == nil {
		return
	}
	p.pending = nil
	if never {
		p.joined = nil
	}
	r.weigh(p)
}

// Forget drops a pod that has no port any more.
func (r *Registry) Forget(key types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pods[key]
	if p == nil {
		return
	}
	for e := range p.member {
		r.leave(p, e)
	}
	delete(r.pods, key)
	delete(p.home.pods, p)
	r.drop(p.home)
}

// tell has a pod looked at whose port is not in the groups it should be in.
func (r *Registry) tell(p *pod) {
	if p.joined == nil {
		return
	}
	names := sortedNames(p.member)
	if len(names) == len(p.joined) && !slices.ContainsFunc(names, func(n string) bool { return !has(p.joined, n) }) {
		return
	}
	for _, n := range names {
		if e := r.byName[n]; !has(p.joined, n) && !e.made {
			return // HasRow looks at it
		}
	}
	r.podFeed.Add(reconcile.Key(p.key))
}

// match makes a pod a member of an entry, or not.
func (r *Registry) match(p *pod, e *entry) {
	number, is := e.meets(p)
	before, was := e.members[p]
	if is && was && before == number || !is && !was {
		return
	}
	if was {
		r.leave(p, e)
	}
	if is {
		e.members[p] = number
		p.member[e] = struct{}{}
		if e.numbers[number]++; e.virtual() && e.numbers[number] == 1 {
			r.renumber(e)
		}
		r.count(e)
	}
	r.weighIn(p, e)
}

// meets says whether a pod belongs to the entry, and what it means by the port.
func (e *entry) meets(p *pod) (number int32, ok bool) {
	if _, covered := p.home.covers[e]; !covered || !e.pods.Matches(p.labels) {
		return 0, false
	}
	if e.Port.Name == "" {
		return 0, true
	}
	for _, port := range p.ports {
		if port.Name == e.Port.Name && port.Protocol == e.Port.Protocol && (e.virtual() || port.Number == e.Port.Number) {
			return port.Number, true
		}
	}
	return 0, false
}

func (r *Registry) leave(p *pod, e *entry) {
	number := e.members[p]
	delete(e.members, p)
	delete(p.member, e)
	if e.numbers[number]--; e.numbers[number] == 0 {
		delete(e.numbers, number)
		if e.virtual() {
			r.renumber(e)
		}
	}
	r.count(e)
	r.weighIn(p, e)
}

// renumber wakes who uses the name of a port, because it means other numbers now.
func (r *Registry) renumber(e *entry) {
	for u := range e.users {
		r.userFeed.Add(u.owner.String())
	}
}

func (r *Registry) count(e *entry) {
	for u := range e.counted {
		r.countFeed.Add(u.owner.String())
	}
}

// weigh finds out of all groups of a pod whether they lack it.
func (r *Registry) weigh(p *pod) {
	for e := range p.member {
		r.weighIn(p, e)
	}
}

// weighIn finds out whether a group lacks a pod: one that has a port, or is about to get one, that is not in it.
func (r *Registry) weighIn(p *pod, e *entry) {
	if e.virtual() {
		return
	}
	_, member := e.members[p]
	_, lacked := e.lacking[p]
	lacks := member && (p.joined != nil && !has(p.joined, e.name) || p.pending != nil && !has(p.pending, e.name))
	switch {
	case lacks && !lacked:
		e.lacking[p] = struct{}{}
	case lacked && !lacks:
		delete(e.lacking, p)
	}
	r.settle(e)
}

func set(names []string) map[string]struct{} {
	out := make(map[string]struct{}, len(names))
	for _, n := range names {
		out[n] = struct{}{}
	}
	return out
}

func has(set map[string]struct{}, name string) bool {
	_, ok := set[name]
	return ok
}
