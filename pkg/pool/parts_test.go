package pool_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/port"
)

func part(t *testing.T, entries ...string) ipam.Ranges {
	t.Helper()
	ranges, err := ipam.ParsePart(entries)
	if err != nil {
		t.Fatal(err)
	}
	return ranges
}

// An IPPool's addresses are its askers', its usage is told when they come and go, and who waits for it is woken by them.
func TestIPPool(t *testing.T) {
	pools, web := pool.New(), spec(t, "web", "10.20.0.0/24")
	turns := woken(t, pools)
	if rivals := pools.SetIPPool(web, "front", part(t, "10.20.0.2")); rivals != nil {
		t.Fatal(rivals)
	}
	if rivals := pools.SetIPPool(web, "rival", part(t, "10.20.0.0/28")); !slices.Equal(rivals, []string{"front"}) || len(pools.IPPool("rival")) > 0 {
		t.Errorf("%v are in the way of a rival, which has %s", rivals, pools.IPPool("rival"))
	}
	if got := allocate(t, pools, web, pool.Request{Owner: pod("other")}); got.Addrs.String() != "10.20.0.3" {
		t.Errorf("who asks for nothing gets %s", got.Addrs)
	}
	if got := allocate(t, pools, web, pool.Request{Owner: pod("a"), IPPools: []string{"front"}}); got.Addrs.String() != "10.20.0.2" {
		t.Errorf("who asks for the pool gets %s", got.Addrs)
	}
	if got := pools.UsersOfIPPool("front"); !slices.Equal(got, []port.Key{pod("a")}) {
		t.Errorf("its users are %v", got)
	}
	if _, err := pools.Allocate(web, pool.Request{Owner: pod("b"), IPPools: []string{"front"}}); !errors.Is(err, ipam.ErrFull) {
		t.Errorf("a full pool says %v", err)
	}
	if v4, _, _, _ := pools.IPPoolUsage("front"); v4 != (ipam.Usage{Using: 1}) {
		t.Errorf("its usage is %+v", v4)
	}
	pools.Release(pod("other"))
	if len(*turns) > 0 {
		t.Errorf("an address of no pool wakes %v", *turns)
	}
	pools.Release(pod("a"))
	if !slices.Equal(*turns, []string{"shop/b"}) {
		t.Errorf("an address of the pool wakes %v", *turns)
	}
}

// A pool that comes to be of another Subnet leaves nothing in the first one, and its end nothing at all.
func TestIPPoolMovesAndEnds(t *testing.T) {
	pools, web, lab := pool.New(), spec(t, "web", "10.20.0.0/24"), spec(t, "lab", "10.21.0.0/24")
	pools.SetIPPool(web, "front", part(t, "10.20.0.2"))
	fork := pools.Fork()
	pools.SetIPPool(lab, "front", part(t, "10.21.0.2"))
	if got := pools.IPPool("front").String(); got != "10.21.0.2" {
		t.Errorf("the pool is %s", got)
	}
	if got := fork.IPPool("front").String(); got != "10.20.0.2" {
		t.Errorf("in a copy that was made before the pool is %s", got)
	}
	if got := allocate(t, pools, web, pool.Request{Owner: pod("a")}); got.Addrs.String() != "10.20.0.2" {
		t.Errorf("the first Subnet gives %s", got.Addrs)
	}
	if home := pools.EndIPPool("front"); home != "lab" || len(pools.IPPool("front")) > 0 {
		t.Errorf("a pool of %q has ended, and has %s", home, pools.IPPool("front"))
	}
}

// An owner that waits for two pools, and is woken for both, takes one: the other's address is the next one's who waits for it.
func TestWokenForTwoIPPools(t *testing.T) {
	pools, web := pool.New(), spec(t, "web", "10.20.0.0/24")
	pools.SetIPPool(web, "front", part(t, "10.20.0.10"))
	pools.SetIPPool(web, "back", part(t, "10.20.0.20"))
	allocate(t, pools, web, pool.Request{Owner: pod("a"), IPPools: []string{"front"}})
	allocate(t, pools, web, pool.Request{Owner: pod("b"), IPPools: []string{"back"}})
	for _, waits := range []pool.Request{{Owner: pod("both"), IPPools: []string{"front", "back"}}, {Owner: pod("late"), IPPools: []string{"back"}}} {
		if _, err := pools.Allocate(web, waits); !errors.Is(err, ipam.ErrFull) {
			t.Fatalf("full pools say %v", err)
		}
	}
	pools.Release(pod("a"))
	pools.Release(pod("b"))
	turns := woken(t, pools)
	*turns = nil // of both, twice
	allocate(t, pools, web, pool.Request{Owner: pod("both"), IPPools: []string{"front", "back"}})
	if !slices.Equal(*turns, []string{"shop/late"}) {
		t.Errorf("woken: %v, want shop/late", *turns)
	}
}
