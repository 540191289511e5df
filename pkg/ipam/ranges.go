package ipam

import (
	"net/netip"
	"slices"
	"strings"
)

// Range is the addresses from First to Last, both included.
type Range struct{ First, Last netip.Addr }

// Contains tells whether an address is in the range.
func (r Range) Contains(a netip.Addr) bool {
	return a.BitLen() == r.First.BitLen() && a.BitLen() != 0 && !a.Less(r.First) && !r.Last.Less(a)
}

// Count is how many addresses are in the range.
func (r Range) Count() float64 {
	if !r.First.IsValid() || r.Last.Less(r.First) {
		return 0
	}
	return count(r.First, r.Last)
}

// String is "address" or "first-last", as in the status of a Subnet.
func (r Range) String() string {
	if r.First == r.Last {
		return text(r.First)
	}
	return r.First.String() + "-" + r.Last.String()
}

// Ranges is a set of addresses as ranges in order that neither overlap nor touch.
type Ranges []Range

// NewRanges is the set of all addresses of some ranges, in any order.
func NewRanges(in ...Range) Ranges {
	sorted := slices.SortedFunc(slices.Values(in), func(a, b Range) int { return a.First.Compare(b.First) })
	out := sorted[:0]
	for _, r := range sorted {
		if n := len(out); n > 0 && out[n-1].reaches(r) {
			if out[n-1].Last.Less(r.Last) {
				out[n-1].Last = r.Last
			}
			continue
		}
		out = append(out, r)
	}
	return out
}

// reaches tells whether next, which begins no earlier, overlaps or touches r.
func (r Range) reaches(next Range) bool {
	return r.Contains(next.First) || r.Last.Next() == next.First
}

// find is the range that an address is in.
func (s Ranges) find(a netip.Addr) (Range, bool) {
	i, _ := slices.BinarySearchFunc(s, a, func(r Range, a netip.Addr) int { return r.Last.Compare(a) })
	if i == len(s) || !s[i].Contains(a) {
		return Range{}, false
	}
	return s[i], true
}

// Contains tells whether an address is in the set.
func (s Ranges) Contains(a netip.Addr) bool {
	_, ok := s.find(a)
	return ok
}

// Count is how many addresses are in the set.
func (s Ranges) Count() float64 {
	var n float64
	for _, r := range s {
		n += r.Count()
	}
	return n
}

// Within is what of the set is in a range.
func (s Ranges) Within(bounds Range) Ranges {
	var out Ranges
	for _, r := range s {
		if r.First.BitLen() != bounds.First.BitLen() || r.Last.Less(bounds.First) || bounds.Last.Less(r.First) {
			continue
		}
		if r.First.Less(bounds.First) {
			r.First = bounds.First
		}
		if bounds.Last.Less(r.Last) {
			r.Last = bounds.Last
		}
		out = append(out, r)
	}
	return out
}

// Missing is what of a range is not in the set.
func (s Ranges) Missing(bounds Range) Ranges {
	var out Ranges
	at := bounds.First
	for _, r := range s.Within(bounds) {
		if at.Less(r.First) {
			out = append(out, Range{First: at, Last: r.First.Prev()})
		}
		if r.Last == bounds.Last {
			return out
		}
		at = r.Last.Next()
	}
	if bounds.Count() == 0 {
		return nil
	}
	return append(out, Range{First: at, Last: bounds.Last})
}

// String is the ranges with commas between, as in the status of a Subnet.
func (s Ranges) String() string { return s.Text(len(s)) }

// Text is String with no more than limit ranges; "..." stands for the others. A
// fragmented /16 has up to 32,768 ranges, 900 kB of text, more than is good for
// the status of an object.
func (s Ranges) Text(limit int) string {
	var b strings.Builder
	for i, r := range s {
		if i > 0 {
			b.WriteByte(',')
		}
		if i == limit {
			b.WriteString("...")
			break
		}
		b.WriteString(r.String())
	}
	return b.String()
}
