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

// Entry is "address" or "first..last", as in specs.
func (r Range) Entry() string {
	if r.First == r.Last {
		return text(r.First)
	}
	return r.First.String() + ".." + r.Last.String()
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

// search is the place of the range that an address is in, or else of the first range behind it.
func (s Ranges) search(a netip.Addr) (i int, within bool) {
	i, _ = slices.BinarySearchFunc(s, a, func(r Range, a netip.Addr) int { return r.Last.Compare(a) })
	return i, i < len(s) && s[i].Contains(a)
}

// Contains tells whether an address is in the set.
func (s Ranges) Contains(a netip.Addr) bool {
	_, within := s.search(a)
	return within
}

// families are the addresses of each family.
func (s Ranges) families() (v4, v6 Ranges) {
	i := slices.IndexFunc(s, func(r Range) bool { return r.First.Is6() })
	if i < 0 {
		return s, nil
	}
	return s[:i], s[i:]
}

// Count is how many addresses are in the set.
func (s Ranges) Count() float64 {
	var n float64
	for _, r := range s {
		n += r.Count()
	}
	return n
}

// Within is what of the set is in a range. It costs a search and what it returns.
func (s Ranges) Within(bounds Range) Ranges {
	var out Ranges
	for i, _ := s.search(bounds.First); i < len(s) && !bounds.Last.Less(s[i].First); i++ {
		out = append(out, Range{First: later(s[i].First, bounds.First), Last: earlier(s[i].Last, bounds.Last)})
	}
	return out
}

// And is what is in both sets.
func (s Ranges) And(t Ranges) Ranges {
	var out Ranges
	for _, r := range t {
		out = append(out, s.Within(r)...)
	}
	return out
}

// Minus is what of the set is not in another.
func (s Ranges) Minus(t Ranges) Ranges {
	var out Ranges
	for _, r := range s {
		out = append(out, t.Missing(r)...)
	}
	return out
}

// Missing is what of a range is not in the set.
func (s Ranges) Missing(bounds Range) Ranges {
	if bounds.Count() == 0 {
		return nil
	}
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
	return append(out, Range{First: at, Last: bounds.Last})
}

func later(a, b netip.Addr) netip.Addr {
	if a.Less(b) {
		return b
	}
	return a
}

func earlier(a, b netip.Addr) netip.Addr {
	if b.Less(a) {
		return b
	}
	return a
}

// Entries are the ranges as in specs.
func (s Ranges) Entries() []string {
	out := make([]string, len(s))
	for i, r := range s {
		out[i] = r.Entry()
	}
	return out
}

// Prefixes are the fewest prefixes that hold all addresses of the set and no others, in order.
func (s Ranges) Prefixes() []netip.Prefix {
	var out []netip.Prefix
	for _, r := range s {
		for first := r.First; first.IsValid() && !r.Last.Less(first); {
			p := netip.PrefixFrom(first, first.BitLen())
			for p.Bits() > 0 {
				wider := netip.PrefixFrom(first, p.Bits()-1)
				if whole := PrefixRange(wider); whole.First != first || r.Last.Less(whole.Last) {
					break
				}
				p = wider
			}
			out = append(out, p)
			first = PrefixRange(p).Last.Next()
		}
	}
	return out
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
