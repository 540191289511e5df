package ipam

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// model is one family of a subnet done the plain way: lists, and no cursor.
type model struct {
	config   Config
	owners   map[netip.Addr]string
	released []netip.Addr
	parts    map[string]Ranges
}

func (m *model) partOf(a netip.Addr) string {
	for name, ranges := range m.parts {
		if ranges.Contains(a) {
			return name
		}
	}
	return ""
}

// setPart says which parts are in the way.
func (m *model) setPart(name string, ranges Ranges) (inTheWay []string) {
	all := PrefixRange(netip.MustParsePrefix("10.0.0.0/24"))
	for a := all.First; all.Contains(a); a = a.Next() {
		if other := m.partOf(a); ranges.Contains(a) && other != "" && other != name && !slices.Contains(inTheWay, other) {
			inTheWay = append(inTheWay, other)
		}
	}
	if len(inTheWay) > 0 {
		slices.Sort(inTheWay)
		return inTheWay
	}
	before := maps.Clone(m.parts)
	was := &model{parts: before}
	if delete(m.parts, name); len(ranges) > 0 {
		m.parts[name] = ranges
	}
	m.released = slices.DeleteFunc(m.released, func(a netip.Addr) bool { return m.partOf(a) != was.partOf(a) })
	return nil
}

func (m *model) fixed(a netip.Addr) bool {
	all := PrefixRange(m.config.Prefixes.V4)
	return a == all.First || a == all.Last || a == m.config.Gateways.V4
}

func (m *model) givable(a netip.Addr) bool {
	return m.config.Prefixes.V4.Contains(a) && !m.fixed(a) && !m.config.Exclude.Contains(a)
}

func (m *model) holder(owner string) netip.Addr {
	for a, o := range m.owners {
		if o == owner {
			return a
		}
	}
	return netip.Addr{}
}

func (m *model) allocate(owner string, asked netip.Addr, excluded bool, parts ...string) (netip.Addr, error) {
	if have := m.holder(owner); have.IsValid() {
		if asked.IsValid() && asked != have {
			return have, ErrHolds
		}
		return have, nil
	}
	if asked.IsValid() {
		if !m.config.Prefixes.V4.Contains(asked) || m.fixed(asked) || !excluded && m.config.Exclude.Contains(asked) {
			return netip.Addr{}, ErrOutOfRange
		}
		if other, used := m.owners[asked]; used {
			return netip.Addr{}, &ConflictError[string]{Owner: other}
		}
		return m.take(asked, owner), nil
	}
	if len(parts) == 0 {
		parts = []string{""}
	}
	err := ErrNoPart
	for _, part := range parts {
		if part != "" && m.parts[part] == nil {
			continue
		}
		if a := m.next(part); a.IsValid() {
			return m.take(a, owner), nil
		}
		err = ErrFull
	}
	return netip.Addr{}, err
}

// next is the address that a part gives next.
func (m *model) next(part string) netip.Addr {
	all := PrefixRange(m.config.Prefixes.V4)
	for a := all.First; all.Contains(a); a = a.Next() {
		if _, used := m.owners[a]; m.givable(a) && !used && m.partOf(a) == part && !slices.Contains(m.released, a) {
			return a
		}
	}
	for _, a := range m.released {
		if m.partOf(a) == part {
			return a
		}
	}
	return netip.Addr{}
}

func (m *model) take(a netip.Addr, owner string) netip.Addr {
	m.released = slices.DeleteFunc(m.released, func(r netip.Addr) bool { return r == a })
	m.owners[a] = owner
	return a
}

func (m *model) release(owner string) {
	a := m.holder(owner)
	delete(m.owners, a)
	if a.IsValid() && m.givable(a) {
		m.released = append(m.released, a)
	}
}

func (m *model) rename(from, to string) bool {
	a := m.holder(from)
	if !a.IsValid() || m.holder(to).IsValid() {
		return false
	}
	m.owners[a] = to
	return true
}

func (m *model) resize(c Config) {
	m.config = c
	m.released = slices.DeleteFunc(m.released, func(a netip.Addr) bool { return !m.givable(a) })
}

