package pool_test

import (
	"slices"
	"sync"
	"testing"

	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/port"
)

// kept is the IP object that reserves addresses for a pod.
var kept = port.First(ovs.Owner{Feature: pool.Reservation, Key: "web-0.shop"})

func TestReservedAddressIsItsOwners(t *testing.T) {
	pools, s := pool.New(), spec(t, "web", oneAddress)
	owners := woken(t, pools)
	lease := allocate(t, pools, s, pool.Request{Owner: kept})
	pools.Keep(kept, pod("web-0"))
	pools.Claim(pod("other"))
	if _, held := pools.Held(pod("other")); !held.IsZero() {
		t.Fatalf("another claims %s", held.Addrs)
	}
	for range 2 { // a pod comes, goes, and comes again
		_, err := pools.Allocate(s, pool.Request{Owner: pod("other"), Addrs: lease.Addrs})
		if err == nil || err.Error() != lease.Addrs.String()+" is reserved by IP web-0.shop" {
			t.Fatalf("a reserved address says %v", err)
		}
		pools.Claim(pod("web-0"))
		if home, held := pools.Held(pod("web-0")); held != lease || home != "web" {
			t.Fatalf("the pod claims %s of %q, want %s of web", held.Addrs, home, lease.Addrs)
		}
		pools.Bind(pod("web-0"), "uid")
		pools.Release(pod("web-0"))
		if uid := pools.Holder(pod("web-0")); uid != "" {
			t.Errorf("the address is bound to %s, which is gone", uid)
		}
		if len(*owners) != 0 {
			t.Fatalf("woken: %v", *owners)
		}
	}
	pools.Claim(pod("web-0"))
	pools.Unkeep(kept)
	if _, held := pools.Held(pod("web-0")); held != lease {
		t.Errorf("the end of the reservation costs the pod its address: it has %s", held.Addrs)
	}
	pools.Release(pod("web-0"))
	if !slices.Equal(*owners, []string{"shop/other"}) || len(pools.Users("web")) != 0 {
		t.Errorf("woken: %v, want shop/other; %v are in use", *owners, pools.Users("web"))
	}
}

func TestEndOfAReservationWakesWhoWaits(t *testing.T) {
	pools, s := pool.New(), spec(t, "web", oneAddress)
	owners := woken(t, pools)
	allocate(t, pools, s, pool.Request{Owner: kept})
	pools.Keep(kept, pod("web-0"))
	if _, err := pools.Allocate(s, pool.Request{Owner: pod("other")}); err == nil {
		t.Fatal("a full subnet gave an address")
	}
	pools.Unkeep(kept)
	if !slices.Equal(*owners, []string{"shop/other"}) {
		t.Errorf("woken: %v, want shop/other", *owners)
	}
}

// A pod that waits elsewhere is told of what is reserved for it, and leaves its queue when it claims that.
func TestReservationWakesItsOwner(t *testing.T) {
	pools, s, full := pool.New(), spec(t, "web", "10.21.0.0/24"), spec(t, "full", oneAddress)
	owners := woken(t, pools)
	allocate(t, pools, full, pool.Request{Owner: pod("a")})
	for _, name := range []string{"web-0", "c"} {
		if _, err := pools.Allocate(full, pool.Request{Owner: pod(name)}); err == nil {
			t.Fatal("a full subnet gave an address")
		}
	}
	allocate(t, pools, s, pool.Request{Owner: kept})
	pools.Keep(kept, pod("web-0"))
	pools.Keep(kept, pod("web-0"))
	if !slices.Equal(*owners, []string{"shop/web-0"}) {
		t.Fatalf("woken: %v, want shop/web-0 once", *owners)
	}
	pools.Claim(pod("web-0"))
	*owners = nil
	pools.Release(pod("a"))
	if !slices.Equal(*owners, []string{"shop/c"}) {
		t.Errorf("woken: %v, want shop/c", *owners)
	}
}

// While a pod comes and goes, nobody finds its reserved address free at any moment.
func TestReservedAddressIsNeverFree(t *testing.T) {
	pools, s := pool.New(), spec(t, "web", oneAddress)
	allocate(t, pools, s, pool.Request{Owner: kept})
	pools.Keep(kept, pod("web-0"))
	var wg sync.WaitGroup
	for _, name := range []string{"x", "y"} {
		wg.Go(func() {
			for range 2000 {
				if lease, err := pools.Allocate(s, pool.Request{Owner: pod(name)}); err == nil {
					t.Errorf("%s got %s", name, lease.Addrs)
					return
				}
			}
		})
	}
	for range 2000 {
		pools.Claim(pod("web-0"))
		pools.Release(pod("web-0"))
	}
	wg.Wait()
	if _, held := pools.Held(kept); held == (ipam.Lease{}) {
		t.Error("the reservation has lost its address")
	}
}
