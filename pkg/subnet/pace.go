package subnet

import (
	"context"
	"maps"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
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

// whenUsage looks at a Subnet whose usage has changed when it is its turn to be written. One that is being deleted goes with its last
// user, and has no turn to wait for.
func (f *feature) whenUsage(queue workqueue.TypedRateLimitingInterface[ctrl.Request], subnet string) {
	request := reconcile.Request(subnet)
	var obj v1.Subnet
	if f.client.Get(context.Background(), request.NamespacedName, &obj) == nil && obj.DeletionTimestamp != nil {
		queue.AddAfter(request, usageDelay)
		return
	}
	queue.AddAfter(request, f.usage.wait(subnet, time.Now()))
}

// wait is how long from now it is until a Subnet's turn. One that waits already keeps its turn: the write to come has the news, too. It is
// to be put into the queue nevertheless, which may have had a look at the Subnet before, for something else, and has it no more.
func (p *pace) wait(subnet string, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if due := p.due[subnet]; due.After(now) {
		return due.Sub(now)
	}
	maps.DeleteFunc(p.due, func(_ string, at time.Time) bool { return !at.After(now) })
	at := now.Add(usageDelay)
	if free := p.last.Add(usageInterval); free.After(at) {
		at = free
	}
	p.due[subnet], p.last = at, at
	return at.Sub(now)
}