func (m *model) reserve(owner string, a netip.Addr) error {
	if have := m.holder(owner); have.IsValid() {
		if a != have {
			return ErrHolds
		}
		return nil
	}
	if other, used := m.owners[a]; used {
		return &ConflictError[string]{Owner: other}
	}
	m.take(a, owner)
	return nil
}

func (m *model) available(part string) (n float64) {
	all := PrefixRange(m.config.Prefixes.V4)
	for a := all.First; a.IsValid() && !all.Last.Less(a); a = a.Next() {
		if _, used := m.owners[a]; m.givable(a) && !used && m.partOf(a) == part {
			n++
		}
	}
	return n
}

// partsPlayed are the parts of scripts, and what they are made of by turns.
var partsPlayed = []string{"p", "q", "r"}

func partPlayed(t *testing.T, y byte) Ranges {
	t.Helper()
	texts := [][]string{nil, {"10.0.0.4..10.0.0.6"}, {"10.0.0.0/29"}, {"10.0.0.6", "10.0.0.9..10.0.0.11"}, {"10.0.0.12/30", "10.0.0.20..10.0.0.40"}, {"10.0.0.2", "10.0.0.7"}}
	ranges, err := ParsePart(texts[int(y)%len(texts)])
	if err != nil {
		t.Fatal(err)
	}
	return ranges
}

// play runs a script, three bytes a step, on a Subnet and on the model, and
// compares them after each step.
func play(t *testing.T, script []byte) {
	configs := []Config{
		config(t, "10.0.0.0/28"),
		config(t, "10.0.0.0/29", "10.0.0.3"),
		config(t, "10.0.0.0/27", "10.0.0.0..10.0.0.9", "10.0.0.12"),
		config(t, "10.0.0.8/29", "10.0.0.10..10.0.0.40"),
	}
	s := NewSubnet[string](configs[0])
	m := &model{config: configs[0], owners: map[netip.Addr]string{}, parts: map[string]Ranges{}}
	base := netip.MustParseAddr("10.0.0.0").As4()
	for step := 0; len(script) >= 3; step++ {
		op, x, y := script[0], script[1], script[2]
		script = script[3:]
		owner := fmt.Sprint("pod", x%24)
		addr := netip.AddrFrom4([4]byte{base[0], base[1], base[2], y % 36})
		var got Lease
		var want netip.Addr
		var err, wantErr error
		switch op % 13 {
		case 0, 1, 2:
			got, err = s.Allocate(Request[string]{Owner: owner})
			want, wantErr = m.allocate(owner, netip.Addr{}, false)
		case 3:
			got, err = s.Allocate(Request[string]{Owner: owner, Addrs: Addrs{V4: addr}, Excluded: x >= 128})
			want, wantErr = m.allocate(owner, addr, x >= 128)
		case 4, 5, 6:
			s.Release(owner)
			m.release(owner)
		case 7:
			s.Resize(configs[int(y)%len(configs)])
			m.resize(configs[int(y)%len(configs)])
		case 8:
			to := fmt.Sprint("pod", y%24)
			if renamed := s.Rename(owner, to); renamed != m.rename(owner, to) {
				t.Fatalf("step %d: %s becomes %s: %t", step, owner, to, renamed)
			}
		case 9:
			part, ranges := partsPlayed[int(x)%len(partsPlayed)], partPlayed(t, y)
			_, inTheWay := s.SetPart(part, ranges)
			if want := m.setPart(part, ranges); !slices.Equal(inTheWay, want) {
				t.Fatalf("step %d: %s of %s: %v are in the way; the model has %v", step, part, ranges, inTheWay, want)
			}
		case 10, 11:
			first := int(y) % len(partsPlayed)
			parts := partsPlayed[first : first+1+int(x)%(len(partsPlayed)-first)]
			got, err = s.Allocate(Request[string]{Owner: owner, Parts: parts})
			want, wantErr = m.allocate(owner, netip.Addr{}, false, parts...)
		case 12:
			if err = s.Reserve(owner, Lease{Addrs: Addrs{V4: addr}}); err == nil {
				got, _ = s.Lease(owner)
				want = addr
			}
			wantErr = m.reserve(owner, addr)
		}
		if !sameError(err, wantErr) || (err == nil && got.V4 != want) {
			t.Fatalf("step %d, %s: got %s, %v; the model has %s, %v", step, owner, got.V4, err, want, wantErr)
		}
		compare(t, step, s, m)
	}
}

