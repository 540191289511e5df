package reconcile

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// longWait is how long an object waits before anybody is told: most waits are over in a moment.
const longWait = time.Second

// LongWaits knows since when objects wait, and has those looked at again that wait for long. The zero value is ready.
type LongWaits struct {
	feed  Feed
	mu    sync.Mutex // protects since
	since map[types.NamespacedName]time.Time
}

// Long says of an object that waits whether it has done so for long. One that has not is looked at again.
func (w *LongWaits) Long(key types.NamespacedName) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	since, waits := w.since[key]
	if !waits {
		since = time.Now()
		if w.since == nil {
			w.since = map[types.NamespacedName]time.Time{}
		}
		w.since[key] = since
	}
	if time.Since(since) >= longWait {
		return true
	}
	w.feed.Add(Key(key))
	return false
}

// End says that an object waits no more.
func (w *LongWaits) End(key types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.since, key)
}

// Source is where the keys come from.
func (w *LongWaits) Source() source.Source {
	return &FeedSource{Feed: &w.feed, Enqueue: QueueAfter(longWait)}
}
