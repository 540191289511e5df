package pod_test

import (
	"testing"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/group"
	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/pod"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
	"github.com/woven-cni/woven/pkg/subnet"
)

// The pods of a page are given addresses in the order in which they are on it. The option held is an address that a pod,
// by, has already of a subnet, in; for says of which UID the pod was then.
func TestPages(t *testing.T) {
	reconciletest.Golden(t, func(t *testing.T, c *reconciletest.Cluster, page reconciletest.Page) reconcile.Feature[pod.Input] {
		page.Judge()
		env := c.Env(t, page)
		setAside(t, pool.PoolsOf(env), page)
		if page.Option("held", "") != "" {
			hold(t, pool.PoolsOf(env), page)
		}
		groups := group.RegistryOf(env)
		for _, name := range []string{"shop", "lab", "rest"} {
			groups.SetNamespace(name, nil)
		}
		return pod.New(env)
	})
}

// setAside puts the IPPools of a page in force.
func setAside(t *testing.T, pools *pool.Pools, page reconciletest.Page) {
	t.Helper()
	subnets := map[string]subnet.Subnet{}
	for _, obj := range page.Objects {
		if s, is := obj.(*v1.Subnet); is {
			subnets[s.Name], _ = subnet.Read(s, "ovn-cluster")
		}
	}
	for _, obj := range page.Objects {
		p, is := obj.(*v1.IPPool)
		if !is {
			continue
		}
		ranges, err := ipam.ParsePart(p.Spec.IPs)
		if err != nil {
			t.Fatal(err)
		}
		if rivals := pools.SetIPPool(subnets[p.Spec.Subnet].Pool(), p.Name, ranges); len(rivals) > 0 {
			t.Fatal(rivals)
		}
	}
}

func hold(t *testing.T, pools *pool.Pools, page reconciletest.Page) {
	t.Helper()
	addrs, err := ipam.ParseAddrs(page.Option("held", ""))
	if err != nil {
		t.Fatal(err)
	}
	for _, obj := range page.Objects {
		object, ok := obj.(*v1.Subnet)
		if !ok || object.Name != page.Option("in", "ovn-default") {
			continue
		}
		s, problems := subnet.Parse(object, "ovn-cluster")
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		owner := pod.PortKey(reconcile.ParseKey(page.Option("by", "shop/web-0")))
		if _, err := pools.Allocate(s.Pool(), pool.Request{Owner: owner, Addrs: addrs}); err != nil {
			t.Fatal(err)
		}
		pools.Bind(owner, page.Option("for", ""))
	}
}
