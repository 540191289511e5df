package group

import (
	"maps"
	"slices"
	"strings"

	"github.com/woven-cni/woven/pkg/ovs"
)

// space is a namespace as its policies use groups. Policies of the whole cluster belong to none, and are not bounded.
type space struct {
	name    string
	groups  map[*entry]int         // how many of its policies use each group
	idle    map[*entry]struct{}    // those that its policies were the last to use, and that are left for a while
	refused map[ovs.Owner]struct{} // policies for which there was no room
	freed   bool                   // there is more room than when they were refused
}

// Bound sets how many groups the policies of one namespace may use together; 0 is no bound.
func (r *Registry) Bound(groups int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bound = groups
}

// Most is the bound.
func (r *Registry) Most() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bound
}

// space is that of an owner; nil for one without a namespace.
func (r *Registry) space(owner ovs.Owner) *space {
	name, _, found := strings.Cut(owner.Key, "/")
	if !found {
		return nil
	}
	s := r.spaces[name]
	if s == nil {
		s = &space{name: name, groups: map[*entry]int{}, idle: map[*entry]struct{}{}, refused: map[ovs.Owner]struct{}{}}
		r.spaces[name] = s
	}
	return s
}

// Admit says which of the asked groups an owner may use beside those of base, which it uses in any case. They are asked for
// in order, each time all or none of a list, and first those that it uses already. What other policies of its namespace use
// is theirs; what the owner's rows use from before makes room for what the owner asks for now. An owner that is refused
// something is in Users when there may be room.
func (r *Registry) Admit(owner ovs.Owner, base []Selector, asks [][]Selector) []bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	admitted := make([]bool, len(asks))
	s := r.space(owner)
	if s == nil || r.bound == 0 {
		for i := range admitted {
			admitted[i] = true
		}
		return admitted
	}
	used := s.others(r.users[owner])
	for _, selector := range base {
		used.add(selector)
	}
	own := ownOf(r.users[owner])
	for _, first := range []bool{true, false} { // what is in force goes before what is not
		for i, ask := range asks {
			more := used.lacks(ask)
			if admitted[i] || first && len(own.lacks(ask)) > 0 {
				continue
			}
			if admitted[i] = len(more) == 0 || len(used)+len(more) <= r.bound; admitted[i] {
				maps.Copy(used, more)
			}
		}
	}
	if slices.Contains(admitted, false) {
		s.refused[owner] = struct{}{}
	}
	return admitted
}

// ownOf are the groups that an owner uses.
func ownOf(u *user) selectors {
	out := selectors{}
	if u != nil {
		for e := range u.uses {
			out.add(e.Selector)
		}
	}
	return out
}

// others are the groups that a namespace's other policies use.
func (s *space) others(u *user) selectors {
	out := selectors{}
	for e, count := range s.groups {
		if u != nil {
			if _, own := u.uses[e]; own {
				count--
			}
		}
		if count > 0 {
			out.add(e.Selector)
		}
	}
	return out
}

// selectors is a set of those that have rows.
type selectors map[Selector]struct{}

func (s selectors) add(one Selector) {
	if !one.virtual() {
		s[one] = struct{}{}
	}
}

// lacks are those of a list that are not in the set.
func (s selectors) lacks(list []Selector) selectors {
	out := selectors{}
	for _, one := range list {
		if _, found := s[one]; !found {
			out.add(one)
		}
	}
	return out
}

// wakeRefused has the policies looked at again that were refused groups, if the owner has given up any of its namespace's.
func (r *Registry) wakeRefused(owner ovs.Owner) {
	s := r.space(owner)
	if s == nil {
		return
	}
	if u := r.users[owner]; u != nil && len(u.uses) == 0 {
		delete(s.refused, owner)
	}
	if s.freed {
		for o := range s.refused {
			r.userFeed.Add(o.String())
		}
		clear(s.refused)
		s.freed = false
	}
	r.forget(s)
}

// forget drops a namespace whose policies use nothing, and wait for nothing.
func (r *Registry) forget(s *space) {
	if s != nil && len(s.groups)+len(s.idle)+len(s.refused) == 0 {
		delete(r.spaces, s.name)
	}
}

// revive takes a group out of those that wait for their end.
func (r *Registry) revive(e *entry) {
	if e.idle != nil {
		delete(e.idle.idle, e)
		e.idle = nil
	}
}
