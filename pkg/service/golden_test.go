package service_test

import (
	"testing"

	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
	"github.com/woven-cni/woven/pkg/service"
)

func TestPages(t *testing.T) {
	reconciletest.Golden(t, func(t *testing.T, c *reconciletest.Cluster, p reconciletest.Page) reconcile.Feature[service.Input] {
		index(t, c)
		_, addresses := reconciletest.Addresses(t, c, p)
		return service.Feature(c, service.Config{Addresses: addresses, DefaultVpc: "ovn-cluster", Events: &c.Events})
	})
}

func TestVariablesPages(t *testing.T) {
	reconciletest.GoldenIn(t, "testdata/variables",
		func(t *testing.T, c *reconciletest.Cluster, _ reconciletest.Page) reconcile.Feature[service.VariablesIn] {
			index(t, c)
			return service.Variables(c)
		})
}

func index(t *testing.T, c *reconciletest.Cluster) {
	t.Helper()
	if err := service.Index(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}
