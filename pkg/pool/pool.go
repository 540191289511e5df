package pool

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/port"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// Spec is what the pool of a Subnet gives addresses from.
type Spec struct {
	// Subnet is the Subnet's name.
	Subnet string
	ipam.Config
}

// Request is what an owner wants. Only Owner must be set.
type Request struct {
	// Owner is the port that asks.
	Owner port.Key
	// Addrs asks for these very addresses; a family left out gets any.
	Addrs ipam.Addrs
	// MAC asks for this very MAC.
	MAC ipam.MAC
	// Family leaves out a family.
	Family ipam.Family
	// IPPools are whose addresses the owner gets where it asks for none, the first that has a free one; none is what is no
	// IPPool's.
	IPPools []string
	// Excluded says that the owner may have addresses that are excluded: somebody else than the pod has decided so.
	Excluded bool
	// Told says that the port has an interface, and which prefixes it is told; zero is no interface.
	Told ipam.Prefixes
}

// Pools gives out the addresses of all Subnets. A port has addresses of one Subnet at a time, and each port of an object has its
// own.
type Pools struct {
	subnets *ipam.Subnets[port.Key]

	mu     sync.Mutex          // protects what follows; held only for look-ups
	home   map[port.Key]string // the Subnet that an owner has addresses of
	holder map[port.Key]string // the UID of the object that has them, where it is known
	// further are, by object, those of its ports beside the first that have addresses or wait for some.
	further map[ovs.Owner]map[string]struct{}
	waits   waits
	// reserved are the reservations of owners.
	reserved reservations
	turns    map[string]*reconcile.Feed // by feature: keys of owners whose turn has come

	changed reconcile.Feed // names of Subnets whose usage is another than before
	parts   parts
}

// PoolsOf are the pools that features share.
func PoolsOf(env *reconcile.Env) *Pools {
	return reconcile.Shared(env, func(env *reconcile.Env) *Pools {
		pools := New()
		if env.Metrics != nil {
			if err := env.Metrics.Register(pools); err != nil {
				env.Fail(fmt.Errorf("counting addresses: %w", err))
			}
		}
		return pools
	})
}

// New makes pools that nobody has an address of.
func New() *Pools {
	return &Pools{
		subnets: ipam.NewSubnets[port.Key](),
		home:    map[port.Key]string{}, holder: map[port.Key]string{}, further: map[ovs.Owner]map[string]struct{}{}, waits: newWaits(),
		reserved: newReservations(), turns: map[string]*reconcile.Feed{}, parts: newParts(),
	}
}

// Set makes a Subnet's pool what its spec says.
func (p *Pools) Set(s Spec) *ipam.Subnet[port.Key] {
	pool, waiting := p.subnets.Put(s.Subnet, s.Config)
	p.call(waiting)
	return pool
}

// Delete forgets a Subnet's pool.
func (p *Pools) Delete(subnet string) { p.call(p.subnets.Delete(subnet)) }

// Get is a Subnet's pool, or nil.
func (p *Pools) Get(subnet string) *ipam.Subnet[port.Key] { return p.subnets.Get(subnet) }

// Changed is the source of the names of Subnets whose usage is another than before.
func (p *Pools) Changed() *reconcile.Feed { return &p.changed }

// Users are the owners, in order, that have addresses of a Subnet.
func (p *Pools) Users(subnet string) []port.Key {
	pool := p.subnets.Get(subnet)
	if pool == nil {
		return nil
	}
	return slices.SortedFunc(slices.Values(pool.Owners()), port.Key.Compare)
}

// CutOff are the owners, in order, of addresses of a Subnet that another spec would cut off; told are the gateways that they
// were told.
func (p *Pools) CutOff(s Spec, told ipam.Addrs) []port.Key {
	pool := p.subnets.Get(s.Subnet)
	if pool == nil {
		return nil
	}
	return slices.SortedFunc(slices.Values(pool.CutOff(told, s.Config)), port.Key.Compare)
}

// Allocate gives an owner addresses of a Subnet. Only then the owner gives back its addresses of another Subnet, and waits for
// nothing any more: an owner that asks one full Subnet after the other is in the queue of each. An address or MAC that another
// owner has is an *InUseError, and a cause that the owner waits for.
func (p *Pools) Allocate(s Spec, r Request) (ipam.Lease, error) {
	pool := p.Set(s)
	_, had := pool.Lease(r.Owner)
	lease, err := p.ask(pool, s.Subnet, r)
	p.call(pool.Wake())
	if err != nil {
		return lease, err
	}
	p.settle(r.Owner, s.Subnet)
	if !had {
		p.used(s.Subnet, lease)
	}
	return lease, nil
}

