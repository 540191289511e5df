package group

import (
	"fmt"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// Registry knows the selectors that policies use, and which pods they select. It works out of memory: a pod that comes
// tries the selectors that its namespace can meet, and no others.
type Registry struct {
	mu         sync.Mutex // protects following; held for look-ups in memory only
	namespaces map[string]*namespace
	pods       map[types.NamespacedName]*pod
	entries    map[Selector]*entry
	byName     map[string]*entry // those with rows
	users      map[ovs.Owner]*user
	spaces     map[string]*space                 // by namespace
	bound      int                               // the most groups that the policies of a namespace use; 0 is no bound
	leaving    map[string][]types.NamespacedName // pods to look at when the row of this name has gone
	closing    map[string]struct{}               // names of rows that may be about to be removed

	// podFeed has the pods whose groups are others than before, groupFeed the groups whose rows are to be looked at, newFeed
	// those that a policy should bring along, idleFeed those that nobody uses any more; userFeed has the policies that can go on
	// or must resolve their ports again, countFeed those whose pods have come or gone.
	podFeed, groupFeed, newFeed, idleFeed, userFeed, countFeed reconcile.Feed
}

// namespace is a namespace, or the pods of one that is not known yet.
type namespace struct {
	name   string
	known  bool
	labels labels.Set
	pods   map[*pod]struct{}
	covers map[*entry]struct{} // the selectors that its pods may meet
}

// entry is one selector in use.
type entry struct {
	Selector
	name       string
	namespaces labels.Selector
	pods       labels.Selector

	made    bool               // the row is there
	idle    *space             // whose policies were the last to use it, while nobody does
	members map[*pod]int32     // and, for a named port, what they mean by it
	lacking map[*pod]struct{}  // members whose port has not joined
	users   map[*user]struct{} // who uses it
	waiting map[*user]struct{} // those of them who wait for it
	counted map[*user]struct{} // those of them whose subject it is
	numbers map[int32]int      // of a named port without a number: how many members mean each
}

// user is a policy.
type user struct {
	owner ovs.Owner
	uses  map[*entry]struct{}
}

// Bound is how many groups the policies of one namespace may use together; 0 is no bound.
type Bound int

// RegistryOf is the Registry that features share.
func RegistryOf(env *reconcile.Env) *Registry {
	return reconcile.Shared(env, func(env *reconcile.Env) *Registry {
		r := NewRegistry()
		r.Bound(int(reconcile.Setting[Bound](env)))
		return r
	})
}

// NewRegistry is a Registry that knows nothing yet.
func NewRegistry() *Registry {
	return &Registry{
		namespaces: map[string]*namespace{}, pods: map[types.NamespacedName]*pod{},
		entries: map[Selector]*entry{}, byName: map[string]*entry{}, users: map[ovs.Owner]*user{},
		leaving: map[string][]types.NamespacedName{}, closing: map[string]struct{}{}, spaces: map[string]*space{},
	}
}

// Pods has the keys of pods whose groups have changed.
func (r *Registry) Pods() *reconcile.Feed { return &r.podFeed }

// Users has the owners ("networkpolicy/shop/db") that waited for a group, or whose named ports mean other numbers.
func (r *Registry) Users() *reconcile.Feed { return &r.userFeed }

// Counts has the owners whose subject has other pods than before.
func (r *Registry) Counts() *reconcile.Feed { return &r.countFeed }

// Review finds the selector of a group that is to have a row. One that nobody uses any more ends here: its row is to be
// removed, and HasRow has to follow.
func (r *Registry) Review(name string) (Selector, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.byName[name]
	if e == nil {
		return Selector{}, false
	}
	if len(e.users) == 0 {
		r.shut(e)
		return Selector{}, false
	}
	return e.Selector, true
}

// HasRow says whether the database has a row of a group's name.
func (r *Registry) HasRow(name string, has bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.closing, name)
	switch e := r.byName[name]; {
	case !has:
		r.gone(name)
	case e != nil:
		r.made(e)
	}
}

