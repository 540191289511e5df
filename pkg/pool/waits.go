package pool

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/port"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// Cause is something whose change may help an owner that waits for addresses.
type Cause struct {
	kind causeKind
	name string
	// subject is the address or MAC of an address cause.
	subject string
}

type causeKind int

const (
	subnetCause causeKind = iota
	namespaceCause
	addressCause
	poolCause
)

// Subnet is the cause of an owner that could have addresses of a Subnet: it may come, be mended or grow.
func Subnet(name string) Cause { return Cause{kind: subnetCause, name: name} }

// Subnets are the causes of several Subnets.
func Subnets(names ...string) []Cause {
	out := make([]Cause, len(names))
	for i, name := range names {
		out[i] = Subnet(name)
	}
	return out
}

// Namespace is the cause of an owner that has its Subnets from the bindings of a Namespace: they may come to be others.
func Namespace(name string) Cause { return Cause{kind: namespaceCause, name: name} }

// Namespaces are the causes of several Namespaces.
func Namespaces(names ...string) []Cause {
	out := make([]Cause, len(names))
	for i, name := range names {
		out[i] = Namespace(name)
	}
	return out
}

// IPPool is the cause of an owner that could have addresses of an IPPool: it may come, be mended or bound to others.
func IPPool(name string) Cause { return Cause{kind: poolCause, name: name} }

// IPPools are the causes of several IPPools.
func IPPools(names ...string) []Cause {
	out := make([]Cause, len(names))
	for i, name := range names {
		out[i] = IPPool(name)
	}
	return out
}

// address is the cause of an owner that asks for an address or MAC of a Subnet that another owner has.
func address(subnet, subject string) Cause {
	return Cause{kind: addressCause, name: subnet, subject: subject}
}

// addresses are the causes of the owners that wait for any part of a lease.
func addresses(subnet string, l ipam.Lease) []Cause {
	var out []Cause
	for _, a := range []netip.Addr{l.V4, l.V6} {
		if a.IsValid() {
			out = append(out, address(subnet, a.String()))
		}
	}
	if !l.MAC.IsZero() {
		out = append(out, address(subnet, l.MAC.String()))
	}
	return out
}

// waits are the owners that wait, by cause and the other way round. Pools.mu protects them.
type waits struct {
	byCause map[Cause]map[port.Key]struct{}
	byOwner map[port.Key]map[Cause]struct{}
}

func newWaits() waits {
	return waits{byCause: map[Cause]map[port.Key]struct{}{}, byOwner: map[port.Key]map[Cause]struct{}{}}
}

// add writes causes of an owner down, and says whether any is new.
func (w waits) add(owner port.Key, causes ...Cause) (news bool) {
	for _, c := range causes {
		if _, there := w.byOwner[owner][c]; !there {
			insert(w.byCause, c, owner)
			insert(w.byOwner, owner, c)
			news = true
		}
	}
	return news
}

// only drops all causes of an owner but some, and returns what it dropped.
func (w waits) only(owner port.Key, causes ...Cause) (dropped []Cause) {
	for c := range w.byOwner[owner] {
		if !slices.Contains(causes, c) {
			dropped = append(dropped, c)
		}
	}
	for _, c := range dropped {
		drop(w.byCause, c, owner)
		drop(w.byOwner, owner, c)
	}
	return dropped
}

// owners are those that wait for any of the causes, each once and in order.
func (w waits) owners(causes ...Cause) []port.Key {
	all := map[port.Key]struct{}{}
	for _, c := range causes {
		maps.Copy(all, w.byCause[c])
	}
	return slices.SortedFunc(maps.Keys(all), port.Key.Compare)
}

// insert puts a value into the set of a key.
func insert[K, V comparable](sets map[K]map[V]struct{}, key K, value V) {
	if sets[key] == nil {
		sets[key] = map[V]struct{}{}
	}
	sets[key][value] = struct{}{}
}

// drop takes a value out of the set of a key, and the set with its last value.
func drop[K, V comparable](sets map[K]map[V]struct{}, key K, value V) {
	delete(sets[key], value)
	if len(sets[key]) == 0 {
		delete(sets, key)
	}
}

// WaitFor adds causes to those that an owner waits for, until it gets addresses or is released, and says whether any is new.
func (p *Pools) WaitFor(owner port.Key, causes ...Cause) (news bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.await(owner, causes...)
}

// WaitOnly makes the causes all that an owner waits for: it leaves the queues of all other Subnets, and keeps its place in
// those of these.
func (p *Pools) WaitOnly(owner port.Key, causes ...Cause) {
	p.mu.Lock()
	p.await(owner, causes...)
	dropped, home := p.waits.only(owner, causes...), p.home[owner]
	p.mu.Unlock()
	for _, c := range dropped {
		if c.kind == subnetCause && c.name != home {
			p.leave(c.name, owner)
		}
	}
}

// await adds causes of an owner. Pools.mu is held.
func (p *Pools) await(owner port.Key, causes ...Cause) (news bool) {
	if len(causes) > 0 {
		p.know(owner)
	}
	return p.waits.add(owner, causes...)
}

// Waiting are the keys of a feature's objects, each once, of which a port waits for any of the causes. They go on waiting.
func (p *Pools) Waiting(feature string, causes ...Cause) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var keys []string
	for _, owner := range p.waits.owners(causes...) {
		if owner.Owner.Feature == feature {
			keys = append(keys, owner.Owner.Key)
		}
	}
	return slices.Compact(keys)
}

// WaitingNamespaces are the Namespaces whose bindings somebody waits for.
func (p *Pools) WaitingNamespaces() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var names []string
	for c := range p.waits.byCause {
		if c.kind == namespaceCause {
			names = append(names, c.name)
		}
	}
	return names
}

// Turns is the source of the keys of those objects of a feature whose turn has come: an address that one of their ports waits for
// is free.
func (p *Pools) Turns(feature string) *reconcile.Feed {
	p.mu.Lock()
	defer p.mu.Unlock()
	feed, there := p.turns[feature]
	if !there {
		feed = &reconcile.Feed{}
		p.turns[feature] = feed
	}
	return feed
}

// Again has an owner's object looked at again.
func (p *Pools) Again(owner port.Key) { p.call([]port.Key{owner}) }

// call hands owners to their features.
func (p *Pools) call(owners []port.Key) {
	for _, owner := range owners {
		p.Turns(owner.Owner.Feature).Add(owner.Owner.Key)
	}
}
