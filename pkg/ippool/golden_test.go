package ippool_test

import (
	"strings"
	"testing"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/ippool"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/port"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
	"github.com/woven-cni/woven/pkg/subnet"
)

// Pages may have the options in-force, "pool:first..last" that was accepted before, and in-use, an address that pod shop/web-0
// has; both are of the page's last Subnet.
func TestPages(t *testing.T) {
	reconciletest.Golden(t, func(t *testing.T, c *reconciletest.Cluster, p reconciletest.Page) reconcile.Feature[ippool.Input] {
		p.Judge()
		env := c.Env(t, p)
		for _, obj := range p.Objects {
			if s, is := obj.(*v1.Subnet); is {
				prepare(t, pool.PoolsOf(env), p, s)
			}
		}
		return ippool.New(env)
	})
}

func prepare(t *testing.T, pools *pool.Pools, p reconciletest.Page, obj *v1.Subnet) {
	t.Helper()
	s, why := subnet.Read(obj, "ovn-cluster")
	if why != "" {
		t.Fatal(why)
	}
	if name, text, ok := strings.Cut(p.Option("in-force", ""), ":"); ok {
		ranges, err := ipam.ParsePart([]string{text})
		if err != nil {
			t.Fatal(err)
		}
		if rivals := pools.SetIPPool(s.Pool(), name, ranges); len(rivals) > 0 {
			t.Fatal(rivals)
		}
	}
	if text := p.Option("in-use", ""); text != "" {
		addrs, err := ipam.ParseAddrs(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pools.Allocate(s.Pool(), pool.Request{Owner: port.First(ovs.Owner{Feature: "pod", Key: "shop/web-0"}), Addrs: addrs}); err != nil {
			t.Fatal(err)
		}
	}
}
