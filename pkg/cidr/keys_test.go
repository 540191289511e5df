package cidr_test

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/woven-cni/woven/pkg/cidr"
)

func TestCut(t *testing.T) {
	for text, want := range map[string][]string{
		"0.0.0.0/0":        {"0.0.0.0/0"},
		"10.16.0.0/16":     {"10.16.0.0/16"},
		"10.16.0.0/15":     {"10.16.0.0/16", "10.17.0.0/16"},
		"10.16.8.0/22":     {"10.16.8.0/24", "10.16.9.0/24", "10.16.10.0/24", "10.16.11.0/24"},
		"10.16.64.0/19":    {"10.16.64.0/20", "10.16.80.0/20"},
		"10.16.0.7/32":     {"10.16.0.7/32"},
		"10.16.0.6/31":     {"10.16.0.6/32", "10.16.0.7/32"},
		"fd00:10:16::/62":  {"fd00:10:16::/64", "fd00:10:16:1::/64", "fd00:10:16:2::/64", "fd00:10:16:3::/64"},
		"fd00::fffe/127":   {"fd00::fffe/128", "fd00::ffff/128"},
		"fd00:10:16::/112": {"fd00:10:16::/112"},
	} {
		var got []string
		for _, p := range cidr.Cut(netip.MustParsePrefix(text)) {
			got = append(got, p.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s is cut into %v, want %v", text, got, want)
		}
	}
}

// TestKeysFindWhatIsWithin compares the look-up by keys with netip's own answer, on ranges that lie close together.
func TestKeysFindWhatIsWithin(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same ranges each time
	prefix := func() netip.Prefix {
		if random.IntN(2) == 0 {
			return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 16, byte(random.IntN(4)), byte(random.IntN(8))}), 18+random.IntN(15)).Masked()
		}
		a := netip.MustParseAddr("fd00::").As16()
		a[7], a[8], a[15] = byte(random.IntN(3)), byte(random.IntN(3)), byte(random.IntN(4))
		return netip.PrefixFrom(netip.AddrFrom16(a), 56+random.IntN(73)).Masked()
	}
	for range 100_000 {
		p, q := prefix(), prefix()
		found := slices.ContainsFunc(cidr.Cut(q), func(c netip.Prefix) bool { return slices.Contains(cidr.Keys(p), c) })
		if want := p.Overlaps(q) && p.Bits() >= q.Bits(); found != want && (want || !p.Overlaps(q)) {
			t.Fatalf("%s is found within %s: %t, want %t", p, q, found, want)
		}
	}
}
