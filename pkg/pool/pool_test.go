package pool_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/port"
	"github.com/woven-cni/woven/pkg/reconcile"
)

func spec(t *testing.T, name, cidr string) pool.Spec {
	t.Helper()
	prefixes, err := ipam.ParsePrefixes(cidr)
	if err != nil {
		t.Fatal(err)
	}
	return pool.Spec{Subnet: name, Config: ipam.Config{Prefixes: prefixes, Gateways: prefixes.FirstUsable()}}
}

// pod is the first port of a pod of the test.
func pod(name string) port.Key { return port.First(ovs.Owner{Feature: "pod", Key: "shop/" + name}) }

// woken collects the keys of the pods whose turn has come.
func woken(t *testing.T, pools *pool.Pools) *[]string {
	t.Helper()
	var keys []string
	source := &reconcile.FeedSource{Feed: pools.Turns("pod"), Enqueue: func(_ workqueue.TypedRateLimitingInterface[ctrl.Request], key string) {
		keys = append(keys, key)
	}}
	if err := source.Start(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return &keys
}

func allocate(t *testing.T, pools *pool.Pools, s pool.Spec, r pool.Request) ipam.Lease {
	t.Helper()
	lease, err := pools.Allocate(s, r)
	if err != nil {
		t.Fatalf("%s gets nothing: %v", r.Owner, err)
	}
	return lease
}

// oneAddress is the CIDR of a subnet with a gateway and one address to give.
const oneAddress = "10.20.0.0/30"

func TestWhoWaitsForAFullSubnetIsWoken(t *testing.T) {
	pools, s := pool.New(), spec(t, "web", oneAddress)
	owners := woken(t, pools)
	first := allocate(t, pools, s, pool.Request{Owner: pod("a")})
	if _, err := pools.Allocate(s, pool.Request{Owner: pod("b")}); !errors.Is(err, ipam.ErrFull) {
		t.Fatalf("a full subnet says %v", err)
	}
	pools.Release(pod("a"))
	if !slices.Contains(*owners, "shop/b") {
		t.Fatalf("woken: %v, and not shop/b", *owners)
	}
	if got := allocate(t, pools, s, pool.Request{Owner: pod("b")}); got.Addrs != first.Addrs {
		t.Errorf("shop/b got %s, want %s", got.Addrs, first.Addrs)
	}
}

func TestWhoWantsATakenAddressIsWokenWhenItIsFree(t *testing.T) {
	pools, s := pool.New(), spec(t, "web", "10.20.0.0/24")
	owners := woken(t, pools)
	lease := allocate(t, pools, s, pool.Request{Owner: pod("a")})
	var taken *pool.InUseError
	if _, err := pools.Allocate(s, pool.Request{Owner: pod("b"), Addrs: lease.Addrs}); !errors.As(err, &taken) || taken.Owner != pod("a") {
		t.Fatalf("an address in use says %v", err)
	}
	pools.Release(pod("a"))
	if !slices.Contains(*owners, "shop/b") {
		t.Fatalf("woken: %v, and not shop/b", *owners)
	}
}

func TestWhoWaitsForAnAddressIsWokenByNoOther(t *testing.T) {
	pools, s := pool.New(), spec(t, "web", "10.20.0.0/24")
	owners := woken(t, pools)
	lease := allocate(t, pools, s, pool.Request{Owner: pod("a")})
	allocate(t, pools, s, pool.Request{Owner: pod("other")})
	if _, err := pools.Allocate(s, pool.Request{Owner: pod("b"), MAC: lease.MAC}); err == nil {
		t.Fatal("a MAC was given twice")
	}
	pools.Release(pod("other"))
	if len(*owners) != 0 {
		t.Fatalf("woken: %v by another's address", *owners)
	}
	pools.Release(pod("a"))
	if !slices.Equal(*owners, []string{"shop/b"}) {
		t.Fatalf("woken: %v, want shop/b", *owners)
	}
}

func TestWhoWaitsIsFoundByItsCauses(t *testing.T) {
	pools := pool.New()
	pools.WaitFor(pod("a"), pool.Subnet("web"), pool.Namespace("shop"))
	pools.WaitFor(pod("b"), pool.Subnet("web"))
	pools.WaitFor(port.First(ovs.Owner{Feature: "node", Key: "n1"}), pool.Subnet("web"))
	for name, tc := range map[string]struct {
		feature string
		causes  []pool.Cause
		want    []string
	}{
		"a subnet":                   {"pod", pool.Subnets("web"), []string{"shop/a", "shop/b"}},
		"a subnet, of another kind":  {"node", pool.Subnets("web"), []string{"n1"}},
		"another subnet":             {"pod", pool.Subnets("shop"), nil},
		"a namespace":                {"pod", []pool.Cause{pool.Namespace("shop")}, []string{"shop/a"}},
		"both, and each once":        {"pod", []pool.Cause{pool.Namespace("shop"), pool.Subnet("web")}, []string{"shop/a", "shop/b"}},
		"a namespace of that name":   {"pod", []pool.Cause{pool.Namespace("web")}, nil},
		"causes that nobody has had": {"pod", pool.Subnets("x", "y"), nil},
	} {
		if got := pools.Waiting(tc.feature, tc.causes...); !slices.Equal(got, tc.want) {
			t.Errorf("%s: waiting are %v, want %v", name, got, tc.want)
		}
	}
	pools.WaitOnly(pod("a"), pool.Namespace("shop"))
	if got := pools.Waiting("pod", pool.Subnet("web")); !slices.Equal(got, []string{"shop/b"}) {
		t.Errorf("waiting are %v: shop/a waits for its namespace only", got)
	}
}

// An owner whose turn it is, and who wants nothing of the Subnet any more, hands the turn on.
func TestWhoTurnsElsewhereLeavesTheQueue(t *testing.T) {
	pools, s := pool.New(), spec(t, "web", oneAddress)
	owners := woken(t, pools)
	allocate(t, pools, s, pool.Request{Owner: pod("a")})
	for _, name := range []string{"b", "c"} {
		pools.WaitFor(pod(name), pool.Subnet("web"))
		if _, err := pools.Allocate(s, pool.Request{Owner: pod(name)}); !errors.Is(err, ipam.ErrFull) {
			t.Fatalf("a full subnet says %v", err)
		}
	}
	pools.Release(pod("a"))
	pools.WaitOnly(pod("b"), pool.Subnet("other"))
	if !slices.Equal(*owners, []string{"shop/b", "shop/c"}) {
		t.Errorf("woken: %v, want shop/b, and shop/c in its stead", *owners)
	}
}

func TestWhoIsBlockedTwiceIsWokenOnce(t *testing.T) {
	pools, s := pool.New(), spec(t, "web", "10.20.0.0/24")
	owners := woken(t, pools)
	lease := allocate(t, pools, s, pool.Request{Owner: pod("a")})
	for range 3 { // a pod is looked at for many reasons
		if _, err := pools.Allocate(s, pool.Request{Owner: pod("b"), Addrs: lease.Addrs}); err == nil {
			t.Fatal("an address was given twice")
		}
	}
	pools.Release(pod("a"))
	if !slices.Equal(*owners, []string{"shop/b"}) {
		t.Errorf("woken: %v, want shop/b once", *owners)
	}
}

func TestWhoWentIsNotWoken(t *testing.T) {
	pools := pool.New()
	pools.WaitFor(pod("a"), pool.Subnet("nowhere"))
	pools.Release(pod("a"))
	if got := pools.Waiting("pod", pool.Subnet("nowhere")); len(got) != 0 {
		t.Errorf("waiting are %v", got)
	}
}

// Two subnets are full, and a third owner wants an address of either.
func TestWhoFindsAllSubnetsFullWaitsForEach(t *testing.T) {
	for free, other := range map[string]string{"a": "b", "b": "a"} {
		pools, first, second := pool.New(), spec(t, "first", oneAddress), spec(t, "second", "10.21.0.0/30")
		both := map[string]pool.Spec{"a": first, "b": second}
		owners := woken(t, pools)
		for owner, s := range both {
			allocate(t, pools, s, pool.Request{Owner: pod(owner)})
		}
		for _, s := range []pool.Spec{first, second} {
			for _, owner := range []string{"c", "d"} {
				if _, err := pools.Allocate(s, pool.Request{Owner: pod(owner)}); !errors.Is(err, ipam.ErrFull) {
					t.Fatalf("a full subnet says %v", err)
				}
			}
		}
		pools.Release(pod(free))
		if !slices.Equal(*owners, []string{"shop/c"}) {
			t.Fatalf("the end of %s wakes %v, want shop/c", free, *owners)
		}
		*owners = nil
		allocate(t, pools, both[free], pool.Request{Owner: pod("c")})
		pools.Release(pod(other))
		if !slices.Equal(*owners, []string{"shop/d"}) {
			t.Errorf("the end of %s wakes %v: shop/c has what it wanted, and shop/d has not", other, *owners)
		}
	}
}

func TestAFullSubnetCostsNobodyHisAddress(t *testing.T) {
	pools, full, home := pool.New(), spec(t, "full", oneAddress), spec(t, "home", "10.21.0.0/24")
	allocate(t, pools, full, pool.Request{Owner: pod("a")})
	had := allocate(t, pools, home, pool.Request{Owner: pod("b")})
	if _, err := pools.Allocate(full, pool.Request{Owner: pod("b")}); !errors.Is(err, ipam.ErrFull) {
		t.Fatalf("a full subnet says %v", err)
	}
	if _, err := pools.Allocate(home, pool.Request{Owner: pod("c"), Addrs: had.Addrs}); err == nil {
		t.Error("its address was given to another")
	}
}

func TestAnOwnerIsOnOneSubnetAtATime(t *testing.T) {
	pools, old, next := pool.New(), spec(t, "old", oneAddress), spec(t, "new", "10.21.0.0/24")
	allocate(t, pools, old, pool.Request{Owner: pod("a")})
	allocate(t, pools, next, pool.Request{Owner: pod("a")})
	if n := len(pools.Users("old")); n != 0 {
		t.Errorf("%d addresses of the old subnet are still in use", n)
	}
	allocate(t, pools, old, pool.Request{Owner: pod("b")})
}

func TestReleaseOfTheUnknownIsNothing(_ *testing.T) {
	pool.New().Release(pod("nobody"))
}

func TestDeletedSubnetWakesItsQueue(t *testing.T) {
	pools, s := pool.New(), spec(t, "web", oneAddress)
	owners := woken(t, pools)
	allocate(t, pools, s, pool.Request{Owner: pod("a")})
	if _, err := pools.Allocate(s, pool.Request{Owner: pod("b")}); !errors.Is(err, ipam.ErrFull) {
		t.Fatalf("a full subnet says %v", err)
	}
	pools.Delete("web")
	if !slices.Contains(*owners, "shop/b") {
		t.Fatalf("woken: %v, and not shop/b", *owners)
	}
}

// Who reads of a conflict reads which object has the address.
func TestConflictsNameTheObject(t *testing.T) {
	pools, s := pool.New(), spec(t, "web", "10.20.0.0/24")
	for want, owner := range map[string]port.Key{
		"is in use by pod shop/a": pod("a"), "is in use by pod shop/a (net1.default)": second("a"),
		"is in use by node n1": port.First(ovs.Owner{Feature: "node", Key: "n1"}),
	} {
		lease := allocate(t, pools, s, pool.Request{Owner: owner})
		_, err := pools.Allocate(s, pool.Request{Owner: pod("late"), Addrs: lease.Addrs})
		if err == nil || err.Error() != lease.Addrs.String()+" "+want {
			t.Errorf("an address in use says %v", err)
		}
		if err := pools.Reserve(s, pod("late"), lease); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "of pod shop/late") {
			t.Errorf("an address on record twice says %v", err)
		}
	}
}
