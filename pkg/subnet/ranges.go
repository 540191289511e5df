package subnet

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/cidr"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// ranges are those that this process has let Subnets have. Two new Subnets that overlap, judged at the same moment, are never
// both in force: the cache's copies of their status are older than the verdicts. After a restart, the status of each Subnet
// says which ranges it has.
type ranges struct {
	mu sync.Mutex // held from the look at others, in the cache, until the verdict is on record; never across I/O
	// held are the ranges of each Subnet: those of its rows, and those that it is about to have.
	held map[string][]held
	// refused are, for each Subnet that was in the way, those that wanted its range.
	refused map[string]map[string][]netip.Prefix
	// lost are the generations of Subnets that were refused: their status says so a moment later.
	lost map[string]int64
	// freed delivers those who wanted a range that is free now.
	freed reconcile.Feed
}

// held is a range in a Vpc.
type held struct {
	vpc    string
	prefix netip.Prefix
}

func newRanges() *ranges {
	return &ranges{held: map[string][]held{}, refused: map[string]map[string][]netip.Prefix{}, lost: map[string]int64{}}
}

// request is what a Subnet asks for.
type request struct {
	name, vpc string
	prefixes  []netip.Prefix
	created   time.Time
	inForce   bool
}

func requestOf(s *v1.Subnet, vpc string) request {
	return request{name: s.Name, vpc: vpc, prefixes: cidr.Of(s), created: s.CreationTimestamp.Time, inForce: cidr.InForce(s)}
}

// inTheWay are the Subnets that come before this one at its ranges: those that have the ranges, by this process's record or by
// their status, and of several Subnets that nobody has judged yet the oldest. A refused Subnet is in nobody's way. The search
// goes through the ranges of all Subnets; for a thousand it takes some microseconds.
func (r *ranges) inTheWay(c request, others []*v1.Subnet) []Taken {
	var out []Taken
	add := func(name string, theirs netip.Prefix) {
		if t := taken(theirs, name); !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	for _, p := range c.prefixes {
		has := slices.Contains(r.held[c.name], held{c.vpc, p})
		for name, all := range r.held {
			for _, h := range all {
				if name != c.name && h.vpc == c.vpc && h.prefix.Overlaps(p) {
					add(name, h.prefix)
				}
			}
		}
		for _, other := range others {
			if has || other.Name == c.name {
				continue
			}
			for _, theirs := range r.before(c, other) {
				if theirs.Overlaps(p) {
					add(other.Name, theirs)
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b Taken) int { return a.Prefix.Compare(b.Prefix) })
	return out
}

// before are the ranges of another Subnet that come before a request: those that the other asks for, if its request precedes,
// and those in force of it while it asks for others.
func (r *ranges) before(c request, other *v1.Subnet) []netip.Prefix {
	asked := cidr.Of(other)
	out := slices.DeleteFunc(cidr.Held(other), func(p netip.Prefix) bool { return slices.Contains(asked, p) })
	if precedes(requestOf(other, c.vpc), c) && !r.refusedNow(other) {
		out = append(out, asked...)
	}
	return out
}

// precedes says which of two Subnets gets a range that both ask for: the one whose spec is in force as it reads now, and between
// equals the older one. Thus an edit never takes a range from a Subnet that works.
func precedes(a, b request) bool {
	if a.inForce != b.inForce {
		return a.inForce
	}
	if !a.created.Equal(b.created) {
		return a.created.Before(b.created)
	}
	return a.name < b.name
}

// refusedNow says whether the spec of a Subnet, as it reads now, was refused.
func (r *ranges) refusedNow(s *v1.Subnet) bool {
	if generation, lost := r.lost[s.Name]; lost && generation == s.Generation {
		return true
	}
	c := v1.FindCondition(s.Status.Conditions, v1.ConditionValidated)
	return c != nil && c.Status == metav1.ConditionFalse && c.ObservedGeneration == s.Generation
}

// take writes down that a Subnet is about to have ranges beside those that it has.
func (r *ranges) take(c request) {
	delete(r.lost, c.name)
	r.keep(c.name, c.vpc, c.prefixes)
}

// giveBack undoes take, for a spec of which nothing came into force: the Subnet has what it had, and those who wait for the rest look
// again.
func (r *ranges) giveBack(name string, had []held) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held[name] = had; len(had) == 0 {
		delete(r.held, name)
	}
	r.notify(name)
}

// keep writes down ranges that a Subnet has.
func (r *ranges) keep(name, vpc string, prefixes []netip.Prefix) {
	for _, p := range prefixes {
		if h := (held{vpc, p}); !slices.Contains(r.held[name], h) {
			r.held[name] = append(r.held[name], h)
		}
	}
}

// refuse writes down who waits for the ranges of those in the way.
func (r *ranges) refuse(c request, inTheWay []Taken) {
	for _, t := range inTheWay {
		if r.refused[t.Subnet] == nil {
			r.refused[t.Subnet] = map[string][]netip.Prefix{}
		}
		r.refused[t.Subnet][c.name] = c.prefixes
	}
}

// confirm writes down the ranges that a Subnet has once its rows are written, and notifies the Subnets that waited for others.
func (r *ranges) confirm(name, vpc string, prefixes []netip.Prefix) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held[name] = nil
	r.take(request{name: name, vpc: vpc, prefixes: prefixes})
	if len(prefixes) == 0 {
		delete(r.held, name)
	}
	r.notify(name)
}

// notify has the refused Subnets look again that wait for ranges which the Subnet does not have, or has no more.
func (r *ranges) notify(name string) {
	for waiting, wants := range r.refused[name] {
		has := slices.ContainsFunc(r.held[name], func(h held) bool {
			return slices.ContainsFunc(wants, func(p netip.Prefix) bool { return h.prefix.Overlaps(p) })
		})
		if !has {
			delete(r.refused[name], waiting)
			r.freed.Add(waiting)
		}
	}
	if len(r.refused[name]) == 0 {
		delete(r.refused, name)
	}
}

// lose writes down that a Subnet's spec is refused: the Subnet keeps the ranges of its rows and is in the way at no others.
func (r *ranges) lose(s *v1.Subnet) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost[s.Name] = s.Generation
	r.notify(s.Name)
}
