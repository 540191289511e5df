package subnet_test

import (
	"strings"
	"testing"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/port"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
	"github.com/woven-cni/woven/pkg/subnet"
)

// Pages may have the options enable-lb, service-cidr, and in-use: "subnet:address" is given to somebody.
func TestPages(t *testing.T) {
	reconciletest.Golden(t, func(t *testing.T, c *reconciletest.Cluster, p reconciletest.Page) reconcile.Feature[subnet.Input] {
		settings := subnet.Settings{EnableLB: p.Option("enable-lb", "true") == "true"}
		if text := p.Option("service-cidr", ""); text != "" {
			settings.ServicePrefixes = reconciletest.Prefixes(t, text)
		}
		env := c.Env(t, p, settings)
		for _, obj := range p.Objects {
			name, addr, _ := strings.Cut(p.Option("in-use", ""), ":")
			if s, ok := obj.(*v1.Subnet); ok && s.Name == name {
				give(t, pool.PoolsOf(env), s, addr)
			}
		}
		return subnet.New(env)
	})
}

func give(t *testing.T, pools *pool.Pools, obj *v1.Subnet, addr string) {
	t.Helper()
	s, why := subnet.Read(obj, "ovn-cluster")
	if why != "" {
		t.Fatal(why)
	}
	addrs, err := ipam.ParseAddrs(addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pools.Allocate(s.Pool(), pool.Request{Owner: port.First(ovs.Owner{Feature: "pod", Key: "shop/web-0"}), Addrs: addrs}); err != nil {
		t.Fatal(err)
	}
}
