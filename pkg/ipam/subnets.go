package ipam

import (
	"maps"
	"sync"
)

// Subnets is the subnets by name. Its lock is never held while a subnet's is.
type Subnets struct {
	mu     sync.RWMutex // protects byName; held only to look up
	byName map[string]*Subnet
}

// NewSubnets is no subnets.
func NewSubnets() *Subnets { return &Subnets{byName: map[string]*Subnet{}} }

// Put makes a subnet, or resizes the one there is, and returns the owners who can
// be served now, as Release does.
func (s *Subnets) Put(name string, c Config) (subnet *Subnet, waiting []string) {
	if subnet := s.Get(name); subnet != nil {
		return subnet, subnet.Resize(c)
	}
	made := NewSubnet(c)
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
func (s *Subnets) Get(name string) *Subnet {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byName[name]
}

// Delete forgets a subnet and all its leases and returns the owners who waited
// for an address of it. Whoever still holds it gets ErrClosed.
func (s *Subnets) Delete(name string) (waiting []string) {
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
func (s *Subnets) All() map[string]*Subnet {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return maps.Clone(s.byName)
}
