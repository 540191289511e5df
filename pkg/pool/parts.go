package pool

import (
	"maps"
	"slices"
	"sync"

	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/port"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// parts are the IPPools that are in force: the parts of Subnets.
type parts struct {
	mu   *sync.Mutex       // protects home; held only for look-ups
	home map[string]string // the Subnet of each
	// changed are the names of those whose usage is another than before.
	changed *reconcile.Feed
}

func newParts() parts {
	return parts{mu: &sync.Mutex{}, home: map[string]string{}, changed: &reconcile.Feed{}}
}

func (p parts) fork() parts {
	p.mu.Lock()
	defer p.mu.Unlock()
	fork := newParts()
	fork.home = maps.Clone(p.home)
	return fork
}

// of is the pool of the Subnet that an IPPool is in, or nil.
func (p *Pools) of(ipPool string) *ipam.Subnet[port.Key] {
	p.parts.mu.Lock()
	home := p.parts.home[ipPool]
	p.parts.mu.Unlock()
	return p.subnets.Get(home)
}

// SetIPPool sets addresses of a Subnet aside for those who ask for the IPPool, or other ones than before. Those that are in use
// stay in use. What the Subnet itself has to give is another number then. Where other IPPools have some of the addresses nothing
// changes; they are returned, in order.
func (p *Pools) SetIPPool(s Spec, name string, addresses ipam.Ranges) (inTheWay []string) {
	pool := p.Set(s)
	had := pool.Part(name)
	waiting, inTheWay := pool.SetPart(name, addresses)
	p.call(waiting)
	if len(inTheWay) > 0 {
		return inTheWay
	}
	if !slices.Equal(had, addresses) {
		p.changed.Add(s.Subnet)
	}
	p.parts.mu.Lock()
	before := p.parts.home[name]
	p.parts.home[name] = s.Subnet
	p.parts.mu.Unlock()
	if before != s.Subnet {
		p.endPart(before, name)
	}
	return nil
}

// EndIPPool gives the addresses of an IPPool back to its Subnet, whose name it returns. Those in use stay in use.
func (p *Pools) EndIPPool(name string) (subnet string) {
	p.parts.mu.Lock()
	subnet = p.parts.home[name]
	delete(p.parts.home, name)
	p.parts.mu.Unlock()
	p.endPart(subnet, name)
	return subnet
}

func (p *Pools) endPart(subnet, name string) {
	if pool := p.subnets.Get(subnet); pool != nil {
		waiting, _ := pool.SetPart(name, nil)
		p.call(waiting)
		p.changed.Add(subnet)
	}
}

// IPPool is what is in force of an IPPool; nothing when there is none.
func (p *Pools) IPPool(name string) ipam.Ranges {
	if pool := p.of(name); pool != nil {
		return pool.Part(name)
	}
	return nil
}

// IPPoolsOf are the IPPools that addresses of a Subnet are in.
func (p *Pools) IPPoolsOf(subnet string, a ipam.Addrs) []string {
	if pool := p.subnets.Get(subnet); pool != nil {
		return pool.PartsOf(a)
	}
	return nil
}

// UsersOfIPPool are the owners, in order, that have addresses of an IPPool.
func (p *Pools) UsersOfIPPool(name string) []port.Key {
	pool := p.of(name)
	if pool == nil {
		return nil
	}
	return slices.SortedFunc(slices.Values(pool.PartOwners(name)), port.Key.Compare)
}

// IPPoolUsage is how much of an IPPool is in use, and which addresses.
func (p *Pools) IPPoolUsage(name string) (v4, v6 ipam.Usage, ranges4, ranges6 ipam.UsageRanges) {
	if pool := p.of(name); pool != nil {
		v4, v6 = pool.PartUsage(name)
		ranges4, ranges6 = pool.PartRanges(name)
	}
	return v4, v6, ranges4, ranges6
}

// IPPoolsChanged is the source of the names of IPPools whose usage is another than before.
func (p *Pools) IPPoolsChanged() *reconcile.Feed { return p.parts.changed }

// used has those told whose usage a lease changes.
func (p *Pools) used(subnet string, lease ipam.Lease) {
	p.changed.Add(subnet)
	p.parts.changed.Add(p.IPPoolsOf(subnet, lease.Addrs)...)
}
