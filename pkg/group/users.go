package group

import (
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
	u := r.users[owner]
	if u == nil {
		u = &user{owner: owner, uses: map[*entry]struct{}{}}
		r.users[owner] = u
	}
	for e := range u.uses {
		delete(e.waiting, u)
	}
	for _, s := range selectors {
		e, err := r.open(s)
		if err != nil {
			return "", err
		}
		u.uses[e] = struct{}{}
		e.users[u] = struct{}{}
		if lacks != "" {
			continue
		}
		if lacks = r.lacks(e); lacks != "" {
			e.waiting[u] = struct{}{}
		}
	}
	return lacks, nil
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
		delete(u.uses, e)
		delete(e.users, u)
		delete(e.waiting, u)
		delete(e.counted, u)
		switch {
		case len(e.users) > 0:
		case e.virtual():
			r.shut(e)
		default:
			r.idleFeed.Add(e.name)
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
