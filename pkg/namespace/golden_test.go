package namespace_test

import (
	"testing"

	"github.com/woven-cni/woven/pkg/namespace"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
)

func TestPages(t *testing.T) {
	reconciletest.Golden(t, func(t *testing.T, c *reconciletest.Cluster, page reconciletest.Page) reconcile.Feature[namespace.Input] {
		page.Judge()
		return namespace.New(c.Env(t, page))
	})
}
