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

// networks gathers blocks of addresses.
type networks struct{ all netipx.IPSetBuilder }

// add takes in a block without its exceptions. The exceptions are of this block only: what they leave out, another
// block or a selector may well let in.
func (n *networks) add(cidr string, except []string) error {
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil {
		return fmt.Errorf("%q is no CIDR", cidr)
	}
	var block netipx.IPSetBuilder
	block.AddPrefix(prefix.Masked())
	for _, text := range except {
		hole, err := netip.ParsePrefix(text)
		if err != nil {
			return fmt.Errorf("the exception %q is no CIDR", text)
		}
		block.RemovePrefix(hole.Masked())
	}
	set, err := block.IPSet()
	if err != nil {
		return fmt.Errorf("%s: %w", cidr, err)
	}
	n.all.AddSet(set)
	return nil
}

// prefixes is all that was added, without overlap, IPv4 first.
func (n *networks) prefixes() ([]netip.Prefix, error) {
	set, err := n.all.IPSet()
	if err != nil {
		return nil, fmt.Errorf("joining the blocks: %w", err)
	}
	out := set.Prefixes()
	if len(out) > maxNetworks {
		return nil, fmt.Errorf("the blocks and their exceptions come to %d networks, and %d is the most", len(out), maxNetworks)
	}
	slices.SortFunc(out, comparePrefixes)
	return out, nil
}

func comparePrefixes(a, b netip.Prefix) int {
	if n := a.Addr().Compare(b.Addr()); n != 0 {
		return n
	}
	return a.Bits() - b.Bits()
}
