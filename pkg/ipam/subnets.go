package ipam

import (
	"maps"
	"sync"
)

// Subnets is the subnets by name. Its lock is never held while a subnet's is.
type Subnets[O comparable] struct {
	mu     sync.RWMutex // protects byName; held only to look up
	byName map[string]*Subnet[O]
}

// NewSubnets is no subnets.
func NewSubnets[O comparable]() *Subnets[O] {
	return &Subnets[O]{byName: map[string]*Subnet[O]{}}
}

// Put makes a subnet, or resizes the one there is, and returns the owners who can
// be served now, as Release does.
func (s *Subnets[O]) Put(name string, c Config) (subnet *Subnet[O], waiting []O) {
	if subnet := s.Get(name); subnet != nil {
		return subnet, subnet.Resize(c)
	}
	made := NewSubnet[O](c)
	s.mu.Lock()
	subnet, raced := s.byName[name]
	if !raced {
		s.byName[name] = made
	}
	s.mu.Unlock()
	if !raced {
		return made, nil
	}
	return subnet, subnet.Resize(c)
}

// Get is the subnet of a name, or nil.
func (s *Subnets[O]) Get(name string) *Subnet[O] {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byName[name]
}

// Delete forgets a subnet and all its leases and returns the owners who waited
// for an address of it. Whoever still holds it gets ErrClosed.
func (s *Subnets[O]) Delete(name string) (waiting []O) {
	s.mu.Lock()
	subnet, ok := s.byName[name]
	delete(s.byName, name)
	s.mu.Unlock()
	if !ok {
		return nil
	}
	return subnet.close()
}

// All is a copy of the map, to go through without the lock.
func (s *Subnets[O]) All() map[string]*Subnet[O] {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return maps.Clone(s.byName)
}
