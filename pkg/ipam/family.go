package ipam

import (
	"net/netip"
	"slices"
)

// keptReleased is how many released addresses of a family are remembered in the order of their release. Of a /64 with a pod a
// second there would otherwise be 13 MB more each day.
const keptReleased = 4096

// family is the addresses of one family of a subnet. Each that can be given is
// in one of three states: in use (owners), used before (released), or fresh,
// which is every other one from next on.
type family[O comparable] struct {
	whole    netip.Prefix
	fixed    []fixed    // the network's, the broadcast and the gateway: nobody's, even when asked for
	blocked  Ranges     // fixed and the excluded ones: never given unasked
	size     float64    // how many can be given unasked
	next     netip.Addr // all before it are blocked, in use, released or forgotten; invalid at the end
	owners   map[netip.Addr]O
	counted  int // how many of owners are among size
	released fifo[netip.Addr]
	// forgotten says that there are free addresses before next that are not among the released any more.
	forgotten bool
	waiting   fifo[O] // owners who found no address here
}

// fixed is an address that nobody may have.
type fixed struct {
	addr netip.Addr
	why  string // completes "it is …"
}

func newFamily[O comparable]() family[O] {
	return family[O]{
		owners:   map[netip.Addr]O{},
		released: newFIFO[netip.Addr](),
		waiting:  newFIFO[O](),
	}
}

// resize gives the family another range; every owner keeps its address.
func (f *family[O]) resize(whole netip.Prefix, gateway netip.Addr, exclude Ranges) {
	f.whole, f.fixed, f.blocked, f.size, f.next, f.forgotten = whole, nil, nil, 0, netip.Addr{}, false
	if whole.IsValid() {
		all, hosts := PrefixRange(whole), usable(whole)
		f.next = all.First
		if whole.Contains(gateway) {
			f.fixed = append(f.fixed, fixed{gateway, "the gateway"})
		}
		if all != hosts {
			f.fixed = append(f.fixed, fixed{all.First, "the network's own address"}, fixed{all.Last, lastOf(whole)})
		}
		blocked := slices.Clone(exclude.Within(all))
		for _, a := range f.fixed {
			blocked = append(blocked, Range{First: a.addr, Last: a.addr})
		}
		f.blocked = NewRanges(blocked...)
		f.size = f.blocked.Missing(all).Count()
	}
	f.counted = 0
	for a := range f.owners {
		if f.givable(a) {
			f.counted++
		}
	}
	for a := range f.released.place {
		if !f.givable(a) {
			f.released.remove(a)
		}
	}
}

// givable tells whether an address may be given to an owner that did not ask for it.
func (f *family[O]) givable(a netip.Addr) bool { return f.whole.Contains(a) && !f.blocked.Contains(a) }

// lastOf says what the last address of a prefix is.
func lastOf(whole netip.Prefix) string {
	if whole.Addr().Is4() {
		return "the broadcast address"
	}
	return "the last address of " + whole.String() + ", which is never given"
}

// unfit says why an address is one that nobody may have: it completes "it is …",
// and is empty for the addresses that one can ask for.
func (f *family[O]) unfit(a netip.Addr) string {
	if !f.whole.IsValid() {
		return "of a family that the subnet does not have"
	}
	if !f.whole.Contains(a) {
		return "outside " + f.whole.String()
	}
	if i := slices.IndexFunc(f.fixed, func(x fixed) bool { return x.addr == a }); i >= 0 {
		return f.fixed[i].why
	}
	return ""
}

// outside tells whether an address is one that nobody may have.
func (f *family[O]) outside(a netip.Addr) bool { return a.IsValid() && f.unfit(a) != "" }

// free is how many addresses can be given now.
func (f *family[O]) free() float64 { return f.size - float64(f.counted) }

// peek is the address to give next: the lowest one that nobody had since the cursor last began, else one whose release is
// forgotten, else the one that was released first. An address that was just released is thus the last to be given again, when
// caches in the network have dropped its old owner. The cursor passes each address once before it begins again, so a call costs
// little on average.
func (f *family[O]) peek() (netip.Addr, bool) {
	a, ok := f.fresh()
	if !ok && f.forgotten {
		f.forgotten, f.next = false, PrefixRange(f.whole).First
		a, ok = f.fresh()
	}
	if !ok {
		return f.released.first()
	}
	return a, true
}

// fresh moves the cursor to the next address that nobody has, and that is not among the released.
func (f *family[O]) fresh() (netip.Addr, bool) {
	for a := f.next; f.whole.Contains(a); {
		if r, ok := f.blocked.find(a); ok {
			a = r.Last.Next()
			continue
		}
		if _, used := f.owners[a]; !used && !f.released.has(a) {
			f.next = a
			return a, true
		}
		a = a.Next()
	}
	f.next = netip.Addr{}
	return f.next, false
}

// choose is the address that a request gets: the one it asks for, or the next.
// Nothing changes but the cursor.
func (f *family[O]) choose(asked netip.Addr) (netip.Addr, error) {
	if !asked.IsValid() {
		a, ok := f.peek()
		if !ok {
			return a, ErrFull
		}
		return a, nil
	}
	if why := f.unfit(asked); why != "" {
		return asked, &UnfitError{Subject: asked.String(), Why: why}
	}
	if owner, used := f.owners[asked]; used {
		return asked, &ConflictError[O]{Subject: asked.String(), Owner: owner}
	}
	return asked, nil
}

// take puts an address that nobody has in use.
func (f *family[O]) take(a netip.Addr, owner O) {
	if !a.IsValid() {
		return
	}
	f.released.remove(a)
	f.owners[a] = owner
	if f.givable(a) {
		f.counted++
	}
}

// give takes an address out of use.
func (f *family[O]) give(a netip.Addr) {
	if !a.IsValid() {
		return
	}
	delete(f.owners, a)
	if f.givable(a) {
		f.counted--
		f.released.push(a)
		if oldest, _ := f.released.first(); f.released.len() > keptReleased {
			f.released.remove(oldest)
			f.forgotten = true
		}
	}
}

// wake takes out of the queue as many owners as there are free addresses.
func (f *family[O]) wake(woken []O) []O {
	for n := f.free(); n >= 1; n-- {
		owner, ok := f.waiting.first()
		if !ok {
			break
		}
		f.waiting.remove(owner)
		woken = append(woken, owner)
	}
	return woken
}
