package ipam

import "net/netip"

// keptReleased is how many released addresses of a stock are remembered in the order of their release. Of a /64 with a pod a
// second there would otherwise be 13 MB more each day.
const keptReleased = 4096

// stock is the addresses of a family that are given unasked to those who want any of a part, or of the rest. Each is in one of
// three states: in use, used before (released), or fresh, which is every other one from next on.
type stock[O comparable] struct {
	part      Ranges     // what it was made of; nothing for the rest
	ranges    Ranges     // what of it can be given unasked
	size      float64    // how many that are
	next      netip.Addr // all before it are in use, released or forgotten; invalid at the end
	using     int        // how many of its addresses are in use
	counted   int        // how many of these are among size
	released  fifo[netip.Addr]
	forgotten bool    // there are free addresses before next that are not among the released any more
	waiting   fifo[O] // owners who found no address here
}

func newStock[O comparable](part Ranges) *stock[O] {
	return &stock[O]{part: part, released: newFIFO[netip.Addr](), waiting: newFIFO[O]()}
}

// reset gives the stock other addresses, of which nobody has any.
func (s *stock[O]) reset(ranges Ranges) {
	s.ranges, s.size, s.next, s.using, s.counted, s.forgotten = ranges, ranges.Count(), netip.Addr{}, 0, 0, false
	if len(ranges) > 0 {
		s.next = ranges[0].First
	}
	for a := range s.released.place {
		if !ranges.Contains(a) {
			s.released.remove(a)
		}
	}
}

// free is how many addresses can be given now.
func (s *stock[O]) free() float64 { return s.size - float64(s.counted) }

// peek is the address to give next: the lowest one that nobody had since the cursor last began, else one whose release is
// forgotten, else the one that was released first. An address that was just released is thus the last to be given again, when
// caches in the network have dropped its old owner. The cursor passes each address once before it begins again, so a call costs
// little on average.
func (s *stock[O]) peek(owners map[netip.Addr]O) (netip.Addr, bool) {
	a, ok := s.fresh(owners)
	if !ok && s.forgotten {
		s.forgotten, s.next = false, s.ranges[0].First
		a, ok = s.fresh(owners)
	}
	if !ok {
		return s.released.first()
	}
	return a, true
}

// fresh moves the cursor to the next address that nobody has, and that is not among the released.
func (s *stock[O]) fresh(owners map[netip.Addr]O) (netip.Addr, bool) {
	for a := s.next; a.IsValid(); a = a.Next() {
		i, within := s.ranges.search(a)
		if i == len(s.ranges) {
			break
		}
		if !within {
			a = s.ranges[i].First
		}
		if _, used := owners[a]; !used && !s.released.has(a) {
			s.next = a
			return a, true
		}
	}
	s.next = netip.Addr{}
	return s.next, false
}

// take puts one of its addresses in use, or says that it was so before a reset.
func (s *stock[O]) take(a netip.Addr) {
	s.released.remove(a)
	s.using++
	if s.ranges.Contains(a) {
		s.counted++
	}
}

// give takes one of its addresses out of use.
func (s *stock[O]) give(a netip.Addr) {
	s.using--
	if !s.ranges.Contains(a) {
		return
	}
	s.counted--
	s.released.push(a)
	if oldest, _ := s.released.first(); s.released.len() > keptReleased {
		s.released.remove(oldest)
		s.forgotten = true
	}
}
