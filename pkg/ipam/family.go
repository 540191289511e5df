package ipam

import (
	"net/netip"
	"slices"
)

// rest is the name of the stock of all that is in no part.
const rest = ""

// family is the addresses of one family of a subnet, sorted into stocks: one for each part, and the rest.
type family[O comparable] struct {
	whole   netip.Prefix
	fixed   []fixed // the network's, the broadcast and the gateway: nobody's, even when asked for
	exclude Ranges  // given to who may ask for them
	owners  map[netip.Addr]O
	stocks  map[string]*stock[O]
	shares  []share        // the ranges of all parts, in order
	crowded fifo[string]   // the stocks that somebody waits for
	queues  map[O][]string // in the queues of which stocks an owner may be
	masks   masks[O]
}

// fixed is an address that nobody may have.
type fixed struct {
	addr netip.Addr
	why  string // completes "it is …"
}

// share is a range of a part.
type share struct {
	Range
	part string
}

func newFamily[O comparable]() family[O] {
	return family[O]{
		owners: map[netip.Addr]O{}, stocks: map[string]*stock[O]{rest: newStock[O](nil)}, crowded: newFIFO[string](), queues: map[O][]string{},
		masks: newMasks[O](),
	}
}

// resize gives the family another range; every owner keeps its address.
func (f *family[O]) resize(whole netip.Prefix, gateway netip.Addr, exclude Ranges) {
	f.whole, f.fixed, f.exclude = whole, nil, nil
	if whole.IsValid() {
		all, hosts := PrefixRange(whole), usable(whole)
		if whole.Contains(gateway) {
			f.fixed = append(f.fixed, fixed{gateway, "the gateway"})
		}
		if all != hosts {
			f.fixed = append(f.fixed, fixed{all.First, "the network's own address"}, fixed{all.Last, lastOf(whole)})
		}
		f.exclude = exclude.Within(all)
	}
	f.sort()
}

// sort sorts all addresses into stocks anew; every owner keeps its address.
func (f *family[O]) sort() {
	f.shares = nil
	var parts, blocked []Range
	for name, s := range f.stocks {
		for _, r := range s.part {
			f.shares = append(f.shares, share{r, name})
			parts = append(parts, r)
		}
	}
	slices.SortFunc(f.shares, func(a, b share) int { return a.First.Compare(b.First) })
	blocked = slices.Clone(f.exclude)
	for _, a := range f.fixed {
		blocked = append(blocked, Range{First: a.addr, Last: a.addr})
	}
	for a := range f.heldBack() {
		blocked = append(blocked, Range{First: a, Last: a})
	}
	var all Ranges
	if f.whole.IsValid() {
		all = Ranges{PrefixRange(f.whole)}.Minus(NewRanges(blocked...))
	}
	for name, s := range f.stocks {
		if name == rest {
			s.reset(all.Minus(NewRanges(parts...)))
			continue
		}
		s.reset(all.And(s.part))
	}
	for a := range f.owners {
		f.stockOf(a).take(a)
	}
}

// partOf is the part that an address is in, or rest.
func (f *family[O]) partOf(a netip.Addr) string {
	i, _ := slices.BinarySearchFunc(f.shares, a, func(s share, a netip.Addr) int { return s.Last.Compare(a) })
	if i < len(f.shares) && f.shares[i].Contains(a) {
		return f.shares[i].part
	}
	return rest
}

func (f *family[O]) stockOf(a netip.Addr) *stock[O] { return f.stocks[f.partOf(a)] }

// offered is the stock of what a part has to give in this family: that of the rest where the part has nothing of the family.
func (f *family[O]) offered(part string) (name string, s *stock[O]) {
	if s, has := f.stocks[part]; has {
		return part, s
	}
	return rest, f.stocks[rest]
}

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

