package vpc_test

import (
	"testing"

	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
	"github.com/woven-cni/woven/pkg/vpc"
)

func TestPages(t *testing.T) {
	reconciletest.Golden(t, func(_ *testing.T, c *reconciletest.Cluster, p reconciletest.Page) reconcile.Feature[vpc.Input] {
		return vpc.Feature(vpc.Defaults{
			Vpc: p.Option("default-vpc", "ovn-cluster"), Subnet: "ovn-default", Join: p.Option("join-subnet", "join"),
		})
	})
}
