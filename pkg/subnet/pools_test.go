package subnet_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/subnet"
)

func parsed(t *testing.T, name, cidr string) subnet.Subnet {
	t.Helper()
	obj := &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.SubnetSpec{CIDRBlock: cidr}}
	s, problems := subnet.Parse(obj, "ovn-cluster")
	if len(problems.Blocking()) > 0 {
		t.Fatal(problems)
	}
	return s
}

// woken collects the owners whose turn has come.
func woken(t *testing.T, pools *subnet.Pools) *[]string {
	t.Helper()
	var owners []string
	source := &reconcile.FeedSource{Feed: pools.Waiting(), Enqueue: func(_ workqueue.TypedRateLimitingInterface[ctrl.Request], key string) {
		owners = append(owners, key)
	}}
	if err := source.Start(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return &owners
}

func allocate(t *testing.T, pools *subnet.Pools, s subnet.Subnet, r ipam.Request) ipam.Lease {
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
	pools, s := subnet.NewPools(), parsed(t, "web", oneAddress)
	owners := woken(t, pools)
	first := allocate(t, pools, s, ipam.Request{Owner: "shop/a"})
	if _, err := pools.Allocate(s, ipam.Request{Owner: "shop/b"}); !errors.Is(err, ipam.ErrFull) {
		t.Fatalf("a full subnet says %v", err)
	}
	pools.Release("shop/a")
	if !slices.Contains(*owners, "shop/b") {
		t.Fatalf("woken: %v, and not shop/b", *owners)
	}
	if got := allocate(t, pools, s, ipam.Request{Owner: "shop/b"}); got.Addrs != first.Addrs {
		t.Errorf("shop/b got %s, want %s", got.Addrs, first.Addrs)
	}
}

func TestWhoWantsATakenAddressIsWokenWhenItIsFree(t *testing.T) {
	pools, s := subnet.NewPools(), parsed(t, "web", "10.20.0.0/24")
	owners := woken(t, pools)
	lease := allocate(t, pools, s, ipam.Request{Owner: "shop/a"})
	var taken *ipam.ConflictError
	if _, err := pools.Allocate(s, ipam.Request{Owner: "shop/b", Addrs: lease.Addrs}); !errors.As(err, &taken) || taken.Owner != "shop/a" {
		t.Fatalf("an address in use says %v", err)
	}
	pools.Release("shop/a")
	if !slices.Contains(*owners, "shop/b") {
		t.Fatalf("woken: %v, and not shop/b", *owners)
	}
}

func TestWhoIsBlockedByASubnetIsWokenOnce(t *testing.T) {
	pools := subnet.NewPools()
	owners := woken(t, pools)
	pools.Block("nowhere", "shop/a")
	pools.Wake("elsewhere")
	if len(*owners) != 0 {
		t.Fatalf("another subnet woke %v", *owners)
	}
	pools.Wake("nowhere")
	pools.Wake("nowhere")
	if !slices.Equal(*owners, []string{"shop/a"}) {
		t.Fatalf("woken: %v, want shop/a once", *owners)
	}
}

func TestWhoIsBlockedTwiceIsWokenOnce(t *testing.T) {
	pools, s := subnet.NewPools(), parsed(t, "web", "10.20.0.0/24")
	owners := woken(t, pools)
	lease := allocate(t, pools, s, ipam.Request{Owner: "shop/a"})
	for range 3 { // a pod is looked at for many reasons
		if _, err := pools.Allocate(s, ipam.Request{Owner: "shop/b", Addrs: lease.Addrs}); err == nil {
			t.Fatal("an address was given twice")
		}
	}
	pools.Release("shop/a")
	if !slices.Equal(*owners, []string{"shop/b"}) {
		t.Errorf("woken: %v, want shop/b once", *owners)
	}
}

func TestWhoWentIsNotWoken(t *testing.T) {
	pools := subnet.NewPools()
	owners := woken(t, pools)
	pools.Block("nowhere", "shop/a")
	pools.Release("shop/a")
	pools.Wake("nowhere")
	if len(*owners) != 0 {
		t.Errorf("woken: %v", *owners)
	}
}

// Two subnets are full, and a third owner wants an address of either.
func TestWhoFindsAllSubnetsFullWaitsForEach(t *testing.T) {
	for _, free := range []string{"shop/a", "shop/b"} {
		pools, first, second := subnet.NewPools(), parsed(t, "first", oneAddress), parsed(t, "second", "10.21.0.0/30")
		both := map[string]subnet.Subnet{"shop/a": first, "shop/b": second}
		owners := woken(t, pools)
		for owner, s := range both {
			allocate(t, pools, s, ipam.Request{Owner: owner})
		}
		for _, s := range []subnet.Subnet{first, second} {
			for _, owner := range []string{"shop/c", "shop/d"} {
				if _, err := pools.Allocate(s, ipam.Request{Owner: owner}); !errors.Is(err, ipam.ErrFull) {
					t.Fatalf("a full subnet says %v", err)
				}
			}
		}
		pools.Release(free)
		if !slices.Equal(*owners, []string{"shop/c"}) {
			t.Fatalf("the end of %s wakes %v, want shop/c", free, *owners)
		}
		*owners = nil
		allocate(t, pools, both[free], ipam.Request{Owner: "shop/c"})
		other := map[string]string{"shop/a": "shop/b", "shop/b": "shop/a"}[free]
		pools.Release(other)
		if !slices.Equal(*owners, []string{"shop/d"}) {
			t.Errorf("the end of %s wakes %v: shop/c has what it wanted, and shop/d has not", other, *owners)
		}
	}
}

func TestAFullSubnetCostsNobodyHisAddress(t *testing.T) {
	pools, full, home := subnet.NewPools(), parsed(t, "full", oneAddress), parsed(t, "home", "10.21.0.0/24")
	allocate(t, pools, full, ipam.Request{Owner: "shop/a"})
	had := allocate(t, pools, home, ipam.Request{Owner: "shop/b"})
	if _, err := pools.Allocate(full, ipam.Request{Owner: "shop/b"}); !errors.Is(err, ipam.ErrFull) {
		t.Fatalf("a full subnet says %v", err)
	}
	if _, err := pools.Allocate(home, ipam.Request{Owner: "shop/c", Addrs: had.Addrs}); err == nil {
		t.Error("its address was given to another")
	}
}

func TestAnOwnerIsOnOneSubnetAtATime(t *testing.T) {
	pools, old, next := subnet.NewPools(), parsed(t, "old", oneAddress), parsed(t, "new", "10.21.0.0/24")
	allocate(t, pools, old, ipam.Request{Owner: "shop/a"})
	allocate(t, pools, next, ipam.Request{Owner: "shop/a"})
	if n := pools.InUse("old"); n != 0 {
		t.Errorf("%d addresses of the old subnet are still in use", n)
	}
	allocate(t, pools, old, ipam.Request{Owner: "shop/b"})
}

func TestReleaseOfTheUnknownIsNothing(_ *testing.T) {
	subnet.NewPools().Release("shop/nobody")
}

func TestDeletedSubnetWakesItsQueue(t *testing.T) {
	pools, s := subnet.NewPools(), parsed(t, "web", oneAddress)
	owners := woken(t, pools)
	allocate(t, pools, s, ipam.Request{Owner: "shop/a"})
	if _, err := pools.Allocate(s, ipam.Request{Owner: "shop/b"}); !errors.Is(err, ipam.ErrFull) {
		t.Fatalf("a full subnet says %v", err)
	}
	pools.Delete("web")
	if !slices.Contains(*owners, "shop/b") {
		t.Fatalf("woken: %v, and not shop/b", *owners)
	}
}

func TestNobodyGetsAnAddressBeforeTheRecordIsRead(t *testing.T) {
	pools := subnet.NewPools()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := pools.AwaitSeed(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("before Seeded, AwaitSeed says %v", err)
	}
	pools.Seeded()
	pools.Seeded()
	if err := pools.AwaitSeed(t.Context()); err != nil {
		t.Fatalf("after Seeded, AwaitSeed says %v", err)
	}
}