func sameError(a, b error) bool {
	var ca, cb *ConflictError[string]
	if errors.As(a, &ca) && errors.As(b, &cb) {
		return ca.Owner == cb.Owner
	}
	return errors.Is(a, b)
}

func compare(t *testing.T, step int, s *Subnet[string], m *model) {
	t.Helper()
	v4, _ := s.Usage()
	if v4.Using != float64(len(m.owners)) || v4.Available != m.available("") {
		t.Fatalf("step %d: usage %+v; the model has %d and %g", step, v4, len(m.owners), m.available(""))
	}
	ranges, _ := s.UsageRanges()
	if ranges.Using.Count() != v4.Using || ranges.Available.Count() != v4.Available {
		t.Fatalf("step %d: usage %+v, ranges %s and %s", step, v4, ranges.Using, ranges.Available)
	}
	for _, part := range partsPlayed {
		comparePart(t, step, s, m, part)
	}
	for a, owner := range m.owners {
		if got, _ := s.Owner(a); got != owner {
			t.Fatalf("step %d: %s is %q's; the model has %q", step, a, got, owner)
		}
		if lease, _ := s.Lease(owner); lease.V4 != a {
			t.Fatalf("step %d: %s has %s; the model has %s", step, owner, lease.V4, a)
		}
	}
}

func comparePart(t *testing.T, step int, s *Subnet[string], m *model, part string) {
	t.Helper()
	if !slices.Equal(s.Part(part), m.parts[part]) {
		t.Fatalf("step %d: part %s is %s; the model has %s", step, part, s.Part(part), m.parts[part])
	}
	var owners []string
	for a, owner := range m.owners {
		if m.partOf(a) == part {
			owners = append(owners, owner)
		}
	}
	got := s.PartOwners(part)
	slices.Sort(owners)
	slices.Sort(got)
	v4, _ := s.PartUsage(part)
	if v4.Using != float64(len(owners)) || v4.Available != m.available(part) || !slices.Equal(got, owners) {
		t.Fatalf("step %d: usage %+v by %v of part %s; the model has %v and %g", step, v4, got, part, owners, m.available(part))
	}
	if ranges, _ := s.PartRanges(part); ranges.Using.Count() != v4.Using || ranges.Available.Count() != v4.Available {
		t.Fatalf("step %d: usage %+v of part %s, ranges %s and %s", step, v4, part, ranges.Using, ranges.Available)
	}
}

// Whatever the order of calls, a Subnet does what the plain model does.
func TestSubnetIsTheModel(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		script := make([]byte, 3*200)
		for i := range script {
			script[i] = byte(random.Uint32())
		}
		play(t, script)
	}
}

func FuzzSubnet(f *testing.F) {
	f.Add([]byte{0, 1, 0, 4, 1, 0, 0, 2, 0, 7, 0, 2, 3, 5, 12})
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 600 {
			script = script[:600]
		}
		play(t, script)
	})
}

// A set and what it is missing make the whole and do not meet.
func TestRangesMissing(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	at := func(n uint32) netip.Addr { return netip.AddrFrom4([4]byte{255, 255, 255, byte(n)}) }
	whole := Range{First: at(0), Last: at(255)}
	for range 500 {
		var in []Range
		for range random.IntN(9) {
			from := random.Uint32N(256)
			in = append(in, Range{First: at(from), Last: at(from + random.Uint32N(256-from))})
		}
		set := NewRanges(in...)
		missing := set.Missing(whole)
		for n := range uint32(256) {
			naive := slices.ContainsFunc(in, func(r Range) bool { return r.Contains(at(n)) })
			if set.Contains(at(n)) != naive || missing.Contains(at(n)) == naive {
				t.Fatalf("%s of %v: set %s, missing %s", at(n), in, set, missing)
			}
		}
		if set.Count()+missing.Count() != 256 {
			t.Fatalf("%v: %g and %g", in, set.Count(), missing.Count())
		}
	}
}
