package service_test

import (
	"testing"

	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
	"github.com/woven-cni/woven/pkg/service"
)

func TestPages(t *testing.T) {
	reconciletest.Golden(t, func(t *testing.T, c *reconciletest.Cluster, _ reconciletest.Page) reconcile.Feature[service.In] {
		feature, err := service.Feature(t.Context(), c, "ovn-cluster")
		if err != nil {
			t.Fatal(err)
		}
		return feature
	})
}
