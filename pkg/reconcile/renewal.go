package reconcile

import (
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// renewal is how long after an Event it is told again that what it tells of goes on. The API server keeps Events for an hour
// unless it is told otherwise (--event-ttl).
const renewal = 30 * time.Minute

// Renewal has objects looked at again before the Events about them are forgotten, so that what goes on is told again. It is for
// objects that have no condition of ours, and no look at them does more than that.
type Renewal struct{ feed Feed }

// Told says that an Event was left on the object of a key.
func (r *Renewal) Told(key types.NamespacedName) { r.feed.Add(Key(key)) }

// Source is where the keys come from.
func (r *Renewal) Source() source.Source {
	return &FeedSource{Feed: &r.feed, Enqueue: QueueAfter(renewal)}
}
