package node_test

import (
	"testing"

	"github.com/woven-cni/woven/pkg/node"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
)

func TestPages(t *testing.T) {
	reconciletest.Golden(t, func(t *testing.T, c *reconciletest.Cluster, p reconciletest.Page) reconcile.Feature[node.Input] {
		return node.New(c.Env(t, p))
	})
}
