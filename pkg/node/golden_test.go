package node_test

import (
	"testing"

	"github.com/woven-cni/woven/pkg/node"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
)

func TestPages(t *testing.T) {
	reconciletest.Golden(t, func(t *testing.T, c *reconciletest.Cluster, p reconciletest.Page) reconcile.Feature[node.Input] {
		pools := pool.New()
		pools.Seeded()
		_, addresses := reconciletest.Addresses(t, c, p)
		return node.Feature(c, pools, node.Config{DefaultVpc: "ovn-cluster", JoinSubnet: "join", Addresses: addresses, Events: &c.Events})
	})
}
