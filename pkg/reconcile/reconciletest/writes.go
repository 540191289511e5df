package reconciletest

import (
	"context"
	"fmt"
	"sync/atomic"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Writes is how often objects of the type of like were updated, patched or deleted, their statuses among that.
func (c *Cluster) Writes(like client.Object) int {
	n, _ := c.writes.LoadOrStore(fmt.Sprintf("%T", like), &atomic.Int64{})
	return int(n.(*atomic.Int64).Load())
}

func (c *Cluster) count(obj client.Object) {
	n, _ := c.writes.LoadOrStore(fmt.Sprintf("%T", obj), &atomic.Int64{})
	n.(*atomic.Int64).Add(1)
}

// Status implements client.StatusClient; it counts what is written.
func (c *Cluster) Status() client.SubResourceWriter { return &status{c.WithWatch.Status(), c} }

type status struct {
	client.SubResourceWriter
	cluster *Cluster
}

// Patch implements client.SubResourceWriter.
func (s *status) Patch(ctx context.Context, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
	s.cluster.count(obj)
	return s.SubResourceWriter.Patch(ctx, obj, patch, opts...)
}