// choose is the address that a request gets: the one it asks for, or the next of a part. Nothing changes but the cursor, and the
// queue of a part without a free address.
func (f *family[O]) choose(r Request[O], asked netip.Addr, part string) (netip.Addr, error) {
	if !asked.IsValid() {
		name, stock := f.offered(part)
		a, ok := stock.peek(f.owners)
		if !ok {
			f.queue(name, r.Owner)
			return a, ErrFull
		}
		return a, nil
	}
	if why := f.unfit(asked); why != "" {
		return asked, &UnfitError{Subject: asked.String(), Why: why}
	}
	if !r.Excluded && f.exclude.Contains(asked) {
		return asked, &UnfitError{Subject: asked.String(), Why: "excluded (excludeIps), and an IP object has to reserve it"}
	}
	if owner, used := f.owners[asked]; used {
		return asked, &ConflictError[O]{Subject: asked.String(), Owner: owner}
	}
	if mask, held := f.heldBack()[asked]; held {
		return asked, &ConflictError[O]{Subject: asked.String(), Owner: f.masks.any(mask), Mask: mask}
	}
	return asked, nil
}

// queue puts an owner into the queue of a stock.
func (f *family[O]) queue(name string, owner O) {
	f.stocks[name].waiting.push(owner)
	f.crowded.push(name)
	if !slices.Contains(f.queues[owner], name) {
		f.queues[owner] = append(f.queues[owner], name)
	}
}

// leave takes an owner out of all queues but those of some parts.
func (f *family[O]) leave(owner O, but ...string) {
	var stays []string
	for _, name := range f.queues[owner] {
		if slices.Contains(but, name) {
			stays = append(stays, name)
		} else if s := f.stocks[name]; s != nil {
			s.waiting.remove(owner)
		}
	}
	if f.queues[owner] = stays; len(stays) == 0 {
		delete(f.queues, owner)
	}
}

// take puts an address that nobody has in use.
func (f *family[O]) take(a netip.Addr, owner O) {
	if a.IsValid() {
		f.stockOf(a).take(a)
		f.owners[a] = owner
	}
}

// give takes an address out of use.
func (f *family[O]) give(a netip.Addr) {
	if a.IsValid() {
		delete(f.owners, a)
		f.stockOf(a).give(a)
	}
}

// wake takes out of each queue as many owners as there are free addresses.
func (f *family[O]) wake(woken []O) []O {
	for _, name := range f.crowded.all() {
		s := f.stocks[name]
		for n := s.free(); n >= 1; n-- {
			owner, ok := s.waiting.first()
			if !ok {
				break
			}
			s.waiting.remove(owner)
			woken = append(woken, owner)
		}
		if s.waiting.len() == 0 {
			f.crowded.remove(name)
		}
	}
	return woken
}

// waiters are all who wait in any queue, in the order of the queues.
func (f *family[O]) waiters() []O {
	var out []O
	for _, name := range f.crowded.all() {
		out = append(out, f.stocks[name].waiting.all()...)
	}
	return out
}

// setPart makes a stock of some addresses, or of others than before; of none ends the part. It returns those who waited for a
// part that has ended.
func (f *family[O]) setPart(name string, ranges Ranges) (waiting []O) {
	was := f.stocks[name]
	switch {
	case len(ranges) > 0 && was == nil:
		f.stocks[name] = newStock[O](ranges)
	case len(ranges) > 0:
		was.part = ranges
	case was != nil:
		waiting = was.waiting.all()
		delete(f.stocks, name)
		f.crowded.remove(name)
	default:
		return nil
	}
	f.sort()
	return waiting
}

// overlapping are the parts beside one that have any of some addresses.
func (f *family[O]) overlapping(name string, ranges Ranges) []string {
	var out []string
	for _, r := range ranges {
		i, _ := slices.BinarySearchFunc(f.shares, r.First, func(s share, a netip.Addr) int { return s.Last.Compare(a) })
		for ; i < len(f.shares) && !r.Last.Less(f.shares[i].First); i++ {
			if part := f.shares[i].part; part != name && !slices.Contains(out, part) {
				out = append(out, part)
			}
		}
	}
	return out
}
