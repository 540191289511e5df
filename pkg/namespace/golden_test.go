package namespace_test

import (
	"testing"

	"github.com/woven-cni/woven/pkg/namespace"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
	"github.com/woven-cni/woven/pkg/subnet"
)

func TestPages(t *testing.T) {
	reconciletest.Golden(t, func(t *testing.T, c *reconciletest.Cluster, page reconciletest.Page) reconcile.Feature[namespace.Input] {
		page.Judge()
		chooser, err := pool.NewChooser(t.Context(), c, c, "ovn-default")
		if err != nil {
			t.Fatal(err)
		}
		return namespace.Feature(c, chooser, subnet.Finder{Reader: c, Names: subnet.Names{DefaultVpc: "ovn-cluster", Join: "join"}})
	})
}
