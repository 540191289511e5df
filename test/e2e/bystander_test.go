//go:build e2e

package e2e

import (
	"testing"
	"time"

	"github.com/woven-cni/woven/test/e2e/framework"
)

// Pods that come and go beside others take nothing from them.
func TestBystanders(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	caller, near, far := echoes(ns)
	observe := func(t *testing.T, meanwhile func(ns *framework.Namespace)) (near1, far1 framework.StreamReport) {
		ns := ns.For(t)
		onNode, between := ns.Stream("udp", caller, near, pace), ns.Stream("udp", caller, far, pace)
		meanwhile(ns)
		near1, far1 = onNode.Stop(), between.Stop()
		t.Logf("lost on the node %d of %d, between nodes %d of %d", near1.Lost(), near1.Sent, far1.Lost(), far1.Sent)
		return near1, far1
	}
	t.Run("nobody comes or goes", func(t *testing.T) {
		onNode, between := observe(t, func(*framework.Namespace) {
			// Not a wait for something: this is how long nothing shall happen.
			time.Sleep(15 * time.Second)
		})
		if onNode.Lost()+between.Lost() > 0 {
			t.Error("datagrams are lost although nothing happens")
		}
	})
	t.Run("pods come and go", func(t *testing.T) {
		onNode, between := observe(t, func(ns *framework.Namespace) {
			for range 4 {
				a, b := framework.Server("a", framework.On(here)), framework.Server("b", framework.On(there))
				ns.Start(a, b)
				ns.Stop(a)
				ns.Stop(b)
			}
		})
		if onNode.Lost() > 0 {
			t.Errorf("on the node, datagrams %v are lost", onNode.Missing)
		}
		// The userspace datapath is without routes for its tunnels for milliseconds whenever a link comes or goes, see
		// docs/troubleshooting.md. More than one in fifty would be something else.
		if between.Lost() > between.Sent/50 {
			t.Errorf("between nodes, datagrams %v are lost", between.Missing)
		}
	})
}
