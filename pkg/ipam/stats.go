package ipam

import (
	"maps"
	"net/netip"
	"slices"
)

// Usage is how much of one family of a subnet, or of a part of it, is in use.
type Usage struct {
	// Available is how many addresses can be given unasked; those of a subnet that are in a part are not among them.
	Available float64
	// Using is how many addresses are in use.
	Using float64
}

// Usage counts both families. It costs the same however many there are.
func (s *Subnet[O]) Usage() (v4, v6 Usage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.v4.usage(), s.v6.usage()
}

func (f *family[O]) usage() Usage {
	return Usage{Available: f.stocks[rest].free(), Using: float64(len(f.owners))}
}

// UsageRanges is which addresses of one family can be given and which are in use.
type UsageRanges struct{ Available, Using Ranges }

// UsageRanges lists both families. It costs a sort of all that are in use.
func (s *Subnet[O]) UsageRanges() (v4, v6 UsageRanges) {
	s.mu.Lock()
	list4, list6 := s.v4.snapshot(), s.v6.snapshot()
	s.mu.Unlock()
	return list4.ranges(), list6.ranges()
}

// snapshot is what ranges needs of a family, to sort it without the lock.
type snapshot struct {
	givable Ranges
	using   []Range
}

func (f *family[O]) snapshot() snapshot {
	using := make([]Range, 0, len(f.owners))
	for a := range f.owners {
		using = append(using, Range{First: a, Last: a})
	}
	return snapshot{givable: f.stocks[rest].ranges, using: using}
}

func (s snapshot) ranges() UsageRanges {
	using := NewRanges(s.using...)
	return UsageRanges{Using: using, Available: s.givable.Minus(using)}
}

// Lease is what an owner has.
func (s *Subnet[O]) Lease(owner O) (Lease, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lease, ok := s.leases[owner]
	return lease, ok
}

// Owner is who has an address.
func (s *Subnet[O]) Owner(a netip.Addr) (O, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if owner, ok := s.v4.owners[a]; ok {
		return owner, true
	}
	owner, ok := s.v6.owners[a]
	return owner, ok
}

// Owners are all that have an address, in no order.
func (s *Subnet[O]) Owners() []O {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.leases))
}

// CutOff are the owners, in no order, that another range or gateway would cut off: their address would be outside the range or
// one that nobody may have, or the gateway that they were told would be another. A gateway that is not known has not moved.
func (s *Subnet[O]) CutOff(told Addrs, c Config) []O {
	v4, v6 := newFamily[O](), newFamily[O]()
	v4.resize(c.Prefixes.V4, c.Gateways.V4, nil)
	v6.resize(c.Prefixes.V6, c.Gateways.V6, nil)
	moved := func(told, gateway netip.Addr) bool { return told.IsValid() && told != gateway }
	s.mu.Lock()
	defer s.mu.Unlock()
	var owners []O
	for owner, lease := range s.leases {
		if v4.outside(lease.V4) || v6.outside(lease.V6) ||
			lease.V4.IsValid() && moved(told.V4, c.Gateways.V4) || lease.V6.IsValid() && moved(told.V6, c.Gateways.V6) {
			owners = append(owners, owner)
		}
	}
	return owners
}
