package namespace_test

import (
	"testing"

	"github.com/woven-cni/woven/pkg/namespace"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
	"github.com/woven-cni/woven/pkg/subnet"
)

func TestPages(t *testing.T) {
	reconciletest.Golden(t, func(t *testing.T, c *reconciletest.Cluster, _ reconciletest.Page) reconcile.Feature[namespace.In] {
		chooser, err := subnet.NewChooser(t.Context(), c, c, subnet.Names{DefaultVpc: "ovn-cluster", DefaultSubnet: "ovn-default", Join: "join"})
		if err != nil {
			t.Fatal(err)
		}
		return namespace.Feature(c, chooser)
	})
}
