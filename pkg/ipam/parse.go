package ipam

import (
	"fmt"
	"net/netip"
	"strings"
)

// ParsePrefixes reads a CIDR, or one of each family with a comma between. Host
// bits are cleared and IPv6 may be in capitals: what comes out is the one way to
// write it. The empty text has no prefixes.
func ParsePrefixes(s string) (Prefixes, error) {
	var p Prefixes
	err := each(s, func(part string) error {
		prefix, err := netip.ParsePrefix(part)
		if err != nil {
			return fmt.Errorf("%q is not a CIDR", part)
		}
		if prefix.Addr().Is4In6() {
			return fmt.Errorf("%q is an IPv4 CIDR written as IPv6", part)
		}
		return set(&p.V4, &p.V6, prefix.Masked(), prefix.Addr().Is4())
	})
	return p, err
}

// ParseAddrs reads an address, or one of each family with a comma between. The
// empty text has no addresses.
func ParseAddrs(s string) (Addrs, error) {
	var a Addrs
	err := each(s, func(part string) error {
		addr, err := ParseAddr(part)
		if err != nil {
			return err
		}
		return set(&a.V4, &a.V6, addr, addr.Is4())
	})
	return a, err
}

// ParseAddr reads one address. A zone, and IPv4 written as IPv6, are refused.
func ParseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(strings.TrimSpace(s))
	if err != nil || a.Zone() != "" || a.Is4In6() {
		return netip.Addr{}, fmt.Errorf("%q is not an address", s)
	}
	return a, nil
}

// ParseRanges reads the entries of excludeIps, each "address" or "first..last",
// in any order and of both families.
func ParseRanges(entries []string) (Ranges, error) {
	out := make([]Range, 0, len(entries))
	for _, entry := range entries {
		r, err := ParseRange(entry)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return NewRanges(out...), nil
}

// ParsePart reads the entries of an IPPool, each "address", "first..last" or a CIDR, in any order and of both families.
func ParsePart(entries []string) (Ranges, error) {
	out := make([]Range, 0, len(entries))
	for _, entry := range entries {
		if !strings.Contains(entry, "/") {
			r, err := ParseRange(entry)
			if err != nil {
				return nil, err
			}
			out = append(out, r)
			continue
		}
		p, err := netip.ParsePrefix(strings.TrimSpace(entry))
		if err != nil || p.Addr().Is4In6() {
			return nil, fmt.Errorf("%q is neither an address nor a range (first..last) nor a CIDR", entry)
		}
		out = append(out, PrefixRange(p))
	}
	return NewRanges(out...), nil
}

// ParseRange reads "address" or "first..last".
func ParseRange(s string) (Range, error) {
	from, to, isRange := strings.Cut(s, "..")
	first, err := ParseAddr(from)
	if err != nil {
		return Range{}, err
	}
	if !isRange {
		return Range{First: first, Last: first}, nil
	}
	last, err := ParseAddr(to)
	if err != nil {
		return Range{}, err
	}
	if first.BitLen() != last.BitLen() {
		return Range{}, fmt.Errorf("%q goes from one family to the other", s)
	}
	if last.Less(first) {
		return Range{}, fmt.Errorf("%q ends before it begins", s)
	}
	return Range{First: first, Last: last}, nil
}

// each calls f for every part of a text with commas between.
func each(s string, f func(string) error) error {
	if strings.TrimSpace(s) == "" {
		return nil
	}
	parts := strings.Split(s, ",")
	if len(parts) > 2 {
		return fmt.Errorf("%q has more than one of a family", s)
	}
	for _, part := range parts {
		if err := f(strings.TrimSpace(part)); err != nil {
			return err
		}
	}
	return nil
}

// set puts a value where its family belongs, unless there is one already.
func set[T comparable](v4, v6 *T, value T, is4 bool) error {
	place := v6
	if is4 {
		place = v4
	}
	var none T
	if *place != none {
		return fmt.Errorf("%v and %v are of one family", *place, value)
	}
	*place = value
	return nil
}
