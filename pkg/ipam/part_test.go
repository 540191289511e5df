package ipam

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"testing"
)

func part(t testing.TB, entries ...string) Ranges {
	t.Helper()
	ranges, err := ParsePart(entries)
	if err != nil {
		t.Fatal(err)
	}
	return ranges
}

func setPart(t testing.TB, s *Subnet[string], name string, entries ...string) (waiting []string) {
	t.Helper()
	waiting, inTheWay := s.SetPart(name, part(t, entries...))
	if inTheWay != nil {
		t.Fatalf("%v are in the way of %s", inTheWay, name)
	}
	return waiting
}

// ofParts asks for an address of some parts.
func ofParts(s *Subnet[string], owner string, parts ...string) (string, error) {
	lease, err := s.Allocate(Request[string]{Owner: owner, Parts: parts})
	return lease.Addrs.String(), err
}

func TestPartIsForThoseWhoAsk(t *testing.T) {
	s := NewSubnet[string](config(t, "10.0.0.0/24,fd00::/64"))
	setPart(t, s, "p", "10.0.0.2..10.0.0.3", "fd00::2")
	if got := allocate(t, s, "any").Addrs.String(); got != "10.0.0.4,fd00::3" {
		t.Errorf("who asks for nothing gets %s", got)
	}
	if got, err := ofParts(s, "one", "p"); err != nil || got != "10.0.0.2,fd00::2" {
		t.Errorf("who asks for the part gets %s, %v", got, err)
	}
	if _, err := ofParts(s, "two", "p"); !errors.Is(err, ErrFull) {
		t.Errorf("a part without IPv6 addresses says %v", err)
	}
	if got, err := s.Allocate(Request[string]{Owner: "very", Addrs: addrs(t, "10.0.0.3"), Family: OnlyV4}); err != nil || got.Addrs.String() != "10.0.0.3" {
		t.Errorf("who asks for the very address gets %s, %v", got.Addrs, err)
	}
	if _, err := ofParts(s, "none", "q"); !errors.Is(err, ErrNoPart) {
		t.Errorf("a part that is none says %v", err)
	}
	if got := s.PartsOf(addrs(t, "10.0.0.4,fd00::2")); !slices.Equal(got, []string{"p"}) {
		t.Errorf("the addresses are of %v", got)
	}
}

// A family that a part has nothing of comes from the rest.
func TestPartOfOneFamily(t *testing.T) {
	s := NewSubnet[string](config(t, "10.0.0.0/24,fd00::/64"))
	setPart(t, s, "p", "10.0.0.9")
	if got, err := ofParts(s, "one", "p"); err != nil || got != "10.0.0.9,fd00::2" {
		t.Errorf("got %s, %v", got, err)
	}
}

// Those who wait are woken by the part that they wait for, and an owner that waits for two takes no turn of others with it.
func TestPartsWake(t *testing.T) {
	s := NewSubnet[string](config(t, "10.0.0.0/24"))
	setPart(t, s, "p", "10.0.0.10")
	setPart(t, s, "q", "10.0.0.20")
	for owner, part := range map[string]string{"a": "p", "b": "q"} {
		if _, err := ofParts(s, owner, part); err != nil {
			t.Fatal(err)
		}
	}
	for _, w := range []struct {
		owner string
		parts []string
	}{{"both", []string{"p", "q"}}, {"late", []string{"q"}}} {
		if _, err := ofParts(s, w.owner, w.parts...); !errors.Is(err, ErrFull) {
			t.Fatalf("%s: %v", w.owner, err)
		}
	}
	allocate(t, s, "any")
	if woken := s.Release("any"); len(woken) > 0 {
		t.Errorf("an address of no part wakes %v", woken)
	}
	if woken := s.Release("a"); !slices.Equal(woken, []string{"both"}) {
		t.Errorf("an address of p wakes %v", woken)
	}
	if woken := s.Release("b"); !slices.Equal(woken, []string{"both"}) {
		t.Errorf("an address of q wakes %v", woken)
	}
	if got, err := ofParts(s, "both", "p", "q"); err != nil || got != "10.0.0.10" {
		t.Fatalf("both gets %s, %v", got, err)
	}
	if woken := s.Wake(); !slices.Equal(woken, []string{"late"}) {
		t.Errorf("what both did not take is left to %v", woken)
	}
	if _, err := ofParts(s, "third", "p"); !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
	if woken := setPart(t, s, "p", "10.0.0.10", "10.0.0.11"); !slices.Equal(woken, []string{"third"}) {
		t.Errorf("a part that grows wakes %v", woken)
	}
	for i := range 2 {
		_, _ = ofParts(s, fmt.Sprint("more", i), "p")
	}
	if woken := setPart(t, s, "p"); !slices.Equal(woken, []string{"more1"}) {
		t.Errorf("the end of a part wakes %v", woken)
	}
}

