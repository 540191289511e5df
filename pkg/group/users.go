package group

import (
	"fmt"
	"maps"
	"slices"

	"github.com/woven-cni/woven/pkg/ovs"
)

// Use notes that an owner uses selectors, beside those it has used before, and says what it has to wait for before its
// rows can rely on them; "" when they can at once. The owner is in Users when the wait is over.
func (r *Registry) Use(owner ovs.Owner, selectors ...Selector) (lacks string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.users[owner]
	if u == nil {
		u = &user{owner: owner, uses: map[*entry]struct{}{}}
		r.users[owner] = u
	}
	for _, s := range selectors {
		e, err := r.open(s)
		if err != nil {
			return "", err
		}
		u.uses[e] = struct{}{}
		e.users[u] = struct{}{}
		if lacks == "" {
			lacks = e.lacks()
		}
	}
	u.waiting = lacks != ""
	return lacks, nil
}

// lacks says what has to come before the group is what it should be.
func (e *entry) lacks() string {
	switch {
	case e.virtual():
		return ""
	case !e.made:
		return fmt.Sprintf("the group of %s", e.Selector)
	case len(e.lacking) > 0:
		some := ""
		for p := range e.lacking {
			if name := p.key.String(); some == "" || name < some {
				some = name
			}
		}
		return fmt.Sprintf("%d pods to join the group of %s, %s among them", len(e.lacking), e.Selector, some)
	}
	return ""
}

// Keep says that an owner's rows use these selectors and no others, and which of them is its subject, whose pods are
// counted. Groups that nobody uses any more go.
func (r *Registry) Keep(owner ovs.Owner, subject Selector, selectors ...Selector) {
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.users[owner]
	if u == nil {
		return
	}
	for e := range u.uses {
		if slices.Contains(selectors, e.Selector) {
			if e.Selector == subject {
				e.counted[u] = struct{}{}
			} else {
				delete(e.counted, u)
			}
			continue
		}
		delete(u.uses, e)
		delete(e.users, u)
		delete(e.counted, u)
		if len(e.users) == 0 {
			r.shut(e)
		}
	}
	if len(u.uses) == 0 {
		delete(r.users, owner)
	}
}

// Numbers are what pods mean by the name of a port, sorted. The selector has to be in use, with a Port without a number.
func (r *Registry) Numbers(s Selector) []int32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.entries[s]; e != nil {
		return slices.Sorted(maps.Keys(e.numbers))
	}
	return nil
}

// Count is how many pods belong to a group in use, and on how many nodes.
func (r *Registry) Count(s Selector) (pods, nodes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entries[s]
	if e == nil {
		return 0, 0
	}
	on := map[string]struct{}{}
	for p := range e.members {
		if p.node != "" {
			on[p.node] = struct{}{}
		}
	}
	return len(e.members), len(on)
}
