package reconcile

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/woven-cni/woven/pkg/ovs/engine"
)

// dirtySource feeds a queue with the owners that the database says need another look: all of them when a session
// begins (which is how rows of objects deleted while nobody watched are found), one when its rows drift or when a row
// it waited for appears.
type dirtySource struct {
	db      *engine.DB
	feature string
	drifted *sync.Map
	// contests says how long rows that drift wait.
	contests *contests
}

// Start implements source.Source.
func (s *dirtySource) Start(ctx context.Context, queue workqueue.TypedRateLimitingInterface[ctrl.Request]) error {
	dirty := s.db.Dirty(s.feature)
	go func() {
		for {
			d, err := dirty.Get(ctx)
			if err != nil {
				return // the manager stops
			}
			req := ctrl.Request{NamespacedName: ParseKey(d.Owner.Key)}
			var pause time.Duration
			if d.Cause == engine.CauseDrift {
				s.drifted.Store(req, d.Details)
				pause = s.contests.pause(req, time.Now())
			}
			queue.AddAfter(req, pause)
		}
	}()
	return nil
}

// WaitForSync holds the first reconcile back until the database's content is known.
func (s *dirtySource) WaitForSync(ctx context.Context) error {
	select {
	case <-s.db.Ready():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the OVN northbound database: %w", ctx.Err())
	}
}

// String names the source in controller-runtime's logs.
func (s *dirtySource) String() string { return "dirty owners of " + s.feature }