// made has the pods join that lack a group with a row, and wakes who waits for it.
func (r *Registry) made(e *entry) {
	if !e.made {
		e.made = true
		for p := range e.lacking {
			r.podFeed.Add(reconcile.Key(p.key))
		}
	}
	r.settle(e)
}

// gone has the pods leave that were in a row which is not there any more.
func (r *Registry) gone(name string) {
	if e := r.byName[name]; e != nil {
		e.made = false // it is wanted again, and its row went with all who were in it
		for p := range e.members {
			delete(p.joined, name)
			r.weighIn(p, e)
		}
		r.newFeed.Add(name)
		r.settle(e)
		return
	}
	for _, key := range r.leaving[name] {
		if p := r.pods[key]; p != nil {
			delete(p.joined, name) // whoever wants the group again must not count on it
		}
		r.podFeed.Add(reconcile.Key(key))
	}
	delete(r.leaving, name)
}

// settle wakes who has waited for the group, if there is nothing to wait for any more.
func (r *Registry) settle(e *entry) {
	if len(e.waiting) == 0 || r.lacks(e) != "" {
		return
	}
	for u := range e.waiting {
		r.userFeed.Add(u.owner.String())
	}
	clear(e.waiting)
}

// open finds or makes the entry of a selector.
func (r *Registry) open(s Selector) (*entry, error) {
	if e := r.entries[s]; e != nil {
		return e, nil
	}
	e := &entry{
		Selector: s, name: s.Name(), members: map[*pod]int32{}, lacking: map[*pod]struct{}{}, users: map[*user]struct{}{},
		waiting: map[*user]struct{}{}, counted: map[*user]struct{}{}, numbers: map[int32]int{},
	}
	var err error
	if e.namespaces, err = labels.Parse(s.Namespaces); err != nil {
		return nil, fmt.Errorf("namespaces %q: %w", s.Namespaces, err)
	}
	if e.pods, err = labels.Parse(s.Pods); err != nil {
		return nil, fmt.Errorf("pods %q: %w", s.Pods, err)
	}
	r.entries[s] = e
	if s.Namespace != "" {
		r.cover(r.namespace(s.Namespace), e)
	} else {
		for _, ns := range r.namespaces {
			r.cover(ns, e)
		}
	}
	if !e.virtual() {
		r.byName[e.name] = e
		r.newFeed.Add(e.name)
	}
	return e, nil
}

// virtual selectors have no row: they tell which numbers pods mean by the name of a port.
func (s Selector) virtual() bool { return s.Port.Name != "" && s.Port.Number == 0 }

// cover matches the pods of a namespace, if the selector can mean any.
func (r *Registry) cover(ns *namespace, e *entry) {
	if !e.covers(ns) {
		return
	}
	ns.covers[e] = struct{}{}
	for p := range ns.pods {
		r.match(p, e)
	}
}

func (e *entry) covers(ns *namespace) bool {
	if e.Namespace != "" {
		return e.Namespace == ns.name
	}
	return ns.known && e.namespaces.Matches(ns.labels)
}

// shut removes an entry that nobody uses.
func (r *Registry) shut(e *entry) {
	last := e.idle
	r.revive(e)
	r.forget(last)
	delete(r.entries, e.Selector)
	for _, ns := range r.namespaces {
		delete(ns.covers, e)
	}
	for p := range e.members {
		delete(p.member, e)
		if !e.virtual() {
			r.leaving[e.name] = append(r.leaving[e.name], p.key)
		}
	}
	if !e.virtual() {
		delete(r.byName, e.name)
		r.closing[e.name] = struct{}{}
	}
}

// sortedNames are the names of the groups among entries.
func sortedNames(entries map[*entry]struct{}) []string {
	names := make([]string, 0, len(entries))
	for e := range entries {
		if !e.virtual() {
			names = append(names, e.name)
		}
	}
	slices.Sort(names)
	return names
}
