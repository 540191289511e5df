package pool_test

import (
	"testing"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/port"
)

// TestForkIsApart does to a copy all that can be done to pools: they have what they had, and give what they would have given.
func TestForkIsApart(t *testing.T) {
	pools, s := pool.New(), spec(t, "web", "10.20.0.0/29")
	first, err := pools.Allocate(s, pool.Request{Owner: pod("a")})
	if err != nil {
		t.Fatal(err)
	}
	pools.Bind(pod("a"), "uid-a")
	called := woken(t, pools)

	fork := pools.Fork()
	if _, lease := fork.Held(pod("a")); lease != first || fork.Holder(pod("a")) != "uid-a" {
		t.Errorf("in the copy the pod has %v of %q", lease, fork.Holder(pod("a")))
	}
	next, err := fork.Allocate(s, pool.Request{Owner: pod("b")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fork.Allocate(s, pool.Request{Owner: second("e")}); err != nil {
		t.Fatal(err)
	}
	fork.Release(pod("a"))
	fork.Keep(port.First(ovs.Owner{Feature: pool.Reservation, Key: "r"}), pod("c"))
	fork.WaitFor(pod("d"), pool.Subnet("web"))
	fork.Set(spec(t, "other", "10.21.0.0/24"))
	fork.Delete("web")

	if _, lease := pools.Held(pod("a")); lease != first || pools.Holder(pod("a")) != "uid-a" || len(pools.Users("web")) != 1 {
		t.Errorf("the pod has %v of %q; users are %v", lease, pools.Holder(pod("a")), pools.Users("web"))
	}
	if got := pools.Ports(second("e").Owner); len(got) != 1 || len(fork.Ports(second("e").Owner)) != 2 {
		t.Errorf("a port of the copy is the pools': %v", got)
	}
	if pools.Get("other") != nil || pools.Kept(pod("c")) || len(pools.Waiting("pod", pool.Subnet("web"))) > 0 || len(*called) > 0 {
		t.Errorf("what was done to the copy is done to the pools; woken are %v", *called)
	}
	if got, err := pools.Allocate(s, pool.Request{Owner: pod("c")}); err != nil || got.Addrs != next.Addrs {
		t.Errorf("the next gets %v (%v), and in the copy it was %v", got, err, next)
	}
}
