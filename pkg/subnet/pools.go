package subnet

import (
	"context"
	"errors"
	"fmt"
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

	mu      sync.Mutex          // protects home and blocked; held only for look-ups
	home    map[string]string   // owner -> the subnet that it has addresses of, or waits for
	blocked map[string][]string // subnet -> owners that look again when it changes

	// waiting and changed hand keys to the queues of those who want them: owners whose turn has come, and subnets whose
	// usage is another than before.
	waiting, changed reconcile.Feed
}

// NewPools are pools that nobody has an address of.
func NewPools() *Pools {
	return &Pools{subnets: ipam.NewSubnets(), seeded: make(chan struct{}), home: map[string]string{}, blocked: map[string][]string{}}
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

// Allocate gives an owner addresses of a subnet. Addresses that it has of another one are given back.
func (p *Pools) Allocate(s Subnet, r ipam.Request) (ipam.Lease, error) {
	if home := p.homeOf(r.Owner); home != "" && home != s.Name {
		p.Release(r.Owner)
	}
	p.setHome(r.Owner, s.Name)
	pool := p.Set(s)
	_, had := pool.Lease(r.Owner)
	lease, err := pool.Allocate(r)
	if err == nil && !had {
		p.changed.Add(s.Name)
	}
	if taken := (*ipam.ConflictError)(nil); errors.As(err, &taken) {
		p.Block(s.Name, r.Owner)
	}
	return lease, err
}

// Held is what an owner has, and of which subnet.
func (p *Pools) Held(owner string) (subnet string, lease ipam.Lease) {
	subnet = p.homeOf(owner)
	if pool := p.subnets.Get(subnet); pool != nil {
		lease, _ = pool.Lease(owner)
	}
	return subnet, lease
}

// Reserve records addresses that an owner had before this process began.
func (p *Pools) Reserve(s Subnet, owner string, lease ipam.Lease) error {
	p.setHome(owner, s.Name)
	if err := p.Set(s).Reserve(owner, lease); err != nil {
		return fmt.Errorf("recording %s of %s: %w", lease.Addrs, owner, err)
	}
	return nil
}

// Release takes back whatever an owner has, and wakes those who waited for it.
func (p *Pools) Release(owner string) {
	p.mu.Lock()
	home := p.home[owner]
	delete(p.home, owner)
	p.mu.Unlock()
	if pool := p.subnets.Get(home); home != "" && pool != nil {
		p.waiting.Add(pool.Release(owner)...)
		p.Wake(home)
		p.changed.Add(home)
	}
}

// Block has an owner look again when a subnet comes, becomes valid, or gets an address back: the one it asks for may be
// among them.
func (p *Pools) Block(subnet, owner string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.blocked[subnet] = append(p.blocked[subnet], owner)
}

// Wake lets those look again who are blocked by a subnet.
func (p *Pools) Wake(subnet string) {
	p.mu.Lock()
	blocked := p.blocked[subnet]
	delete(p.blocked, subnet)
	p.mu.Unlock()
	p.waiting.Add(blocked...)
}

// Waiting is the source of owners whose turn for an address has come.
func (p *Pools) Waiting() *reconcile.Feed { return &p.waiting }

func (p *Pools) homeOf(owner string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.home[owner]
}

func (p *Pools) setHome(owner, subnet string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.home[owner] = subnet
}
