package vpc_test

import (
	"testing"

	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
	"github.com/woven-cni/woven/pkg/spec"
	"github.com/woven-cni/woven/pkg/vpc"
)

func TestPages(t *testing.T) {
	reconciletest.Golden(t, func(t *testing.T, c *reconciletest.Cluster, p reconciletest.Page) reconcile.Feature[vpc.Input] {
		return vpc.New(c.Env(t, p, spec.Defaults{
			Vpc: p.Option("default-vpc", "ovn-cluster"), Subnet: "ovn-default", Join: p.Option("join-subnet", "join"),
		}))
	})
}
