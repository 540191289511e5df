package pool_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/port"
)

// second is the further port of a pod.
func second(name string) port.Key { return port.Key{Owner: pod(name).Owner, Interface: "net1.default"} }

// held fails the test unless a port has a lease of a Subnet; "" is none.
func held(t *testing.T, pools *pool.Pools, owner port.Key, subnet string) {
	t.Helper()
	home, lease := pools.Held(owner)
	if home != subnet || lease.IsZero() != (subnet == "") {
		t.Errorf("%s has %s of %q, want some of %q", owner, lease.Addrs, home, subnet)
	}
}

func TestPortsOfAPodHaveTheirOwnLeases(t *testing.T) {
	pools, web, net := pool.New(), spec(t, "web", "10.20.0.0/24"), spec(t, "net", "10.30.0.0/24")
	allocate(t, pools, web, pool.Request{Owner: pod("a")})
	allocate(t, pools, net, pool.Request{Owner: second("a")})
	held(t, pools, pod("a"), "web")
	held(t, pools, second("a"), "net")
	pools.Bind(second("a"), "uid")
	if got := pools.Holder(pod("a")); got != "" {
		t.Errorf("the first port is %q's, whom only the second one was bound to", got)
	}
	if got := pools.Ports(pod("a").Owner); !slices.Equal(got, []port.Key{pod("a"), second("a")}) {
		t.Errorf("the pod's ports are %v", got)
	}

	pools.Release(second("a"))
	held(t, pools, pod("a"), "web")
	held(t, pools, second("a"), "")
	if got := pools.Ports(pod("a").Owner); !slices.Equal(got, []port.Key{pod("a")}) {
		t.Errorf("after the release of the second, the pod's ports are %v", got)
	}

	allocate(t, pools, net, pool.Request{Owner: second("a")})
	pools.Release(pod("a"))
	held(t, pools, pod("a"), "")
	held(t, pools, second("a"), "net")

	allocate(t, pools, web, pool.Request{Owner: pod("a")})
	pools.ReleaseAll(pod("a").Owner)
	held(t, pools, pod("a"), "")
	held(t, pools, second("a"), "")
	if users := slices.Concat(pools.Users("web"), pools.Users("net")); len(users) > 0 {
		t.Errorf("after the pod's end, %v have addresses", users)
	}
}

// Both ports may be in one Subnet, each with an address.
func TestPortsOfAPodInOneSubnet(t *testing.T) {
	pools, s := pool.New(), spec(t, "web", "10.20.0.0/24")
	a, b := allocate(t, pools, s, pool.Request{Owner: pod("a")}), allocate(t, pools, s, pool.Request{Owner: second("a")})
	if a.Addrs == b.Addrs || a.MAC == b.MAC {
		t.Errorf("the ports have %s with %s and %s with %s", a.Addrs, a.MAC, b.Addrs, b.MAC)
	}
	if got := pools.Users("web"); !slices.Equal(got, []port.Key{pod("a"), second("a")}) {
		t.Errorf("the users are %v", got)
	}
}

// A port that waits does not give back what the pod's other port has, and the turn of either is the pod's.
func TestOnlyOnePortOfAPodWaits(t *testing.T) {
	pools, web, net := pool.New(), spec(t, "web", "10.20.0.0/24"), spec(t, "net", oneAddress)
	turns := woken(t, pools)
	allocate(t, pools, net, pool.Request{Owner: pod("other")})
	allocate(t, pools, web, pool.Request{Owner: pod("a")})
	if _, err := pools.Allocate(net, pool.Request{Owner: second("a")}); !errors.Is(err, ipam.ErrFull) {
		t.Fatalf("a full subnet says %v", err)
	}
	pools.WaitOnly(pod("a")) // the first waits for nothing, and the second goes on waiting
	held(t, pools, pod("a"), "web")
	if got := pools.Waiting("pod", pool.Subnet("net")); !slices.Equal(got, []string{"shop/a"}) {
		t.Errorf("those that wait are %v", got)
	}

	pools.Release(pod("other"))
	if !slices.Contains(*turns, "shop/a") {
		t.Fatalf("woken: %v, and not shop/a", *turns)
	}
	allocate(t, pools, net, pool.Request{Owner: second("a")})
	held(t, pools, pod("a"), "web")
	held(t, pools, second("a"), "net")
}

// The pod's end ends the wait of a port that never got anything, and its place in the queue.
func TestPodEndsWhileAPortWaits(t *testing.T) {
	pools, net := pool.New(), spec(t, "net", oneAddress)
	allocate(t, pools, net, pool.Request{Owner: pod("other")})
	for _, name := range []string{"a", "b"} {
		if _, err := pools.Allocate(net, pool.Request{Owner: second(name)}); !errors.Is(err, ipam.ErrFull) {
			t.Fatalf("a full subnet says %v", err)
		}
	}
	pools.ReleaseAll(pod("a").Owner)
	turns := woken(t, pools)
	pools.Release(pod("other"))
	if !slices.Equal(*turns, []string{"shop/b"}) {
		t.Errorf("woken: %v, want shop/b alone", *turns)
	}
}

// What is reserved for one port of a pod is not for another.
func TestReservationIsAPorts(t *testing.T) {
	pools, s := pool.New(), spec(t, "web", "10.20.0.0/24")
	lease := allocate(t, pools, s, pool.Request{Owner: kept})
	pools.Keep(kept, second("web-0"))
	pools.Claim(pod("web-0"))
	held(t, pools, pod("web-0"), "")
	pools.Claim(second("web-0"))
	if _, got := pools.Held(second("web-0")); got != lease {
		t.Errorf("the second port has %v, and %v is reserved for it", got, lease)
	}
	pools.ReleaseAll(pod("web-0").Owner)
	held(t, pools, kept, "web")
}
