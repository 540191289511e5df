package ipam

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
)

// Config is what a Subnet gives addresses from.
type Config struct {
	// Prefixes is the bounds.
	Prefixes Prefixes
	// Gateways are never given, not even to an owner that asks for them.
	Gateways Addrs
	// Exclude are addresses that only an owner gets that asks for one of them, and may.
	Exclude Ranges
	// RouterMAC is the gateways' MAC, which is never given either; zero is none.
	RouterMAC MAC
}

func (c Config) equal(d Config) bool {
	return c.Prefixes == d.Prefixes && c.Gateways == d.Gateways && c.RouterMAC == d.RouterMAC && slices.Equal(c.Exclude, d.Exclude)
}

// Lease is what an owner has: an address of each family of its subnet and a MAC.
type Lease struct {
	Addrs
	MAC MAC
}

// Family chooses among the families of a subnet.
type Family int

const (
	// AllFamilies is an address of each family that the subnet has.
	AllFamilies Family = iota
	// OnlyV4 is an IPv4 address alone.
	OnlyV4
	// OnlyV6 is an IPv6 address alone.
	OnlyV6
)

// Request is what an owner wants. Only Owner must be set.
type Request[O comparable] struct {
	// Owner is who asks. One owner has one lease in a subnet.
	Owner O
	// Addrs asks for these very addresses; a family left out gets any.
	Addrs Addrs
	// MAC asks for this very MAC.
	MAC MAC
	// Family leaves out a family.
	Family Family
	// Parts are where addresses that are not asked for come from, the first that has a free one; none is what is in no part. A
	// family that a part has nothing of comes from there too.
	Parts []string
	// Excluded says that the owner may have addresses that are excluded.
	Excluded bool
	// Told says that the owner has an interface, and which prefixes it is told with the addresses; zero is no interface.
	Told Prefixes
}

// Subnet gives the addresses of one subnet. All methods may be called at once.
type Subnet[O comparable] struct {
	mu     sync.Mutex // protects all below; held only for look-ups in memory
	config Config
	v4, v6 family[O]
	leases map[O]Lease
	macs   map[MAC]O
	closed bool
}

// NewSubnet is a subnet whose addresses are all free.
func NewSubnet[O comparable](c Config) *Subnet[O] {
	s := &Subnet[O]{v4: newFamily[O](), v6: newFamily[O](), leases: map[O]Lease{}, macs: map[MAC]O{}}
	s.Resize(c)
	return s
}

// Allocate gives an owner a lease, with addresses of both families or of none. An owner that has a lease gets the same again.
func (s *Subnet[O]) Allocate(r Request[O]) (Lease, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return Lease{}, ErrClosed
	}
	if have, ok := s.leases[r.Owner]; ok {
		return have, r.check(have)
	}
	lease, err := s.choose(r)
	if err != nil {
		return Lease{}, err
	}
	s.take(r.Owner, lease)
	s.tell(r.Owner, r.Told)
	return lease, nil
}

// Tell notes which prefixes the interface of an owner has that has addresses here; none is an interface that has gone. As long
// as the interface has another IPv4 prefix than the subnet, nobody gets the ends of it. IPv6 has no broadcast. It returns the
// addresses that are not held back any more, and the owners that can be served now, as Release does.
func (s *Subnet[O]) Tell(owner O, told Prefixes) (freed []netip.Addr, waiting []O) {
	s.mu.Lock()
	defer s.mu.Unlock()
	freed = s.tell(owner, told)
	return freed, s.wake()
}

func (s *Subnet[O]) tell(owner O, told Prefixes) (freed []netip.Addr) {
	if !s.leases[owner].V4.IsValid() {
		told.V4 = netip.Prefix{}
	}
	return s.v4.tell(owner, told.V4)
}

// check tells whether a lease is what a request asks for.
func (r Request[O]) check(have Lease) error {
	if (r.Addrs.V4.IsValid() && r.Addrs.V4 != have.V4) ||
		(r.Addrs.V6.IsValid() && r.Addrs.V6 != have.V6) ||
		(!r.MAC.IsZero() && r.MAC != have.MAC) {
		return fmt.Errorf("%w: %s %s", ErrHolds, have.Addrs, have.MAC)
	}
	return nil
}

// choose is the lease that a request would get.
func (s *Subnet[O]) choose(r Request[O]) (lease Lease, err error) {
	want4 := r.Addrs.V4.IsValid() || (s.config.Prefixes.V4.IsValid() && r.Family != OnlyV6)
	want6 := r.Addrs.V6.IsValid() || (s.config.Prefixes.V6.IsValid() && r.Family != OnlyV4)
	if !want4 && !want6 {
		return lease, fmt.Errorf("%w: it has none of the family", ErrOutOfRange)
	}
	if lease.Addrs, err = s.addresses(r, want4, want6); err != nil {
		return lease, err
	}
	if why := r.MAC.unfit(s.config.RouterMAC); why != "" {
		return lease, &UnfitError{Subject: r.MAC.String(), Why: why}
	}
	if owner, used := s.macs[r.MAC]; used {
		return lease, &ConflictError[O]{Subject: r.MAC.String(), Owner: owner}
	}
	lease.MAC = r.MAC
	if lease.MAC.IsZero() {
		lease.MAC = s.freeMAC(lease.Addrs)
	}
	return lease, nil
}

