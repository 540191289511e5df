package ipam

import (
	"maps"
	"net/netip"
)

// masks are the IPv4 prefixes that owners' interfaces have. An interface keeps the prefix that it was told when its pod started,
// and the range of its subnet may have grown since.
type masks[O comparable] struct {
	byOwner map[O]netip.Prefix
	owners  map[netip.Prefix]int // how many have each
}

func newMasks[O comparable]() masks[O] {
	return masks[O]{byOwner: map[O]netip.Prefix{}, owners: map[netip.Prefix]int{}}
}

// set makes a prefix that of an owner's interface; the zero Prefix is no interface.
func (m masks[O]) set(owner O, mask netip.Prefix) {
	if before := m.byOwner[owner]; before.IsValid() {
		if m.owners[before]--; m.owners[before] == 0 {
			delete(m.owners, before)
		}
		delete(m.byOwner, owner)
	}
	if mask.IsValid() {
		m.byOwner[owner] = mask
		m.owners[mask]++
	}
}

// any is one of the owners whose interface has a prefix. It looks through all, to tell why an address cannot be had.
func (m masks[O]) any(mask netip.Prefix) (owner O) {
	for owner, theirs := range m.byOwner {
		if theirs == mask {
			return owner
		}
	}
	return owner
}

func (m masks[O]) fork() masks[O] {
	return masks[O]{byOwner: maps.Clone(m.byOwner), owners: maps.Clone(m.owners)}
}

// heldBack are the addresses, each with the prefix that is the reason, that cannot be given while an interface has another
// prefix than the range: for that interface they are the network's own address and the broadcast, and it would send no packet
// to who has them.
func (f *family[O]) heldBack() map[netip.Addr]netip.Prefix {
	out := map[netip.Addr]netip.Prefix{}
	for mask := range f.masks.owners {
		for _, a := range ends(mask) {
			if f.concerns(mask) && f.whole.Contains(a) {
				out[a] = mask
			}
		}
	}
	return out
}

// ends are the network's own address and the broadcast of a prefix; one of one or two addresses has none (RFC 3021).
func ends(mask netip.Prefix) []netip.Addr {
	all := PrefixRange(mask)
	if all == usable(mask) {
		return nil
	}
	return []netip.Addr{all.First, all.Last}
}

// concerns says whether an interface with a prefix may hold addresses of the range back.
func (f *family[O]) concerns(mask netip.Prefix) bool {
	return mask.IsValid() && mask != f.whole && mask.Overlaps(f.whole)
}

// tell notes the prefix of an owner's interface, and returns the addresses that are not held back any more.
func (f *family[O]) tell(owner O, mask netip.Prefix) (freed []netip.Addr) {
	before := f.masks.byOwner[owner]
	if before == mask {
		return nil // as at nearly every look at a pod
	}
	held := f.heldBack()
	f.masks.set(owner, mask)
	if !f.concerns(before) && !f.concerns(mask) {
		return nil
	}
	f.sort()
	now := f.heldBack()
	for a := range held {
		if _, still := now[a]; !still && f.unfit(a) == "" {
			freed = append(freed, a)
		}
	}
	return freed
}
