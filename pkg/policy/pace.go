package policy

import (
	"sync"
	"time"
)

const (
	// countDelay gathers the pods that come and go together, and countPeriod is how long the next count of the same policy waits
	// when they go on to come and go: each is a write to a user's object, and to the API server's log.
	countDelay  = time.Second
	countPeriod = 10 * time.Second
)

// pace is when the status of each policy is written next because it has other pods. The zero value is ready.
type pace struct {
	mu  sync.Mutex // protects due
	due map[string]time.Time
}

// next is how long a policy waits whose subject has other pods than before.
func (p *pace) next(key string, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	due, known := p.due[key]
	if !due.After(now) {
		if again := due.Add(countPeriod); known && again.After(now.Add(countDelay)) {
			due = again
		} else {
			due = now.Add(countDelay)
		}
	}
	if p.due == nil {
		p.due = map[string]time.Time{}
	}
	p.due[key] = due
	return due.Sub(now)
}

// forget drops what is known of a policy that has gone.
func (p *pace) forget(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.due, key)
}
