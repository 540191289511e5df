package cidr

import "net/netip"

// nibble is the step between the lengths of prefixes that are indexed. With every length an IPv6 address would have 129
// keys; with every fourth it has 33, and a range to look for is cut into 8 at most.
const nibble = 4

// Keys are what a range is indexed by: every prefix on a nibble boundary that contains it, and the pieces that Cut makes
// of it. Of two ranges, the Keys of the smaller one hold a Cut of the larger one exactly when the two overlap.
func Keys(p netip.Prefix) []netip.Prefix {
	p = p.Masked()
	keys := make([]netip.Prefix, 0, p.Bits()/nibble+1<<(nibble-1)) //nolint:mnd // the most pieces that Cut makes
	for bits := 0; bits <= p.Bits(); bits += nibble {
		keys = append(keys, netip.PrefixFrom(p.Addr(), bits).Masked())
	}
	if p.Bits()%nibble != 0 {
		keys = append(keys, Cut(p)...)
	}
	return keys
}

// Cut cuts a range into those on the next nibble boundary.
func Cut(p netip.Prefix) []netip.Prefix {
	p = p.Masked()
	bits := (p.Bits() + nibble - 1) / nibble * nibble
	pieces := make([]netip.Prefix, 1<<(bits-p.Bits()))
	for i := range pieces {
		address := p.Addr().AsSlice()
		if bits > 0 {
			// The bits between the two lengths lie in one byte, since a byte is two nibbles.
			address[(bits-1)/8] |= byte(i << ((8 - bits%8) % 8))
		}
		a, _ := netip.AddrFromSlice(address)
		pieces[i] = netip.PrefixFrom(a, bits)
	}
	return pieces
}

// around are the ranges that contain p, p itself last.
func around(p netip.Prefix) []netip.Prefix {
	out := make([]netip.Prefix, 0, p.Bits()+1)
	for bits := 0; bits <= p.Bits(); bits++ {
		out = append(out, netip.PrefixFrom(p.Addr(), bits).Masked())
	}
	return out
}
