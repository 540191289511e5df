package reconciletest

import (
	"fmt"
	"strings"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Reads is how many objects of the type of like controllers have read from their caches, one by one or in lists.
func (c *Cluster) Reads(like client.Object) int { return int(c.readsOf(like).Load()) }

// read counts what was read into an object or a list.
func (c *Cluster) read(into runtime.Object, objects int) { c.readsOf(into).Add(int64(objects)) }

func (c *Cluster) readsOf(like runtime.Object) *atomic.Int64 {
	n, _ := c.reads.LoadOrStore(strings.TrimSuffix(fmt.Sprintf("%T", like), "List"), &atomic.Int64{})
	return n.(*atomic.Int64)
}
