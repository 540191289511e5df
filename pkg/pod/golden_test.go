package pod_test

import (
	"testing"

	"github.com/woven-cni/woven/pkg/group"
	"github.com/woven-cni/woven/pkg/pod"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
	"github.com/woven-cni/woven/pkg/subnet"
)

// The pods of a page are given addresses in the order in which they are on it.
func TestPages(t *testing.T) {
	reconciletest.Golden(t, func(t *testing.T, c *reconciletest.Cluster, _ reconciletest.Page) reconcile.Feature[pod.In] {
		chooser, err := subnet.NewChooser(t.Context(), c, c, "ovn-cluster", "ovn-default")
		if err != nil {
			t.Fatal(err)
		}
		pools := subnet.NewPools()
		pools.Seeded()
		groups := group.NewRegistry()
		for _, name := range []string{"shop", "lab", "rest"} {
			groups.SetNamespace(name, nil)
		}
		groups.Seeded()
		return pod.Feature(pod.Parts{Client: c, Chooser: chooser, Pools: pools, Groups: groups, Events: &c.Events})
	})
}
