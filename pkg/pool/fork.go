package pool

import (
	"maps"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// Fork is a copy of the pools for a dry run: what is taken of it is not taken here, and nobody hears of it. Its cost is that
// of all leases, a millisecond for some thousands.
func (p *Pools) Fork() *Pools {
	p.mu.Lock()
	defer p.mu.Unlock()
	further := make(map[ovs.Owner]map[string]struct{}, len(p.further))
	for owner, interfaces := range p.further {
		further[owner] = maps.Clone(interfaces)
	}
	return &Pools{
		subnets: p.subnets.Fork(), home: maps.Clone(p.home), holder: maps.Clone(p.holder), further: further, waits: p.waits.fork(),
		reserved: reservations{byOwner: maps.Clone(p.reserved.byOwner), owners: maps.Clone(p.reserved.owners)},
		turns:    map[string]*reconcile.Feed{}, parts: p.parts.fork(),
	}
}

func (w waits) fork() waits {
	fork := newWaits()
	for owner, causes := range w.byOwner {
		for c := range causes {
			fork.add(owner, c)
		}
	}
	return fork
}
