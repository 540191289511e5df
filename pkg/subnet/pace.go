package subnet

import (
	"maps"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/woven-cni/woven/pkg/reconcile"
)

const (
	// usageDelay gathers the changes of a Subnet's usage: a burst of a thousand pods costs a write a second, not a thousand.
	usageDelay = time.Second
	// usageInterval is between two such writes, of whatever Subnets. The API server sends each to all nodes, and to read it is all that a
	// pod on another node costs a node: docs/adr/0012 has the figures.
	usageInterval = 100 * time.Millisecond
)

// pace says when the usage of Subnets is written. A few Subnets whose pods come and go have it written every usageDelay; the more
// they are, the less often each.
type pace struct {
	mu   sync.Mutex           // protects what follows
	due  map[string]time.Time // when the usage of a Subnet will be written, by its name
	last time.Time            // the latest of all
}

func newPace() *pace { return &pace{due: map[string]time.Time{}} }

// enqueue puts a Subnet whose usage has changed into the queue, for when it is its turn to be written.
func (p *pace) enqueue(queue workqueue.TypedRateLimitingInterface[ctrl.Request], subnet string) {
	if wait, ok := p.next(subnet, time.Now()); ok {
		queue.AddAfter(reconcile.Request(subnet), wait)
	}
}

// next is how long from now a Subnet waits for its turn; false if it waits already, so that the write to come has the news, too.
func (p *pace) next(subnet string, now time.Time) (time.Duration, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.due[subnet].After(now) {
		return 0, false
	}
	maps.DeleteFunc(p.due, func(_ string, at time.Time) bool { return !at.After(now) })
	at := now.Add(usageDelay)
	if free := p.last.Add(usageInterval); free.After(at) {
		at = free
	}
	p.due[subnet], p.last = at, at
	return at.Sub(now), true
}