// An owner that asks for something else than before is in no queue that it was in.
func TestPartsLeaveQueues(t *testing.T) {
	s := NewSubnet[string](config(t, "10.0.0.0/24"))
	setPart(t, s, "p", "10.0.0.10")
	setPart(t, s, "q", "10.0.0.20")
	for _, owner := range []string{"a", "b", "c"} {
		_, _ = ofParts(s, owner, "p")
	}
	if _, err := ofParts(s, "b", "q"); err != nil {
		t.Fatal(err)
	}
	if woken := s.Release("a"); !slices.Equal(woken, []string{"c"}) {
		t.Errorf("woken are %v", woken)
	}
}

func TestParsePart(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.9": "10.0.0.9", "10.0.0.9..10.0.0.12": "10.0.0.9-10.0.0.12", "10.0.0.9/30": "10.0.0.8-10.0.0.11",
		" FD00::A/127 ": "fd00::a-fd00::b", "10.0.0.9/33": "", "10.0.0.9-10.0.0.10": "", "ten": "", "::ffff:10.0.0.0/120": "", "10.0.0.2..10.0.0.1": "",
	} {
		got, err := ParsePart([]string{text})
		if (err == nil) != (want != "") || got.String() != want {
			t.Errorf("%q is %s, %v", text, got, err)
		}
	}
}

// Prefixes hold the addresses of the set and no others, and are as few as can be.
func TestPrefixes(t *testing.T) {
	for _, entries := range [][]string{
		nil, {"10.0.0.0/8"}, {"10.0.0.1..10.0.0.6"}, {"0.0.0.0..255.255.255.255"}, {"255.255.255.254..255.255.255.255", "fd00::1..fd00::ffff"}, {"10.0.0.5", "10.0.0.7..10.0.0.8"},
	} {
		set := part(t, entries...)
		var back []Range
		prefixes := set.Prefixes()
		for i, p := range prefixes {
			back = append(back, PrefixRange(p))
			if i > 0 && prefixes[i-1].Bits() == p.Bits() && netip.PrefixFrom(p.Addr(), p.Bits()-1).Masked() == netip.PrefixFrom(prefixes[i-1].Addr(), p.Bits()-1).Masked() {
				t.Errorf("%s: %s and %s could be one", set, prefixes[i-1], p)
			}
		}
		if got := NewRanges(back...); !slices.Equal(got, set) {
			t.Errorf("%s became %v", set, prefixes)
		}
	}
}

// A subnet costs memory by what is used of it, and not by its size.
func TestMemoryIsByUse(t *testing.T) {
	heap := func(cidr string) (s *Subnet[int], bytes float64) {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		s = NewSubnet[int](config(t, cidr))
		for i := range 10_000 {
			if _, err := s.Allocate(Request[int]{Owner: i}); err != nil {
				t.Fatal(err)
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		return s, float64(after.HeapAlloc) - float64(before.HeapAlloc)
	}
	for small, large := range map[string]string{"10.0.0.0/18": "10.0.0.0/8", "fd00::/114": "fd00::/64"} {
		a, least := heap(small)
		b, most := heap(large)
		if most > least*1.2 {
			t.Errorf("10,000 addresses of %s cost %.0f bytes, and of %s %.0f", large, most, small, least)
		}
		runtime.KeepAlive(a)
		runtime.KeepAlive(b)
	}
}
