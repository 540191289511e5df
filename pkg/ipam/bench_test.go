package ipam

import (
	"fmt"
	"net/netip"
	"testing"
)

// Benchmarks of one allocation and its release, in a subnet that is empty, nearly
// full, full, or endless.
func BenchmarkAllocate(b *testing.B) {
	for _, c := range []struct {
		name, cidr string
		used       int
	}{
		{"v4-16-empty", "10.0.0.0/16", 0},
		{"v4-16-one-free", "10.0.0.0/16", 65532},
		{"v6-64", "fd00::/64", 10000},
		{"dual-16-64", "10.0.0.0/16,fd00::/64", 10000},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := filled(b, c.cidr, c.used)
			for b.Loop() {
				if _, err := s.Allocate(Request[string]{Owner: "one"}); err != nil {
					b.Fatal(err)
				}
				s.Release("one")
			}
		})
	}
}

// BenchmarkAllocateFull is a request to a subnet with no address left.
func BenchmarkAllocateFull(b *testing.B) {
	s := filled(b, "10.0.0.0/16", 65533)
	for b.Loop() {
		if _, err := s.Allocate(Request[string]{Owner: "one"}); err == nil {
			b.Fatal("not full")
		}
	}
}

// BenchmarkReserve is a start with the records of 50,000 pods.
func BenchmarkReserve(b *testing.B) {
	leases := map[string]Lease{}
	s := NewSubnet[string](config(b, "10.0.0.0/16,fd00::/64"))
	for i := range 50000 {
		owner := fmt.Sprint(i)
		leases[owner] = allocate(b, s, owner)
	}
	for b.Loop() {
		s := NewSubnet[string](config(b, "10.0.0.0/16,fd00::/64"))
		for owner, lease := range leases {
			if err := s.Reserve(owner, lease); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkUsageRanges is the status of a /16 with every other address in use.
func BenchmarkUsageRanges(b *testing.B) {
	s := filled(b, "10.0.0.0/16", 65533)
	for i := 0; i < 65533; i += 2 {
		s.Release(fmt.Sprint(i))
	}
	for b.Loop() {
		s.UsageRanges()
	}
}

// BenchmarkFill gives 100,000 addresses, one after the other.
func BenchmarkFill(b *testing.B) {
	for b.Loop() {
		s := NewSubnet[int](config(b, "10.0.0.0/8,fd00::/64"))
		for i := range 100_000 {
			if _, err := s.Allocate(Request[int]{Owner: i}); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// parted is a subnet with parts of 16 addresses each.
func parted(b *testing.B, parts int) *Subnet[string] {
	b.Helper()
	s := NewSubnet[string](config(b, "10.0.0.0/8"))
	for i := range parts {
		first := netip.AddrFrom4([4]byte{10, 1 + byte(i>>8), byte(i), 0})
		if _, inTheWay := s.SetPart(fmt.Sprint("part", i), Ranges{PrefixRange(netip.PrefixFrom(first, 28))}); inTheWay != nil {
			b.Fatal(inTheWay)
		}
	}
	return s
}

// BenchmarkAllocateOfPart is one allocation and its release, in a part, and beside the parts, of a subnet with few and with many.
func BenchmarkAllocateOfPart(b *testing.B) {
	for _, parts := range []int{1, 1000} {
		for name, of := range map[string][]string{"of-a-part": {"part0"}, "beside": nil} {
			b.Run(fmt.Sprint(name, "-", parts), func(b *testing.B) {
				s := parted(b, parts)
				for b.Loop() {
					if _, err := s.Allocate(Request[string]{Owner: "one", Parts: of}); err != nil {
						b.Fatal(err)
					}
					s.Release("one")
				}
			})
		}
	}
}

// BenchmarkSetPart is the change of one part of a subnet with many, of which 10,000 addresses are in use.
func BenchmarkSetPart(b *testing.B) {
	s := parted(b, 1000)
	for i := range 10_000 {
		allocate(b, s, fmt.Sprint(i))
	}
	small, large := Ranges{PrefixRange(netip.MustParsePrefix("10.1.0.0/28"))}, Ranges{PrefixRange(netip.MustParsePrefix("10.1.0.0/27"))}
	for b.Loop() {
		s.SetPart("part0", large)
		s.SetPart("part0", small)
	}
}

func filled(b *testing.B, cidr string, used int) *Subnet[string] {
	s := NewSubnet[string](config(b, cidr))
	for i := range used {
		allocate(b, s, fmt.Sprint(i))
	}
	return s
}
