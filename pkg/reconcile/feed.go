package reconcile

import (
	"context"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// Feed hands keys to the queues of controllers. The zero Feed has no queues; what it is given before it has one, each
// queue gets when it comes.
type Feed struct {
	mu    sync.Mutex // protects following
	sinks []func(key string)
	early []string
}

// Add puts keys into all queues. It never blocks, and may be called with locks held.
func (f *Feed) Add(keys ...string) {
	if len(keys) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.sinks) == 0 {
		f.early = append(f.early, keys...)
	}
	for _, key := range keys {
		for _, sink := range f.sinks {
			sink(key)
		}
	}
}

var _ source.Source = (*FeedSource)(nil)

// FeedSource is a Feed as the source of one controller's keys.
type FeedSource struct {
	Feed *Feed
	// Enqueue puts a key into the queue, if it is one for this controller.
	Enqueue func(queue workqueue.TypedRateLimitingInterface[ctrl.Request], key string)
}

// Start implements source.Source.
func (s *FeedSource) Start(_ context.Context, queue workqueue.TypedRateLimitingInterface[ctrl.Request]) error {
	s.Feed.mu.Lock()
	defer s.Feed.mu.Unlock()
	s.Feed.sinks = append(s.Feed.sinks, func(key string) { s.Enqueue(queue, key) })
	for _, key := range s.Feed.early {
		s.Enqueue(queue, key)
	}
	return nil
}

// Queue enqueues every key at once.
func Queue(queue workqueue.TypedRateLimitingInterface[ctrl.Request], key string) {
	queue.Add(Request(key))
}

// QueueAfter enqueues every key after a while, in which more of the same make no difference.
func QueueAfter(d time.Duration) func(workqueue.TypedRateLimitingInterface[ctrl.Request], string) {
	return func(queue workqueue.TypedRateLimitingInterface[ctrl.Request], key string) {
		queue.AddAfter(Request(key), d)
	}
}

// Request is a key as a queue wants it.
func Request(key string) ctrl.Request { return ctrl.Request{NamespacedName: ParseKey(key)} }
