package server

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/woven-cni/woven/pkg/host/hosttest"
)

// Pods that come while the daemon tidies up keep what they are given.
func TestSweepLeavesAddsAlone(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	const pods = 40
	var calls, sweeps sync.WaitGroup
	done := make(chan struct{})
	sweeps.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			if err := b.Sweep(ctx); err != nil {
				t.Errorf("sweeping: %v", err)
				return
			}
		}
	})
	for i := range pods {
		pod := fmt.Sprintf("web-%d", i)
		b.pod(pod, pod+"-uid")
		path, _ := hosttest.NetNS(t)
		calls.Go(func() {
			if _, refusal := b.call(ctx, b.request("ADD", "c"+pod, pod, path)); refusal != nil {
				t.Errorf("ADD of %s: %v", pod, refusal)
			}
		})
	}
	calls.Wait()
	close(done)
	sweeps.Wait()
	b.wantCounts(pods, pods)
}
