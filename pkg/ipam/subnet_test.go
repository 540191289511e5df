package ipam

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
)

// config is a subnet whose gateway is the first usable address.
func config(t testing.TB, cidr string, exclude ...string) Config {
	t.Helper()
	ranges, err := ParseRanges(exclude)
	if err != nil {
		t.Fatal(err)
	}
	p := prefixes(t, cidr)
	return Config{Prefixes: p, Gateways: p.FirstUsable(), Exclude: ranges}
}

func addrs(t testing.TB, s string) Addrs {
	t.Helper()
	a, err := ParseAddrs(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func allocate(t testing.TB, s *Subnet[string], owner string) Lease {
	t.Helper()
	lease, err := s.Allocate(Request[string]{Owner: owner})
	if err != nil {
		t.Fatalf("allocating for %s: %v", owner, err)
	}
	return lease
}

func TestAllocateBothFamiliesWithMAC(t *testing.T) {
	s := NewSubnet[string](config(t, "10.16.0.0/16,fd00::/64", "10.16.0.2..10.16.0.4", "fd00::2"))
	got := allocate(t, s, "shop.web-0")
	if got.String() != "10.16.0.5,fd00::3" || got.MAC.String() != "0a:58:0a:10:00:05" {
		t.Errorf("got %s %s", got.Addrs, got.MAC)
	}
	if again := allocate(t, s, "shop.web-0"); again != got {
		t.Errorf("asked again: got %v, want %v", again, got)
	}
	one, err := s.Allocate(Request[string]{Owner: "v6", Family: OnlyV6})
	if err != nil || one.String() != "fd00::4" {
		t.Errorf("one family: got %s, %v", one.Addrs, err)
	}
	if one.MAC[0] != 0x0a || one.MAC == got.MAC {
		t.Errorf("MAC of IPv6 alone: %s", one.MAC)
	}
}

// An address just released is the last to be given again.
func TestOrder(t *testing.T) {
	s := NewSubnet[string](config(t, "10.0.0.0/29")) // .2 to .6
	for i := range 3 {
		allocate(t, s, fmt.Sprint(i)) // .2 .3 .4
	}
	s.Release("1")
	s.Release("0")
	var got []string
	for i := range 4 {
		got = append(got, allocate(t, s, fmt.Sprint("again", i)).V4.String())
	}
	if want := []string{"10.0.0.5", "10.0.0.6", "10.0.0.3", "10.0.0.2"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// What nobody may have is refused with the reason.
func TestUnfitIsRefusedWithTheReason(t *testing.T) {
	c := config(t, "10.0.0.0/24,fd00::/120")
	c.RouterMAC = MAC{0x0e, 1, 2, 3, 4, 5}
	s := NewSubnet[string](c)
	if _, err := s.Allocate(Request[string]{Owner: "shop/other", Addrs: addrs(t, "10.0.0.9"), MAC: MAC{2, 0, 0, 0, 0, 9}}); err != nil {
		t.Fatal(err)
	}
	v4 := NewSubnet[string](config(t, "10.0.0.0/24"))
	for _, c := range []struct {
		s     *Subnet[string]
		addrs string
		mac   MAC
		why   string
	}{
		{s, "10.0.0.1", MAC{}, "10.0.0.1 cannot be given: it is the gateway"},
		{s, "fd00::1", MAC{}, "fd00::1 cannot be given: it is the gateway"},
		{s, "10.0.0.0", MAC{}, "10.0.0.0 cannot be given: it is the network's own address"},
		{s, "10.0.0.255", MAC{}, "10.0.0.255 cannot be given: it is the broadcast address"},
		{s, "fd00::ff", MAC{}, "fd00::ff cannot be given: it is the last address of fd00::/120, which is never given"},
		{s, "10.0.1.5", MAC{}, "10.0.1.5 cannot be given: it is outside 10.0.0.0/24"},
		{s, "169.254.0.1", MAC{}, "169.254.0.1 cannot be given: it is outside 10.0.0.0/24"},
		{v4, "fd00::5", MAC{}, "fd00::5 cannot be given: it is of a family that the subnet does not have"},
		{s, "10.0.0.9", MAC{}, "10.0.0.9 is in use by shop/other"},
		{s, "10.0.0.10", MAC{0x0e, 1, 2, 3, 4, 5}, "0e:01:02:03:04:05 cannot be given: it is the MAC of the subnet's router"},
		{s, "10.0.0.10", MAC{0, 0, 0x5e, 0, 1, 7}, "00:00:5e:00:01:07 cannot be given: it is a virtual router's MAC (VRRP)"},
		{s, "10.0.0.10", MAC{0, 0, 0x5e, 0, 2, 7}, "00:00:5e:00:02:07 cannot be given: it is a virtual router's MAC (VRRP)"},
		{s, "10.0.0.10", MAC{2, 0, 0, 0, 0, 9}, "02:00:00:00:00:09 is in use by shop/other"},
	} {
		lease, err := c.s.Allocate(Request[string]{Owner: "shop/web-0", Addrs: addrs(t, c.addrs), MAC: c.mac})
		if err == nil || err.Error() != c.why {
			t.Errorf("%s %s gives %v, %v; want %s", c.addrs, c.mac, lease, err, c.why)
		}
	}
}

func TestAllocateStatic(t *testing.T) {
	mac := MAC{2, 0, 0, 0, 0, 1}
	s := NewSubnet[string](config(t, "10.0.0.0/24,fd00::/120", "10.0.0.100..10.0.0.200"))
	got, err := s.Allocate(Request[string]{Owner: "a", Addrs: addrs(t, "10.0.0.7"), MAC: mac})
	if err != nil || got.String() != "10.0.0.7,fd00::2" || got.MAC != mac {
		t.Fatalf("got %v, %v: the family left out gets any address", got, err)
	}
	excluded := Request[string]{Owner: "b", Addrs: addrs(t, "10.0.0.150")}
	if _, err := s.Allocate(excluded); !errors.Is(err, ErrOutOfRange) {
		t.Errorf("an excluded address is given to anybody who asks: %v", err)
	}
	excluded.Excluded = true
	if _, err := s.Allocate(excluded); err != nil {
		t.Errorf("an excluded address is there for who may have it: %v", err)
	}
	for _, c := range []struct {
		request Request[string]
		want    error
	}{
		{Request[string]{Owner: "c", Addrs: addrs(t, "10.0.0.1")}, ErrOutOfRange},
		{Request[string]{Owner: "c", Addrs: addrs(t, "10.0.0.0")}, ErrOutOfRange},
		{Request[string]{Owner: "c", Addrs: addrs(t, "10.0.0.255")}, ErrOutOfRange},
		{Request[string]{Owner: "c", Addrs: addrs(t, "10.0.1.5")}, ErrOutOfRange},
		{Request[string]{Owner: "a", Addrs: addrs(t, "10.0.0.8")}, ErrHolds},
		{Request[string]{Owner: "a", MAC: MAC{2, 0, 0, 0, 0, 2}}, ErrHolds},
		{Request[string]{Owner: "a", Addrs: addrs(t, "10.0.0.7"), MAC: mac}, nil},
	} {
		if _, err := s.Allocate(c.request); !errors.Is(err, c.want) {
			t.Errorf("%+v: got %v, want %v", c.request, err, c.want)
		}
	}
	var conflict *ConflictError[string]
	if _, err := s.Allocate(Request[string]{Owner: "d", Addrs: addrs(t, "10.0.0.7")}); !errors.As(err, &conflict) || conflict.Owner != "a" {
		t.Errorf("taken address: %v", err)
	}
	if _, err := s.Allocate(Request[string]{Owner: "d", MAC: mac}); !errors.As(err, &conflict) || conflict.Owner != "a" {
		t.Errorf("taken MAC: %v", err)
	}
	if _, held := s.Lease("d"); held {
		t.Error("a request that is refused left something behind")
	}
}

// The MAC made from an address is another one when a user took it first.
func TestMACTakenByUser(t *testing.T) {
	s := NewSubnet[string](config(t, "10.0.0.0/24"))
	if _, err := s.Allocate(Request[string]{Owner: "user", Addrs: addrs(t, "10.0.0.9"), MAC: macFor(addrs(t, "10.0.0.2"), 0)}); err != nil {
		t.Fatal(err)
	}
	if got := allocate(t, s, "next"); got.MAC == macFor(got.Addrs, 0) || got.MAC[0]&3 != 2 {
		t.Errorf("got %s", got.MAC)
	}
}

// With IPv6 full, nobody gets the IPv4 half, and who waits is served in order.
func TestFullAndWaiting(t *testing.T) {
	s := NewSubnet[string](config(t, "10.0.0.0/24,fd00::/126")) // one v6 address
	first := allocate(t, s, "first")
	for _, owner := range []string{"second", "third", "fourth", "second"} {
		if _, err := s.Allocate(Request[string]{Owner: owner}); !errors.Is(err, ErrFull) {
			t.Fatalf("%s: %v", owner, err)
		}
	}
	if v4, v6 := s.Usage(); v4.Using != 1 || v6.Available != 0 {
		t.Errorf("usage %+v %+v", v4, v6)
	}
	if got := s.Release("third"); got != nil {
		t.Errorf("leaving the queue of a full subnet wakes %v", got)
	}
	if got := s.Release("first"); !slices.Equal(got, []string{"second"}) {
		t.Errorf("woke %v", got)
	}
	// "second" was deleted meanwhile: its turn goes on to the next.
	if got := s.Release("second"); !slices.Equal(got, []string{"fourth"}) {
		t.Errorf("woke %v", got)
	}
	if got := allocate(t, s, "fourth"); got.V6 != first.V6 {
		t.Errorf("got %v", got)
	}
	if got := s.Release("fourth"); got != nil {
		t.Errorf("woke %v", got)
	}
}

func TestReserve(t *testing.T) {
	s := NewSubnet[string](config(t, "10.0.0.0/29"))
	old := Lease{Addrs: addrs(t, "10.0.0.2"), MAC: MAC{0, 0, 0, 1, 2, 3}}
	for range 2 {
		if err := s.Reserve("old", old); err != nil {
			t.Fatal(err)
		}
	}
	var conflict *ConflictError[string]
	if err := s.Reserve("other", old); !errors.As(err, &conflict) || conflict.Owner != "old" {
		t.Errorf("twice: %v", err)
	}
	if err := s.Reserve("old", Lease{Addrs: addrs(t, "10.0.0.4")}); !errors.Is(err, ErrHolds) {
		t.Errorf("another address: %v", err)
	}
	if err := s.Reserve("stray", Lease{Addrs: addrs(t, "10.9.9.9")}); err != nil {
		t.Errorf("what is in use is in use: %v", err)
	}
	if err := s.Reserve("nothing", Lease{}); !errors.Is(err, ErrOutOfRange) {
		t.Errorf("no address: %v", err)
	}
	if got := allocate(t, s, "old"); got != old {
		t.Errorf("got %v", got)
	}
	if got := allocate(t, s, "new"); got.V4.String() != "10.0.0.3" {
		t.Errorf("got %v", got)
	}
	if got := s.CutOff(Addrs{}, s.config); !slices.Equal(got, []string{"stray"}) {
		t.Errorf("outside: %v", got)
	}
}

func TestResize(t *testing.T) {
	s := NewSubnet[string](config(t, "10.0.0.0/30")) // .2 alone
	kept := allocate(t, s, "kept")
	if _, err := s.Allocate(Request[string]{Owner: "late"}); !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
	if got := s.Resize(config(t, "10.0.0.0/30")); got != nil {
		t.Errorf("no change woke %v", got)
	}
	if got := s.Resize(config(t, "10.0.0.0/29")); !slices.Equal(got, []string{"late"}) {
		t.Errorf("growing woke %v", got)
	}
	if got := allocate(t, s, "late"); got.V4.String() != "10.0.0.3" {
		t.Errorf("got %v", got)
	}
	s.Resize(config(t, "10.1.0.0/29"))
	if got := allocate(t, s, "kept"); got != kept {
		t.Errorf("a live lease moved from %v to %v", kept, got)
	}
	s.Release("kept")
	if v4, _ := s.Usage(); v4.Available != 5 || v4.Using != 1 {
		t.Errorf("usage %+v", v4)
	}
	if got := allocate(t, s, "kept"); got.V4.String() != "10.1.0.2" {
		t.Errorf("got %v", got)
	}
}

func TestUsage(t *testing.T) {
	s := NewSubnet[string](config(t, "10.16.0.0/24,fd00::/64", "10.16.0.20..10.16.0.29"))
	for i := range 3 {
		allocate(t, s, fmt.Sprint(i))
	}
	s.Release("1")
	v4, v6 := s.Usage()
	if v4 != (Usage{Available: 241, Using: 2}) || v6 != (Usage{Available: 0x1p64, Using: 2}) {
		t.Errorf("usage %+v %+v", v4, v6)
	}
	r4, r6 := s.UsageRanges()
	for got, want := range map[string]string{
		r4.Available.String(): "10.16.0.3,10.16.0.5-10.16.0.19,10.16.0.30-10.16.0.254",
		r4.Using.String():     "10.16.0.2,10.16.0.4",
		r6.Available.String(): "fd00::3,fd00::5-fd00::ffff:ffff:ffff:fffe",
		r6.Using.String():     "fd00::2,fd00::4",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestSubnets(t *testing.T) {
	all := NewSubnets[string]()
	s, _ := all.Put("web", config(t, "10.0.0.0/30"))
	allocate(t, s, "a")
	if _, err := s.Allocate(Request[string]{Owner: "b"}); !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
	same, waiting := all.Put("web", config(t, "10.0.0.0/29"))
	if same != s || !slices.Equal(waiting, []string{"b"}) {
		t.Errorf("put again: another subnet, or woke %v", waiting)
	}
	all.Delete("web")
	if _, err := s.Allocate(Request[string]{Owner: "b"}); !errors.Is(err, ErrClosed) {
		t.Errorf("a deleted subnet gave an address: %v", err)
	}
	if all.Get("web") != nil || all.Delete("web") != nil {
		t.Error("still there")
	}
}

// Many goroutines take, keep and release; at no time do two have one address.
func TestConcurrent(t *testing.T) {
	s := NewSubnet[string](config(t, "10.0.0.0/25,fd00::/64"))
	var mine sync.Map // address → owner, beside the allocator's own books
	var wg sync.WaitGroup
	for g := range 32 {
		wg.Go(func() {
			for i := range 300 {
				owner := fmt.Sprintf("%d/%d", g, i%7)
				lease, err := s.Allocate(Request[string]{Owner: owner})
				if errors.Is(err, ErrFull) {
					s.Release(owner)
					continue
				}
				for _, a := range []netip.Addr{lease.V4, lease.V6} {
					if other, taken := mine.Swap(a, owner); taken && other != owner {
						t.Errorf("%s is %s's and %s's", a, other, owner)
					}
				}
				if i%3 != 0 {
					mine.Delete(lease.V4)
					mine.Delete(lease.V6)
					s.Release(owner)
				}
				s.Usage()
			}
		})
	}
	wg.Go(func() {
		for i := range 200 {
			cidr := []string{"10.0.0.0/25,fd00::/64", "10.0.0.0/24,fd00::/64"}[i%2]
			s.Resize(config(t, cidr, "10.0.0.10..10.0.0.20"))
			s.UsageRanges()
			s.CutOff(Addrs{}, config(t, cidr))
		}
	})
	wg.Wait()
}

// A MAC is free again when its owner has left.
func TestMACReleased(t *testing.T) {
	mac := MAC{2, 0, 0, 0, 0, 1}
	s := NewSubnet[string](config(t, "10.0.0.0/24"))
	for _, owner := range []string{"a", "b"} {
		if _, err := s.Allocate(Request[string]{Owner: owner, MAC: mac}); err != nil {
			t.Errorf("%s: %v", owner, err)
		}
		s.Release(owner)
	}
}

// Owners who come and go in a subnet for years leave no more behind than keptReleased addresses, get every other address
// before one comes again, and none that was released a short while ago.
func TestManyReleased(t *testing.T) {
	s := NewSubnet[string](config(t, "10.0.0.0/18,fd00::/64"))
	const size = 1<<14 - 3 // without the network's, the broadcast and the gateway
	given := map[netip.Addr]int{}
	for i := range 3 * size {
		lease := allocate(t, s, "one")
		if last, before := given[lease.V4]; before && i-last < size-keptReleased || !before && i >= size {
			t.Fatalf("lease %d is %s, as lease %d was", i, lease.V4, last)
		}
		given[lease.V4] = i
		s.Release("one")
	}
	if len(given) != size {
		t.Errorf("%d addresses were given of %d", len(given), size)
	}
	for _, f := range []family[string]{s.v4, s.v6} {
		if n := f.stocks[rest].released.len(); n > keptReleased {
			t.Errorf("%s remembers %d released addresses", f.whole, n)
		}
	}
	for i := range size {
		allocate(t, s, fmt.Sprint(i))
	}
	if _, err := s.Allocate(Request[string]{Owner: "late"}); !errors.Is(err, ErrFull) {
		t.Errorf("after the last address: %v", err)
	}
}
