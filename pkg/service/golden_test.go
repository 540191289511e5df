package service_test

import (
	"testing"

	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
	"github.com/woven-cni/woven/pkg/service"
)

func TestPages(t *testing.T) {
	reconciletest.Golden(t, func(t *testing.T, c *reconciletest.Cluster, p reconciletest.Page) reconcile.Feature[service.Input] {
		return service.New(c.Env(t, p))
	})
}

func TestVariablesPages(t *testing.T) {
	reconciletest.GoldenIn(t, "testdata/variables",
		func(t *testing.T, c *reconciletest.Cluster, p reconciletest.Page) reconcile.Feature[service.VariablesIn] {
			return service.NewVariables(c.Env(t, p))
		})
}
