package central

import (
	"context"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// watchAgain is how long to wait when the API server does not answer.
const watchAgain = time.Second

// watch tells when objects of a list change, without saying which: many changes make one notice. It lasts through
// restarts of the API server, until it is stopped.
func (m *Member) watch(ctx context.Context, list client.ObjectList, which client.ListOption) (<-chan struct{}, func()) {
	ctx, cancel := context.WithCancel(ctx)
	changed := make(chan struct{}, 1)
	notify := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			w, err := m.Client.Watch(ctx, list, client.InNamespace(m.Namespace), which)
			if err != nil {
				m.Log.V(1).Info("cannot watch", "why", err.Error())
				select {
				case <-time.After(watchAgain):
				case <-ctx.Done():
				}
				continue
			}
			stop := context.AfterFunc(ctx, w.Stop)
			notify() // whatever happened since the last watch
			for range w.ResultChan() {
				notify()
			}
			stop()
			w.Stop()
		}
	})
	return changed, func() { cancel(); running.Wait() }
}
