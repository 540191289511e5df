package ipam

import (
	"maps"
	"slices"
)

// Fork is a copy of all subnets: what is done with it changes nothing here.
func (s *Subnets[O]) Fork() *Subnets[O] {
	fork := NewSubnets[O]()
	for name, subnet := range s.All() {
		fork.byName[name] = subnet.fork()
	}
	return fork
}

func (s *Subnet[O]) fork() *Subnet[O] {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &Subnet[O]{
		config: s.config, v4: s.v4.fork(), v6: s.v6.fork(), leases: maps.Clone(s.leases), macs: maps.Clone(s.macs), closed: s.closed,
	}
}

// fork copies what changes in place; the ranges are replaced as wholes.
func (f *family[O]) fork() family[O] {
	fork := *f
	fork.owners, fork.crowded, fork.stocks, fork.queues = maps.Clone(f.owners), f.crowded.fork(), map[string]*stock[O]{}, map[O][]string{}
	fork.masks = f.masks.fork()
	for name, s := range f.stocks {
		one := *s
		one.released, one.waiting = s.released.fork(), s.waiting.fork()
		fork.stocks[name] = &one
	}
	for owner, names := range f.queues {
		fork.queues[owner] = slices.Clone(names)
	}
	return fork
}