// ask is the pool's answer to a request. It is asked again after each wait that begins here: what is waited for may have
// been freed a moment before.
func (p *Pools) ask(pool *ipam.Subnet[port.Key], subnet string, r Request) (ipam.Lease, error) {
	for {
		lease, err := pool.Allocate(ipam.Request[port.Key]{
			Owner: r.Owner, Addrs: r.Addrs, MAC: r.MAC, Family: r.Family, Parts: r.IPPools, Excluded: r.Excluded, Told: r.Told,
		})
		if errors.Is(err, ipam.ErrFull) {
			p.WaitFor(r.Owner, Subnet(subnet)) // its place in the queue goes when the owner settles elsewhere
		}
		taken := (*ipam.ConflictError[port.Key])(nil)
		if !errors.As(err, &taken) || !p.WaitFor(r.Owner, address(subnet, taken.Subject)) {
			return lease, inUse(err)
		}
	}
}

// Reserve records addresses that an owner had before this process began.
func (p *Pools) Reserve(s Spec, owner port.Key, lease ipam.Lease) error {
	if err := p.Set(s).Reserve(owner, lease); err != nil {
		return fmt.Errorf("recording %s of %s: %w", lease.Addrs, owner, inUse(err))
	}
	p.settle(owner, s.Subnet)
	return nil
}

// Release takes back whatever an owner has, and wakes those who waited for it. What is reserved for the owner goes to the
// reservation.
func (p *Pools) Release(owner port.Key) { p.settle(owner, "") }

// ReleaseAll does so for all ports of an object.
func (p *Pools) ReleaseAll(object ovs.Owner) {
	for _, owner := range p.Ports(object) {
		p.Release(owner)
	}
}

// Ports are the ports of an object: its first one, and the further ones that have addresses or wait for some.
func (p *Pools) Ports(object ovs.Owner) []port.Key {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := []port.Key{port.First(object)}
	for _, name := range slices.Sorted(maps.Keys(p.further[object])) {
		out = append(out, port.Key{Owner: object, Interface: name})
	}
	return out
}

// know notes a port for Ports. Pools.mu is held.
func (p *Pools) know(owner port.Key) {
	if owner.Interface != "" {
		insert(p.further, owner.Owner, owner.Interface)
	}
}

// Held is what an owner has, and of which Subnet.
func (p *Pools) Held(owner port.Key) (subnet string, lease ipam.Lease) {
	p.mu.Lock()
	subnet = p.home[owner]
	p.mu.Unlock()
	if pool := p.subnets.Get(subnet); pool != nil {
		lease, _ = pool.Lease(owner)
	}
	return subnet, lease
}

// Holder is the UID of the object that has what its owner, a name, holds; empty when that is not known.
func (p *Pools) Holder(owner port.Key) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.holder[owner]
}

// Bind says of which object the addresses of an owner are: a name may have been another object's before. What nobody holds
// is not bound.
func (p *Pools) Bind(owner port.Key, uid string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, holds := p.home[owner]; holds && uid != "" {
		p.holder[owner] = uid
	}
}

// Tell notes which prefixes the interface of an owner has; none is an interface that has gone. The ends of a prefix that the
// Subnet does not have any more are nobody's until the last such interface has gone, and those who wait for them are woken then.
func (p *Pools) Tell(owner port.Key, told ipam.Prefixes) {
	p.mu.Lock()
	home := p.home[owner]
	p.mu.Unlock()
	pool := p.subnets.Get(home)
	if pool == nil {
		return
	}
	freed, waiting := pool.Tell(owner, told)
	p.call(waiting)
	for _, a := range freed {
		p.mu.Lock()
		waiting = p.waits.owners(address(home, a.String()))
		p.mu.Unlock()
		p.call(waiting)
	}
}

// settle makes a Subnet the home of an owner, which leaves all others and waits for nothing; "" is no home.
func (p *Pools) settle(owner port.Key, to string) {
	if to == "" {
		p.Tell(owner, ipam.Prefixes{})
	}
	home, queued := p.move(owner, to)
	for _, subnet := range queued {
		p.leave(subnet, owner)
	}
	if home == "" || home == to {
		return
	}
	had := p.leave(home, owner)
	p.mu.Lock()
	waiting := p.waits.owners(addresses(home, had)...)
	p.mu.Unlock()
	p.call(waiting)
	p.used(home, had)
}

// move writes an owner's new home down, and tells the old one and the Subnets in whose queues the owner may be.
func (p *Pools) move(owner port.Key, to string) (home string, queued []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	home = p.home[owner]
	for _, c := range p.waits.only(owner) {
		if c.kind == subnetCause && c.name != home && c.name != to {
			queued = append(queued, c.name)
		}
	}
	if to != "" {
		p.home[owner] = to
		p.know(owner)
		return home, queued
	}
	drop(p.further, owner.Owner, owner.Interface)
	if reservation, kept := p.reserved.byOwner[owner]; kept && p.hand(owner, reservation) {
		return "", queued
	}
	delete(p.home, owner)
	delete(p.holder, owner)
	return home, queued
}

// leave takes an owner out of the pool of a Subnet and out of its queue, and tells what it had there.
func (p *Pools) leave(subnet string, owner port.Key) (had ipam.Lease) {
	pool := p.subnets.Get(subnet)
	if pool == nil {
		return had
	}
	had, _ = pool.Lease(owner)
	p.call(pool.Release(owner))
	return had
}
