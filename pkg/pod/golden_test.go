package pod_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/group"
	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/pod"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
	"github.com/woven-cni/woven/pkg/subnet"
)

// The pods of a page are given addresses in the order in which they are on it. The option held is an address of the
// default subnet that pod web-0 has already.
func TestPages(t *testing.T) {
	reconciletest.Golden(t, func(t *testing.T, c *reconciletest.Cluster, page reconciletest.Page) reconcile.Feature[pod.In] {
		chooser, err := subnet.NewChooser(t.Context(), c, c, "ovn-cluster", "ovn-default")
		if err != nil {
			t.Fatal(err)
		}
		pools := subnet.NewPools()
		if held := page.Option("held", ""); held != "" {
			hold(t, pools, held)
		}
		pools.Seeded()
		groups := group.NewRegistry()
		for _, name := range []string{"shop", "lab", "rest"} {
			groups.SetNamespace(name, nil)
		}
		groups.Seeded()
		return pod.Feature(pod.Parts{Client: c, Chooser: chooser, Pools: pools, Groups: groups, Events: &c.Events})
	})
}

func hold(t *testing.T, pools *subnet.Pools, address string) {
	t.Helper()
	s, problems := subnet.Parse(&v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: "ovn-default"}, Spec: v1.SubnetSpec{CIDRBlock: "10.16.0.0/16"}}, "ovn-cluster")
	addrs, err := ipam.ParseAddrs(address)
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	if _, err := pools.Allocate(s, ipam.Request{Owner: "shop/web-0", Addrs: addrs}); err != nil {
		t.Fatal(err)
	}
}
