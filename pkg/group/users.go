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

// Claim is what a policy takes of groups while its rows change over to them. Done has to hear how that has ended.
type Claim struct {
	// Waits is what has to happen before rows can rely on the groups; "" when they can, as soon as they have brought along what is
	// Lacking. The owner is in Users when the wait is over.
	Waits string
	// Lacking is what the groups lack. A policy brings it along in the transaction of its own rows, so that they never speak of a group
	// that is not what it should be, and northd has to look once.
	Lacking []Lack

	registry  *Registry
	owner     ovs.Owner
	subject   Selector
	selectors []Selector
}

// Claim takes the groups that an owner's rows are about to rely on, beside those that they rely on so far. The subject is the one of
// them whose pods are counted. An owner that is gone claims none.
func (r *Registry) Claim(owner ovs.Owner, subject Selector, selectors ...Selector) (*Claim, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := &Claim{registry: r, owner: owner, subject: subject, selectors: selectors}
	var err error
	if c.Waits, err = r.use(owner, selectors); err == nil && c.Waits == "" {
		c.Lacking = r.lacking(selectors)
	}
	return c, err
}

// Done says whether the rows are in the database: if so, they rely on the claimed groups and on no others, and what those lacked is
// there too. Groups that nobody uses any more are left for a while, ready for who wants them again.
func (c *Claim) Done(written bool) {
	r := c.registry
	r.mu.Lock()
	defer r.mu.Unlock()
	r.brought(c.Lacking, written)
	if written {
		r.keep(c.owner, c.subject, c.selectors)
	}
}

// Use notes that an owner uses selectors, beside those it has used before: what the rows in the database rely on, or what the names of
// ports are asked of.
func (r *Registry) Use(owner ovs.Owner, selectors ...Selector) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, err := r.use(owner, selectors)
	return err
}

// use is Use, and says what the owner has to wait for.
func (r *Registry) use(owner ovs.Owner, selectors []Selector) (waits string, err error) {
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
		if waits != "" {
			continue
		}
		if waits = r.lacks(e); waits != "" {
			e.waiting[u] = struct{}{}
		}
	}
	return waits, nil
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

// lacking says what groups in use lack.
func (r *Registry) lacking(selectors []Selector) []Lack {
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

// brought notes whether what groups lacked is in the database now. It is their own rows' and the pods' owners to see to it
// from now on.
func (r *Registry) brought(lacks []Lack, done bool) {
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

// keep notes that an owner's rows use these selectors and no others, and which of them is its subject.
func (r *Registry) keep(owner ovs.Owner, subject Selector, selectors []Selector) {
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
