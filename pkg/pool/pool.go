package pool

import (
	"errors"
	"fmt"
	"sync"

	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/ovs"
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
	// Owner is who asks.
	Owner ovs.Owner
	// Addrs asks for these very addresses; a family left out gets any.
	Addrs ipam.Addrs
	// MAC asks for this very MAC.
	MAC ipam.MAC
	// Family leaves out a family.
	Family ipam.Family
}

// Pools gives out the addresses of all Subnets. An owner has addresses of one Subnet at a time.
type Pools struct {
	subnets *ipam.Subnets

	mu     sync.Mutex           // protects what follows; held only for look-ups
	home   map[ovs.Owner]string // the Subnet that an owner has addresses of
	holder map[ovs.Owner]string // the UID of the object that has them, where it is known
	waits  waits
	// reserved are the reservations of owners.
	reserved reservations
	turns    map[string]*reconcile.Feed // by feature: keys of owners whose turn has come

	changed reconcile.Feed // names of Subnets whose usage is another than before
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
		subnets: ipam.NewSubnets(),
		home:    map[ovs.Owner]string{}, holder: map[ovs.Owner]string{}, waits: newWaits(),
		reserved: newReservations(), turns: map[string]*reconcile.Feed{},
	}
}

// Set makes a Subnet's pool what its spec says.
func (p *Pools) Set(s Spec) *ipam.Subnet {
	pool, waiting := p.subnets.Put(s.Subnet, s.Config)
	p.call(parseOwners(waiting))
	return pool
}

// Delete forgets a Subnet's pool.
func (p *Pools) Delete(subnet string) { p.call(parseOwners(p.subnets.Delete(subnet))) }

// Get is a Subnet's pool, or nil.
func (p *Pools) Get(subnet string) *ipam.Subnet { return p.subnets.Get(subnet) }

// Changed is the source of the names of Subnets whose usage is another than before.
func (p *Pools) Changed() *reconcile.Feed { return &p.changed }

// Users are the owners, in order, who have addresses of a Subnet.
func (p *Pools) Users(subnet string) []ovs.Owner {
	pool := p.subnets.Get(subnet)
	if pool == nil {
		return nil
	}
	return parseOwners(pool.Owners())
}

// CutOff are the owners, in order, of addresses of a Subnet whom another spec would cut off; told are the gateways that they
// were told.
func (p *Pools) CutOff(s Spec, told ipam.Addrs) []ovs.Owner {
	pool := p.subnets.Get(s.Subnet)
	if pool == nil {
		return nil
	}
	return parseOwners(pool.CutOff(told, s.Config))
}

// Allocate gives an owner addresses of a Subnet. Only then the owner gives back what it has of another one, and waits for
// nothing any more: who asks one full Subnet after the other is in the queue of each. An address or MAC that another owner
// has is an *InUseError, and a cause that the owner waits for.
func (p *Pools) Allocate(s Spec, r Request) (ipam.Lease, error) {
	pool := p.Set(s)
	_, had := pool.Lease(r.Owner.String())
	lease, err := p.ask(pool, s.Subnet, r)
	if err != nil {
		return lease, err
	}
	p.settle(r.Owner, s.Subnet)
	if !had {
		p.changed.Add(s.Subnet)
	}
	return lease, nil
}

// ask is the pool's answer to a request. It is asked again after each wait that begins here: what is waited for may have
// been freed a moment before.
func (p *Pools) ask(pool *ipam.Subnet, subnet string, r Request) (ipam.Lease, error) {
	for {
		lease, err := pool.Allocate(ipam.Request{Owner: r.Owner.String(), Addrs: r.Addrs, MAC: r.MAC, Family: r.Family})
		if errors.Is(err, ipam.ErrFull) {
			p.WaitFor(r.Owner, Subnet(subnet)) // its place in the queue goes when the owner settles elsewhere
		}
		taken := (*ipam.ConflictError)(nil)
		if !errors.As(err, &taken) || !p.WaitFor(r.Owner, address(subnet, taken.Subject)) {
			return lease, inUse(err)
		}
	}
}

// Reserve records addresses that an owner had before this process began.
func (p *Pools) Reserve(s Spec, owner ovs.Owner, lease ipam.Lease) error {
	if err := p.Set(s).Reserve(owner.String(), lease); err != nil {
		return fmt.Errorf("recording %s of %s: %w", lease.Addrs, describe(owner), inUse(err))
	}
	p.settle(owner, s.Subnet)
	return nil
}

// Release takes back whatever an owner has, and wakes those who waited for it. What is reserved for the owner goes to the
// reservation.
func (p *Pools) Release(owner ovs.Owner) { p.settle(owner, "") }

// Held is what an owner has, and of which Subnet.
func (p *Pools) Held(owner ovs.Owner) (subnet string, lease ipam.Lease) {
	p.mu.Lock()
	subnet = p.home[owner]
	p.mu.Unlock()
	if pool := p.subnets.Get(subnet); pool != nil {
		lease, _ = pool.Lease(owner.String())
	}
	return subnet, lease
}

// Holder is the UID of the object that has what its owner, a name, holds; empty when that is not known.
func (p *Pools) Holder(owner ovs.Owner) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.holder[owner]
}

// Bind says of which object the addresses of an owner are: a name may have been another object's before. What nobody holds
// is not bound.
func (p *Pools) Bind(owner ovs.Owner, uid string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, holds := p.home[owner]; holds && uid != "" {
		p.holder[owner] = uid
	}
}

// settle makes a Subnet the home of an owner, who leaves all others and waits for nothing; "" is no home.
func (p *Pools) settle(owner ovs.Owner, to string) {
	home, queued := p.move(owner, to)
	for _, subnet := range queued {
		p.leave(subnet, owner)
	}
	if home == "" || home == to {
		return
	}
	freed := addresses(home, p.leave(home, owner))
	p.mu.Lock()
	waiting := p.waits.owners(freed...)
	p.mu.Unlock()
	p.call(waiting)
	p.changed.Add(home)
}

// move writes an owner's new home down, and tells the old one and the Subnets in whose queues the owner may be.
func (p *Pools) move(owner ovs.Owner, to string) (home string, queued []string) {
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
		return home, queued
	}
	if reservation, kept := p.reserved.byOwner[owner]; kept && p.hand(owner, reservation) {
		return "", queued
	}
	delete(p.home, owner)
	delete(p.holder, owner)
	return home, queued
}

// leave takes an owner out of the pool of a Subnet and out of its queue, and tells what it had there.
func (p *Pools) leave(subnet string, owner ovs.Owner) (had ipam.Lease) {
	pool := p.subnets.Get(subnet)
	if pool == nil {
		return had
	}
	had, _ = pool.Lease(owner.String())
	p.call(parseOwners(pool.Release(owner.String())))
	return had
}