// addresses are those that a request would get.
func (s *Subnet[O]) addresses(r Request[O], want4, want6 bool) (a Addrs, err error) {
	parts := r.Parts
	if len(parts) == 0 {
		parts = []string{rest}
	}
	s.v4.leave(r.Owner, parts...)
	s.v6.leave(r.Owner, parts...)
	err = ErrNoPart
	for _, part := range parts {
		if s.v4.stocks[part] == nil && s.v6.stocks[part] == nil {
			continue
		}
		if a, err = s.ofPart(r, part, want4, want6); !errors.Is(err, ErrFull) {
			return a, err
		}
	}
	return a, err
}

// ofPart are the addresses that a request would get of one part.
func (s *Subnet[O]) ofPart(r Request[O], part string, want4, want6 bool) (a Addrs, err error) {
	if want4 {
		if a.V4, err = s.v4.choose(r, r.Addrs.V4, part); err != nil {
			return a, err
		}
	}
	if want6 {
		a.V6, err = s.v6.choose(r, r.Addrs.V6, part)
	}
	return a, err
}

// freeMAC makes a MAC that nobody in the subnet has. The first one made is free
// unless a user asked for that very one, or two hashes of IPv6 addresses meet.
func (s *Subnet[O]) freeMAC(a Addrs) MAC {
	for try := uint32(0); ; try++ {
		mac := macFor(a, try)
		if _, used := s.macs[mac]; !used && mac != s.config.RouterMAC {
			return mac
		}
	}
}

func (s *Subnet[O]) take(owner O, lease Lease) {
	s.v4.leave(owner)
	s.v6.leave(owner)
	s.v4.take(lease.V4, owner)
	s.v6.take(lease.V6, owner)
	s.leases[owner] = lease
	if _, used := s.macs[lease.MAC]; !used {
		s.macs[lease.MAC] = owner
	}
}

// Reserve puts a lease on record that was given before this process began. What
// is in use is in use: the bounds are not asked, and a MAC that another has too is
// no reason to refuse. Only an address that another owner has is refused.
func (s *Subnet[O]) Reserve(owner O, lease Lease) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if have, ok := s.leases[owner]; ok {
		return Request[O]{Addrs: lease.Addrs}.check(have)
	}
	if lease.IsZero() {
		return fmt.Errorf("%w: no address on record", ErrOutOfRange)
	}
	if other, used := s.v4.owners[lease.V4]; used {
		return &ConflictError[O]{Subject: lease.V4.String(), Owner: other}
	}
	if other, used := s.v6.owners[lease.V6]; used {
		return &ConflictError[O]{Subject: lease.V6.String(), Owner: other}
	}
	if lease.MAC.IsZero() {
		lease.MAC = s.freeMAC(lease.Addrs)
	}
	s.take(owner, lease)
	return nil
}

// Release takes back what an owner has, and its place in the queue; an owner who
// has neither is no mistake. It returns the owners who can be served now, those
// who waited for longest first: they are no longer in the queue, and each must
// call Allocate, or Release when it wants nothing any more.
func (s *Subnet[O]) Release(owner O) (waiting []O) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.v4.leave(owner)
	s.v6.leave(owner)
	if lease, ok := s.leases[owner]; ok {
		s.v4.give(lease.V4)
		s.v6.give(lease.V6)
		s.tell(owner, Prefixes{})
		delete(s.leases, owner)
		if s.macs[lease.MAC] == owner {
			delete(s.macs, lease.MAC)
		}
	}
	return s.wake()
}

// Rename makes the lease of one owner another's, who must have none, and says
// whether it did. The addresses are in use all the while; the interface has gone.
func (s *Subnet[O]) Rename(from, to O) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	lease, ok := s.leases[from]
	if _, has := s.leases[to]; !ok || has {
		return false
	}
	s.v4.leave(to)
	s.v6.leave(to)
	for _, f := range []struct {
		owners map[netip.Addr]O
		addr   netip.Addr
	}{{s.v4.owners, lease.V4}, {s.v6.owners, lease.V6}} {
		if f.addr.IsValid() {
			f.owners[f.addr] = to
		}
	}
	if s.macs[lease.MAC] == from {
		s.macs[lease.MAC] = to
	}
	s.tell(from, Prefixes{})
	delete(s.leases, from)
	s.leases[to] = lease
	return true
}

func (s *Subnet[O]) wake() []O {
	return s.v6.wake(s.v4.wake(nil))
}

// Wake returns the owners that can be served now, as Release does. One that waited for several parts has perhaps been woken
// for an address and taken another.
func (s *Subnet[O]) Wake() (waiting []O) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wake()
}

// Resize gives the subnet another range. A lease outside the new range stays what it is; CutOff tells of such leases
// beforehand. It returns the owners that can be served now, as Release does.
func (s *Subnet[O]) Resize(c Config) (waiting []O) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.config.equal(c) {
		return nil
	}
	c.Exclude = slices.Clone(c.Exclude)
	s.config = c
	s.v4.resize(c.Prefixes.V4, c.Gateways.V4, c.Exclude)
	s.v6.resize(c.Prefixes.V6, c.Gateways.V6, c.Exclude)
	return s.wake()
}

// close ends the subnet and returns all who wait for it.
func (s *Subnet[O]) close() (waiting []O) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return slices.Concat(s.v4.waiters(), s.v6.waiters())
}
