package subnet

import (
	"context"
	"maps"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// memory is what this process has let Subnets have.
type memory struct {
	*ranges
	// accepted is, by name, what is in force of each Subnet that was looked at.
	accepted sync.Map
}

// memoryOf is the memory of an environment.
func memoryOf(env *reconcile.Env) *memory {
	return reconcile.Shared(env, func(*reconcile.Env) *memory { return &memory{ranges: newRanges()} })
}

// Fork is a copy that nobody waits for.
func (m *memory) Fork() *memory {
	fork := &memory{ranges: m.ranges.fork()}
	m.accepted.Range(func(name, known any) bool { fork.accepted.Store(name, known); return true })
	return fork
}

// accepted is what this process knows to be in force of a Subnet; nil is nothing.
type accepted struct {
	uid    types.UID
	subnet *Subnet
}

// claim takes the ranges of a Subnet if nothing is in the way.
func (f *feature) claim(ctx context.Context, key types.NamespacedName, in *Input) (done func(reconcile.Outcome), err error) {
	done = func(out reconcile.Outcome) { f.done(key.Name, *in, out) }
	if in.Subnet == nil {
		return done, nil
	}
	if known, ok := f.memory.accepted.Load(in.Subnet.Name); !ok || known.(accepted).uid != in.Subnet.UID {
		f.memory.accepted.Store(in.Subnet.Name, accepted{uid: in.Subnet.UID, subnet: in.InForce})
	}
	c := requestOf(in.Subnet, f.subnets.Vpc(in.Subnet))
	f.memory.mu.Lock()
	defer f.memory.mu.Unlock()
	// Under the lock: of a Subnet that leaves the cache after this, its last look tells who waits for its range.
	var others []*v1.Subnet
	for _, p := range c.prefixes {
		some, err := f.subnets.Overlapping(ctx, c.vpc, p)
		if err != nil {
			return done, err //nolint:wrapcheck // it says what could not be read
		}
		others = append(others, some...)
	}
	if in.InForce != nil {
		f.memory.keep(in.Subnet.Name, in.InForce.VPC, in.InForce.prefixes())
	}
	inTheWay := f.memory.inTheWay(c, others)
	in.Taken = append(in.Taken, inTheWay...)
	if _, problems := verdict(*in); len(problems.Blocking()) > 0 || in.gone() {
		f.memory.refuse(c, inTheWay)
		return done, nil
	}
	had := slices.Clone(f.memory.held[c.name])
	f.memory.take(c)
	return func(out reconcile.Outcome) {
		if out.Unread() {
			f.memory.giveBack(c.name, had)
		}
		f.done(key.Name, *in, out)
	}, nil
}

// done takes the outcome into the pools and the ranges.
func (f *feature) done(name string, in Input, out reconcile.Outcome) {
	switch {
	case out.Unread():
		// Nothing is known of it; the retry tells.
	case in.Subnet == nil || in.gone():
		if out.Programmed() {
			f.pools.Delete(name)
			f.memory.confirm(name, "", nil)
			f.memory.accepted.Delete(name)
		}
	case len(out.Problems.Blocking()) > 0:
		f.memory.lose(in.Subnet)
		if in.InForce != nil {
			f.pools.Set(in.InForce.Pool())
		}
	default:
		s, _ := Parse(in.Subnet, in.DefaultVpc)
		f.memory.accepted.Store(s.Name, accepted{uid: in.Subnet.UID, subnet: &s})
		if out.Programmed() {
			f.memory.confirm(s.Name, s.VPC, s.prefixes())
		}
		f.pools.Set(s.Pool())
	}
}

// fork is a copy that nobody waits for.
func (r *ranges) fork() *ranges {
	r.mu.Lock()
	defer r.mu.Unlock()
	fork := newRanges()
	for name, all := range r.held {
		fork.held[name] = slices.Clone(all)
	}
	for name, wanted := range r.refused {
		fork.refused[name] = maps.Clone(wanted)
	}
	fork.lost = maps.Clone(r.lost)
	return fork
}
