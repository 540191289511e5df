package reconcile

import (
	"maps"
	"sync"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
)

// A row that was changed by hand is put back at once. A row that is changed again and again has another writer, against whom
// nobody can win: each time it is put back later, until it has not been changed for a while.
const (
	healedAtOnce = 3 // times
	firstPause   = 200 * time.Millisecond
	longestPause = time.Minute
	calm         = 3 * longestPause
)

// contests remember which rows have been put back lately, by the key of their owner.
type contests struct {
	mu   sync.Mutex // protects keys; held only for look-ups
	keys map[ctrl.Request]contest
}

type contest struct {
	heals int
	last  time.Time
}

// pause is how long to wait before rows that have changed are put back.
func (c *contests) pause(key ctrl.Request, now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	one := c.keys[key]
	if one.heals < healedAtOnce || now.Sub(one.last) > calm {
		return 0
	}
	return min(firstPause<<min(one.heals-healedAtOnce, 20), longestPause) //nolint:mnd // far more than the longest
}

// healed counts that rows were put back, and says how often that has been so without a while of calm.
func (c *contests) healed(key ctrl.Request, now time.Time) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.keys, func(_ ctrl.Request, one contest) bool { return now.Sub(one.last) > calm })
	if c.keys == nil {
		c.keys = map[ctrl.Request]contest{}
	}
	heals := c.keys[key].heals + 1
	c.keys[key] = contest{heals: heals, last: now}
	return heals
}
