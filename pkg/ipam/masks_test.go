package ipam

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
)

// TestEndsOfFormerMasksAreHeldBack holds that nobody gets the network's address or the broadcast of a prefix that an interface
// still has, asked for or not, and that both are free when the last such interface has gone.
func TestEndsOfFormerMasksAreHeldBack(t *testing.T) {
	for name, tc := range map[string]struct {
		// ranges are what the subnet has had, one after the other; an interface was told each but the last.
		ranges  []string
		gateway string
		held    []string
		given   int // how many others get an address of the last
	}{
		"grown upwards":            {ranges: []string{"10.30.0.0/30", "10.30.0.0/29"}, gateway: "10.30.0.1", held: []string{"10.30.0.3"}, given: 3},
		"grown downwards":          {ranges: []string{"10.30.0.4/30", "10.30.0.0/29"}, gateway: "10.30.0.5", held: []string{"10.30.0.4"}, given: 3},
		"grown twice":              {ranges: []string{"10.30.0.0/30", "10.30.0.0/29", "10.30.0.0/28"}, gateway: "10.30.0.1", held: []string{"10.30.0.3", "10.30.0.7"}, given: 9},
		"grown, shrunk and grown":  {ranges: []string{"10.30.0.0/28", "10.30.0.0/29", "10.30.0.0/27"}, gateway: "10.30.0.1", held: []string{"10.30.0.15", "10.30.0.7"}, given: 25},
		"shrunk":                   {ranges: []string{"10.30.0.0/28", "10.30.0.0/29"}, gateway: "10.30.0.1", given: 4},
		"the same":                 {ranges: []string{"10.30.0.0/29", "10.30.0.0/29"}, gateway: "10.30.0.1", given: 4},
		"IPv6 has no broadcast":    {ranges: []string{"fd00::/126", "fd00::/125"}, gateway: "fd00::1", given: 4},
		"of IPv6 beside that of 4": {ranges: []string{"10.30.0.0/30,fd00::/126", "10.30.0.0/29,fd00::/120"}, gateway: "10.30.0.1,fd00::1", held: []string{"10.30.0.3"}, given: 3},
	} {
		t.Run(name, func(t *testing.T) {
			s := NewSubnet[string](Config{})
			for i, text := range tc.ranges {
				c := Config{Prefixes: prefixes(t, text), Gateways: addrs(t, tc.gateway)}
				s.Resize(c)
				if i < len(tc.ranges)-1 {
					if _, err := s.Allocate(Request[string]{Owner: text, Told: c.Prefixes}); err != nil {
						t.Fatal(err)
					}
				}
			}
			given := fill(t, s)
			for _, text := range tc.held {
				held := netip.MustParseAddr(text)
				if slices.Contains(given, held) {
					t.Errorf("%s was given", held)
				}
				_, err := s.Allocate(Request[string]{Owner: "asks", Addrs: Addrs{V4: held}})
				if conflict := (*ConflictError[string])(nil); !errors.As(err, &conflict) || !slices.Contains(tc.ranges, conflict.Owner) || !conflict.Mask.IsValid() {
					t.Errorf("whoever asks for %s is told %v", held, err)
				}
			}
			if len(given) != tc.given {
				t.Errorf("beside the first all that was given are %v", given)
			}
			var freed []netip.Addr
			for _, owner := range tc.ranges[:len(tc.ranges)-1] {
				some, _ := s.Tell(owner, Prefixes{})
				freed = append(freed, some...)
			}
			if len(freed) != len(tc.held) {
				t.Errorf("when the interfaces have gone, %v are free", freed)
			}
			for _, text := range tc.held {
				if _, err := s.Allocate(Request[string]{Owner: text, Addrs: Addrs{V4: netip.MustParseAddr(text)}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestWhoWaitsGetsWhatWasHeldBack holds that the release of the last interface of a former mask serves the queue: with its own
// address, and with those that it held back.
func TestWhoWaitsGetsWhatWasHeldBack(t *testing.T) {
	small, grown := prefixes(t, "10.30.0.0/30"), Config{Prefixes: prefixes(t, "10.30.0.0/29"), Gateways: addrs(t, "10.30.0.1")}
	s := NewSubnet[string](Config{Prefixes: small, Gateways: grown.Gateways})
	if _, err := s.Allocate(Request[string]{Owner: "old", Told: small}); err != nil {
		t.Fatal(err)
	}
	s.Resize(grown)
	fill(t, s)
	for _, owner := range []string{"first", "second", "third"} {
		if _, err := s.Allocate(Request[string]{Owner: owner}); !errors.Is(err, ErrFull) {
			t.Fatalf("%s got %v", owner, err)
		}
	}
	if woken := s.Release("old"); !slices.Equal(woken, []string{"first", "second"}) {
		t.Errorf("%v are served", woken)
	}
}

// fill allocates until nothing is left, and returns what it got.
func fill(t *testing.T, s *Subnet[string]) (given []netip.Addr) {
	t.Helper()
	for owner := "filler"; ; owner += "+" {
		lease, err := s.Allocate(Request[string]{Owner: owner})
		if errors.Is(err, ErrFull) {
			s.Release(owner)
			return given
		}
		if err != nil {
			t.Fatal(err)
		}
		given = append(given, lease.V4)
	}
}
