package subnet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// Pools gives out the addresses of all subnets. An owner, which is the key of a pod or the port name of a node, has
// addresses of one subnet at a time.
type Pools struct {
	subnets *ipam.Subnets
	seeded  chan struct{}
	once    sync.Once

	mu      sync.Mutex         // protects the maps; held only for look-ups
	home    map[string]string  // owner -> the subnet that it has addresses of
	holder  map[string]string  // owner -> the UID of the object that has them, where it is known
	waits   map[string]nameSet // owner -> the subnets that it is in the queue of, or is blocked by
	blocked map[string]nameSet // subnet -> owners that look again when it changes

	// waiting and changed hand keys to the queues of those who want them: owners whose turn has come, and subnets whose
	// usage is another than before.
	waiting, changed reconcile.Feed
}

// nameSet is a set of names.
type nameSet map[string]struct{}

// NewPools are pools that nobody has an address of.
func NewPools() *Pools {
	return &Pools{
		subnets: ipam.NewSubnets(), seeded: make(chan struct{}),
		home: map[string]string{}, holder: map[string]string{}, waits: map[string]nameSet{}, blocked: map[string]nameSet{},
	}
}

// Seeded says that all addresses in use from before this process are on record: from now on new ones may be given.
func (p *Pools) Seeded() { p.once.Do(func() { close(p.seeded) }) }

// AwaitSeed waits for Seeded.
func (p *Pools) AwaitSeed(ctx context.Context) error {
	select {
	case <-p.seeded:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the record of addresses in use: %w", ctx.Err())
	}
}

// Set makes a subnet's pool what its spec says.
func (p *Pools) Set(s Subnet) *ipam.Subnet {
	pool, waiting := p.subnets.Put(s.Name, s.Config())
	p.waiting.Add(waiting...)
	return pool
}

// Delete forgets a subnet's pool.
func (p *Pools) Delete(name string) { p.waiting.Add(p.subnets.Delete(name)...) }

// Get is a subnet's pool, or nil.
func (p *Pools) Get(name string) *ipam.Subnet { return p.subnets.Get(name) }

// InUse is how many owners have addresses of a subnet.
func (p *Pools) InUse(name string) int {
	pool := p.subnets.Get(name)
	if pool == nil {
		return 0
	}
	v4, v6 := pool.Usage()
	return int(max(v4.Using, v6.Using))
}

// Allocate gives an owner addresses of a subnet. Only then it gives back what it has of another one, and its places in
// queues: who asks one full subnet after the other waits for all of them.
func (p *Pools) Allocate(s Subnet, r ipam.Request) (ipam.Lease, error) {
	pool := p.Set(s)
	_, had := pool.Lease(r.Owner)
	lease, err := pool.Allocate(r)
	if err == nil {
		p.settle(r.Owner, s.Name)
		if !had {
			p.changed.Add(s.Name)
		}
	}
	if errors.Is(err, ipam.ErrFull) {
		p.mu.Lock()
		add(p.waits, r.Owner, s.Name)
		p.mu.Unlock()
	}
	if taken := (*ipam.ConflictError)(nil); errors.As(err, &taken) {
		p.Block(s.Name, r.Owner)
	}
	return lease, err
}

// Held is what an owner has, and of which subnet.
func (p *Pools) Held(owner string) (subnet string, lease ipam.Lease) {
	p.mu.Lock()
	subnet = p.home[owner]
	p.mu.Unlock()
	if pool := p.subnets.Get(subnet); pool != nil {
		lease, _ = pool.Lease(owner)
	}
	return subnet, lease
}

// Holder is the UID of the object that has what its owner, a name, holds; empty when that is not known.
func (p *Pools) Holder(owner string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.holder[owner]
}

// Bind says of which object the addresses of an owner are: a name may have been another object's before. What nobody holds
// is not bound.
func (p *Pools) Bind(owner, uid string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, holds := p.home[owner]; holds && uid != "" {
		p.holder[owner] = uid
	}
}

// Again has an owner look again at what it wants.
func (p *Pools) Again(owner string) { p.waiting.Add(owner) }

// settle makes a subnet the home of an owner, who leaves all others.
func (p *Pools) settle(owner, subnet string) {
	home, left := p.move(owner, subnet)
	for name := range left {
		if pool := p.subnets.Get(name); pool != nil {
			p.waiting.Add(pool.Release(owner)...)
		}
	}
	if _, moved := left[home]; moved {
		p.Wake(home)
		p.changed.Add(home)
	}
}

// move writes an owner's new home down, "" for none, and tells the old one and all subnets that the owner leaves.
func (p *Pools) move(owner, to string) (home string, left nameSet) {
	p.mu.Lock()
	defer p.mu.Unlock()
	home, left = p.home[owner], p.waits[owner]
	for name := range left {
		remove(p.blocked, name, owner)
	}
	if home != "" {
		if left == nil {
			left = nameSet{}
		}
		left[home] = struct{}{}
	}
	delete(left, to)
	delete(p.waits, owner)
	if to == "" {
		delete(p.home, owner)
		delete(p.holder, owner)
	} else {
		p.home[owner] = to
	}
	return home, left
}

// Reserve records addresses that an owner had before this process began.
func (p *Pools) Reserve(s Subnet, owner string, lease ipam.Lease) error {
	if err := p.Set(s).Reserve(owner, lease); err != nil {
		return fmt.Errorf("recording %s of %s: %w", lease.Addrs, owner, err)
	}
	p.settle(owner, s.Name)
	return nil
}

// Release takes back whatever an owner has, and wakes those who waited for it.
func (p *Pools) Release(owner string) { p.settle(owner, "") }

// Block has an owner look again when a subnet comes, becomes valid, or gets an address back: the one it asks for may be
// among them.
func (p *Pools) Block(subnet, owner string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	add(p.blocked, subnet, owner)
	add(p.waits, owner, subnet)
}

// Wake lets those look again who are blocked by a subnet.
func (p *Pools) Wake(subnet string) {
	p.mu.Lock()
	blocked := slices.Sorted(maps.Keys(p.blocked[subnet]))
	delete(p.blocked, subnet)
	p.mu.Unlock()
	p.waiting.Add(blocked...)
}

// Waiting is the source of owners whose turn for an address has come.
func (p *Pools) Waiting() *reconcile.Feed { return &p.waiting }

// add puts a name into the set of a key.
func add(sets map[string]nameSet, key, name string) {
	if sets[key] == nil {
		sets[key] = nameSet{}
	}
	sets[key][name] = struct{}{}
}

// remove takes a name out of the set of a key, and the set with its last name.
func remove(sets map[string]nameSet, key, name string) {
	delete(sets[key], name)
	if len(sets[key]) == 0 {
		delete(sets, key)
	}
}
