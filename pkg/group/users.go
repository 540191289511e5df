package group

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// Use notes that an owner uses selectors, beside those it has used before, and says what it has to wait for before its
// rows can rely on them; "" when they can as soon as it has brought along what Lacking says. The owner is in Users when the
// wait is over.
func (r *Registry) Use(owner ovs.Owner, selectors ...Selector) (lacks string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.user(owner)
	for e := range u.uses {
		delete(e.waiting, u)
	}
	for _, s := range selectors {
		e, err := r.open(s)
		if err != nil {
			return "", err
		}
		r.begin(u, e)
		if lacks != "" {
			continue
		}
		if lacks = r.lacks(e); lacks != "" {
			e.waiting[u] = struct{}{}
		}
	}
	return lacks, nil
}

// user is what is known of an owner.
func (r *Registry) user(owner ovs.Owner) *user {
	u := r.users[owner]
	if u == nil {
		u = &user{owner: owner, uses: map[*entry]struct{}{}}
		r.users[owner] = u
	}
	return u
}

// begin notes that an owner uses a group.
func (r *Registry) begin(u *user, e *entry) {
	r.revive(e)
	if _, before := u.uses[e]; before {
		return
	}
	u.uses[e], e.users[u] = struct{}{}, struct{}{}
	if s := r.space(u.owner); s != nil && !e.virtual() {
		s.groups[e]++
	}
}

// end notes that an owner uses a group no more. A group without users stays for a while, unless its namespace has many such.
func (r *Registry) end(u *user, e *entry) {
	delete(u.uses, e)
	delete(e.users, u)
	delete(e.waiting, u)
	delete(e.counted, u)
	s := r.space(u.owner)
	if s != nil && !e.virtual() {
		if s.groups[e]--; s.groups[e] == 0 {
			delete(s.groups, e)
			s.freed = true
		}
	}
	switch {
	case len(e.users) > 0:
	case e.virtual():
		r.shut(e)
	case s != nil && r.bound > 0 && len(s.groups)+len(s.idle) >= r.bound:
		r.groupFeed.Add(e.name)
	default:
		if s != nil {
			s.idle[e], e.idle = struct{}{}, s
		}
		r.idleFeed.Add(e.name)
	}
}

// lacks says what has to happen before the group can be what it should be. A removal of its row that is under way would
// take along what is put into it, and a pod's transaction that is under way without the group would take the pod out again.
func (r *Registry) lacks(e *entry) string {
	if _, closing := r.closing[e.name]; closing {
		return fmt.Sprintf("the former group of %s to go", e.Selector)
	}
	count, some := 0, ""
	for p := range e.lacking {
		if p.follows(e) {
			continue
		}
		count++
		if name := p.key.String(); some == "" || name < some {
			some = name
		}
	}
	if count > 0 {
		return fmt.Sprintf("%d pods to join the group of %s, %s among them", count, e.Selector, some)
	}
	return ""
}

// follows says that no transaction of the pod is under way that would take it out of the group.
func (p *pod) follows(e *entry) bool { return p.pending == nil || has(p.pending, e.name) }

// Lack is what a group lacks: its row, or pods that are to join it.
type Lack struct {
	Selector
	// Pods are the members that have a port which is not in the group.
	Pods []types.NamespacedName
}

// Lacking says what groups in use lack. A policy brings it along in the transaction of its own rows, so that they never
// speak of a group that is not what it should be, and northd has to look once. Brought has to follow.
func (r *Registry) Lacking(selectors ...Selector) []Lack {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []Lack
	for _, s := range selectors {
		e := r.entries[s]
		if e == nil || e.virtual() || e.made && len(e.lacking) == 0 {
			continue
		}
		l := Lack{Selector: s}
		for p := range e.lacking {
			if p.joined != nil && p.follows(e) {
				l.Pods = append(l.Pods, p.key)
			}
		}
		slices.SortFunc(l.Pods, func(a, b types.NamespacedName) int { return strings.Compare(a.String(), b.String()) })
		out = append(out, l)
	}
	return out
}

// Brought says whether what groups lacked is in the database now. It is their own rows' and the pods' owners to see to it
// from now on.
func (r *Registry) Brought(lacks []Lack, done bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range lacks {
		e := r.byName[l.Name()]
		if e == nil {
			continue // nobody uses it any more, and its removal is on the way
		}
		r.groupFeed.Add(e.name)
		if !done {
			continue
		}
		for _, key := range l.Pods {
			if p := r.pods[key]; p != nil && p.joined != nil {
				p.joined[e.name] = struct{}{}
				r.weighIn(p, e)
				r.podFeed.Add(reconcile.Key(key))
			}
		}
		r.made(e)
	}
}

// Keep says that an owner's rows use these selectors and no others, and which of them is its subject, whose pods are
// counted. Groups that nobody uses any more are left for a while, ready for who wants them again.
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
		r.end(u, e)
	}
	r.wakeRefused(owner)
	if len(u.uses) == 0 {
		delete(r.users, owner)
	}
}

// Numbers are what pods mean by the name of a port: first what most of them mean, then by the number. The selector has to be
// in use, with a Port without a number.
func (r *Registry) Numbers(s Selector) []int32 {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entries[s]
	if e == nil {
		return nil
	}
	return slices.SortedFunc(maps.Keys(e.numbers), func(a, b int32) int {
		return cmp.Or(cmp.Compare(e.numbers[b], e.numbers[a]), cmp.Compare(a, b))
	})
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
