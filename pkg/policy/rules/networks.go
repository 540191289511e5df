package rules

import (
	"fmt"
	"net/netip"
	"slices"

	"go4.org/netipx"
)

// maxNetworks bounds what the blocks of one rule may come to. A block minus thousands of scattered exceptions can come to
// far more prefixes than its author wrote.
const maxNetworks = 32768

// Networks are blocks of addresses, each without its own exceptions: what those leave out, another block may let in. The
// zero Networks is empty.
type Networks struct {
	all    *netipx.IPSet
	whole  *netipx.IPSet // the blocks without exceptions
	pieces []piece       // the others
}

// piece is what is left of a block, and what it leaves out.
type piece struct{ left, except *netipx.IPSet }

// Empty says that nothing is in them.
func (n Networks) Empty() bool { return n.all == nil || len(n.all.Ranges()) == 0 }

// Count is how many networks without overlap they are.
func (n Networks) Count() int {
	if n.all == nil {
		return 0
	}
	return len(n.all.Prefixes())
}

// HasExceptions says whether a block leaves something out.
func (n Networks) HasExceptions() bool { return len(n.pieces) > 0 }

// Contains says whether an address is in any of the blocks and not one of that block's exceptions.
func (n Networks) Contains(a netip.Addr) bool { return n.all != nil && n.all.Contains(a) }

// Prefixes are the networks without overlap, IPv4 first.
func (n Networks) Prefixes() []netip.Prefix {
	if n.all == nil {
		return nil
	}
	out := n.all.Prefixes()
	slices.SortFunc(out, comparePrefixes)
	return out
}

// Host is a machine as exceptions see it.
type Host struct {
	// Names are the addresses by which an exception may mean the host, and Addresses are those that the host has. A name need
	// not be the host's own: the public address of a gateway in front of the host is one.
	Names, Addresses []netip.Addr
}

// Excepting is the networks with wider exceptions: where the exceptions of a block name an address of a host, they mean all
// addresses of that host. The author of an exception knows a host by one of them.
func (n Networks) Excepting(hosts []Host) Networks {
	var joined netipx.IPSetBuilder
	joined.AddSet(n.whole)
	changed := false
	for _, p := range n.pieces {
		var out []netip.Addr
		for _, h := range hosts {
			if slices.ContainsFunc(h.Names, p.except.Contains) || slices.ContainsFunc(h.Addresses, p.except.Contains) {
				out = append(out, h.Addresses...)
			}
		}
		if !slices.ContainsFunc(out, p.left.Contains) {
			joined.AddSet(p.left)
			continue
		}
		changed = true
		var left netipx.IPSetBuilder
		left.AddSet(p.left)
		for _, a := range out {
			left.Remove(a)
		}
		joined.AddSet(must(&left))
	}
	if !changed {
		return n
	}
	return Networks{all: must(&joined)}
}

// Plus is the networks and some addresses.
func (n Networks) Plus(addresses ...netip.Addr) Networks {
	if len(addresses) == 0 {
		return n
	}
	var joined netipx.IPSetBuilder
	joined.AddSet(n.all)
	for _, a := range addresses {
		joined.Add(a)
	}
	return Networks{all: must(&joined)}
}

// must is the set of a builder that was given sets and single addresses, which are valid.
func must(b *netipx.IPSetBuilder) *netipx.IPSet {
	set, err := b.IPSet()
	if err != nil {
		panic("joining valid sets of addresses: " + err.Error())
	}
	return set
}

// networks gathers blocks of addresses.
type networks struct {
	whole  netipx.IPSetBuilder
	pieces []piece
}

// add takes in a block without its exceptions.
func (n *networks) add(cidr string, except []string) error {
	prefix, err := parseCIDR(cidr)
	if err != nil {
		return err
	}
	if len(except) == 0 {
		n.whole.AddPrefix(prefix)
		return nil
	}
	var block, holes netipx.IPSetBuilder
	block.AddPrefix(prefix)
	for _, text := range except {
		hole, err := parseCIDR(text)
		if err != nil {
			return fmt.Errorf("the exception %w", err)
		}
		holes.AddPrefix(hole)
	}
	out := must(&holes)
	block.RemoveSet(out)
	n.pieces = append(n.pieces, piece{left: must(&block), except: out})
	return nil
}

// parseCIDR reads a network as older API servers let users write it: with bits set beyond its length, and IPv4 as the part
// of IPv6 that stands for it (::ffff:10.0.0.0/104), which packets never carry.
func parseCIDR(text string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, fmt.Errorf("%q is no CIDR", text)
	}
	if p.Addr().Is4In6() {
		const mapped = 96 // the length of ::ffff:0:0/96, which holds all of IPv4
		if p.Bits() < mapped {
			return p, fmt.Errorf("%q is neither IPv4 nor IPv6", text)
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-mapped)
	}
	return p.Masked(), nil
}

// networks is all that was added.
func (n *networks) networks() (Networks, error) {
	out := Networks{whole: must(&n.whole), pieces: n.pieces}
	var all netipx.IPSetBuilder
	all.AddSet(out.whole)
	for _, p := range n.pieces {
		all.AddSet(p.left)
	}
	out.all = must(&all)
	if count := len(out.all.Prefixes()); count > maxNetworks {
		return Networks{}, fmt.Errorf("the blocks and their exceptions come to %d networks, and %d is the most", count, maxNetworks)
	}
	return out, nil
}

func comparePrefixes(a, b netip.Prefix) int {
	if n := a.Addr().Compare(b.Addr()); n != 0 {
		return n
	}
	return a.Bits() - b.Bits()
}
