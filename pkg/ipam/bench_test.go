package ipam

import (
	"fmt"
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

func filled(b *testing.B, cidr string, used int) *Subnet[string] {
	s := NewSubnet[string](config(b, cidr))
	for i := range used {
		allocate(b, s, fmt.Sprint(i))
	}
	return s
}
