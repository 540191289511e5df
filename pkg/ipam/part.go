package ipam

import (
	"maps"
	"net/netip"
	"slices"
)

// A part is addresses of a subnet that are given to those only who ask for the part, or for one of these very addresses. What is
// in no part is the rest. An address that is in use stays its owner's when it comes to be in a part, or goes from one.

// SetPart makes a part of some addresses, or of others than before; of none ends the part. Parts do not overlap: those that are
// in the way are returned, in order, and nothing changes. Otherwise the owners are returned that can be served now, or whose part
// has ended, as Release does.
func (s *Subnet[O]) SetPart(name string, ranges Ranges) (waiting []O, inTheWay []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name == rest || slices.Equal(s.part(name), ranges) {
		return nil, nil
	}
	v4, v6 := ranges.families()
	inTheWay = append(s.v4.overlapping(name, v4), s.v6.overlapping(name, v6)...)
	if len(inTheWay) > 0 {
		slices.Sort(inTheWay)
		return nil, slices.Compact(inTheWay)
	}
	return append(append(s.v4.setPart(name, v4), s.v6.setPart(name, v6)...), s.wake()...), nil
}

// Part is what a part is made of; nothing when there is none.
func (s *Subnet[O]) Part(name string) Ranges {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.part(name)
}

func (s *Subnet[O]) part(name string) Ranges {
	var out Ranges
	for _, f := range []*family[O]{&s.v4, &s.v6} {
		if stock, has := f.stocks[name]; has {
			out = append(out, stock.part...)
		}
	}
	return out
}

// PartsOf are the parts that the addresses are in, each once.
func (s *Subnet[O]) PartsOf(a Addrs) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	parts := []string{s.v4.partOf(a.V4), s.v6.partOf(a.V6)}
	return slices.Compact(slices.DeleteFunc(parts, func(name string) bool { return name == rest }))
}

// PartUsage counts both families of a part. It costs the same however many addresses there are.
func (s *Subnet[O]) PartUsage(name string) (v4, v6 Usage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.v4.partUsage(name), s.v6.partUsage(name)
}

func (f *family[O]) partUsage(name string) (u Usage) {
	if s, has := f.stocks[name]; has {
		u = Usage{Available: s.free(), Using: float64(s.using)}
	}
	return u
}

// PartRanges lists both families of a part.
func (s *Subnet[O]) PartRanges(name string) (v4, v6 UsageRanges) {
	s.mu.Lock()
	list4, list6 := s.v4.partSnapshot(name), s.v6.partSnapshot(name)
	s.mu.Unlock()
	return list4.ranges(), list6.ranges()
}

func (f *family[O]) partSnapshot(name string) (out snapshot) {
	s, has := f.stocks[name]
	if !has {
		return out
	}
	out.givable = s.ranges
	f.each(s, func(a netip.Addr, _ O) { out.using = append(out.using, Range{First: a, Last: a}) })
	return out
}

// PartOwners are all that have an address of a part, in no order.
func (s *Subnet[O]) PartOwners(name string) []O {
	s.mu.Lock()
	defer s.mu.Unlock()
	owners := map[O]struct{}{}
	for _, f := range []*family[O]{&s.v4, &s.v6} {
		if stock, has := f.stocks[name]; has {
			f.each(stock, func(_ netip.Addr, owner O) { owners[owner] = struct{}{} })
		}
	}
	return slices.Collect(maps.Keys(owners))
}

// each goes through the addresses of a part that are in use: by the part's addresses or by all that are in use, whichever are
// fewer.
func (f *family[O]) each(s *stock[O], do func(netip.Addr, O)) {
	if s.part.Count() > float64(len(f.owners)) {
		for a, owner := range f.owners {
			if s.part.Contains(a) {
				do(a, owner)
			}
		}
		return
	}
	for _, r := range s.part {
		for a := r.First; r.Contains(a); a = a.Next() {
			if owner, used := f.owners[a]; used {
				do(a, owner)
			}
		}
	}
}
