package ipam

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"
	"strings"
)

// Addrs is one address of each family; either may be missing.
type Addrs struct{ V4, V6 netip.Addr }

// String is the text of annotations and specs: "v4", "v6", "v4,v6" or "".
func (a Addrs) String() string { return join(text(a.V4), text(a.V6)) }

// List is those that are there, IPv4 first.
func (a Addrs) List() []netip.Addr { return valid(a.V4, a.V6) }

// IsZero tells whether there is no address at all.
func (a Addrs) IsZero() bool { return a == Addrs{} }

// Prefixes is one prefix of each family; either may be missing.
type Prefixes struct{ V4, V6 netip.Prefix }

// String is the text of annotations and specs: "v4", "v6", "v4,v6" or "".
func (p Prefixes) String() string { return join(text(p.V4), text(p.V6)) }

// List is those that are there, IPv4 first.
func (p Prefixes) List() []netip.Prefix { return valid(p.V4, p.V6) }

func valid[T interface{ IsValid() bool }](both ...T) []T {
	return slices.DeleteFunc(both, func(v T) bool { return !v.IsValid() })
}

// IsZero tells whether there is no prefix at all.
func (p Prefixes) IsZero() bool { return p == Prefixes{} }

// Contains tells whether an address is in the prefix of its family.
func (p Prefixes) Contains(a netip.Addr) bool { return p.V4.Contains(a) || p.V6.Contains(a) }

// Overlaps tells whether any address is in both.
func (p Prefixes) Overlaps(q Prefixes) bool {
	return p.V4.Overlaps(q.V4) || p.V6.Overlaps(q.V6)
}

// FirstUsable is the first address of each prefix that a host may have, which is
// where Kube-OVN puts a gateway that nobody chose.
func (p Prefixes) FirstUsable() Addrs {
	var first Addrs
	if p.V4.IsValid() {
		first.V4 = usable(p.V4).First
	}
	if p.V6.IsValid() {
		first.V6 = usable(p.V6).First
	}
	return first
}

// usable is a prefix without its first address, the network's (in IPv6 the
// any-router anycast, RFC 4291 §2.6.1), and its last, the broadcast. IPv6 has no
// broadcast; the last is left out all the same, so that counts are those that
// Kube-OVN's users know. A prefix of one or two addresses has them all (RFC 3021).
func usable(p netip.Prefix) Range {
	all := PrefixRange(p)
	if p.Addr().BitLen()-p.Bits() <= 1 {
		return all
	}
	return Range{First: all.First.Next(), Last: all.Last.Prev()}
}

// PrefixRange is all addresses of a prefix.
func PrefixRange(p netip.Prefix) Range {
	p = p.Masked()
	last := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(last)*8; bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	end, _ := netip.AddrFromSlice(last)
	return Range{First: p.Addr(), Last: end}
}

// count is how many addresses there are from first to last, both included. It is
// exact up to 2^53, so for all of IPv4.
func count(first, last netip.Addr) float64 {
	f, l := first.As16(), last.As16()
	low, borrow := bits.Sub64(binary.BigEndian.Uint64(l[8:]), binary.BigEndian.Uint64(f[8:]), 0)
	high, _ := bits.Sub64(binary.BigEndian.Uint64(l[:8]), binary.BigEndian.Uint64(f[:8]), borrow)
	return float64(high)*(1<<64) + float64(low) + 1
}

// text is the text of an address or prefix, and "" for the zero one.
func text[T interface {
	IsValid() bool
	String() string
}](v T) string {
	if !v.IsValid() {
		return ""
	}
	return v.String()
}

func join(v4, v6 string) string {
	return strings.Trim(v4+","+v6, ",")
}
