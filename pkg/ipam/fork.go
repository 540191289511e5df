package ipam

import (
	"container/list"
	"maps"
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
	fork.owners, fork.released, fork.waiting = maps.Clone(f.owners), f.released.fork(), f.waiting.fork()
	return fork
}

func (q fifo[T]) fork() fifo[T] {
	fork := fifo[T]{order: list.New(), place: map[T]*list.Element{}}
	for e := q.order.Front(); e != nil; e = e.Next() {
		fork.push(e.Value.(T))
	}
	return fork
}
