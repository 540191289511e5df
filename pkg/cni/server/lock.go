package server

import (
	"context"
	"errors"
	"sync"
)

// keyLocks are mutexes by key that can be waited for no longer than a context lasts.
type keyLocks struct {
	mu    sync.Mutex // protects held; never held while waiting
	held  map[string]chan struct{}
	users map[string]int
}

func newKeyLocks() *keyLocks {
	return &keyLocks{held: map[string]chan struct{}{}, users: map[string]int{}}
}

// lock waits for a key and returns what gives it back.
func (l *keyLocks) lock(ctx context.Context, key string) (unlock func(), err error) {
	l.mu.Lock()
	token := l.held[key]
	if token == nil {
		token = make(chan struct{}, 1)
		l.held[key] = token
	}
	l.users[key]++
	l.mu.Unlock()

	leave := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.users[key]--; l.users[key] == 0 {
			delete(l.users, key)
			delete(l.held, key)
		}
	}
	select {
	case token <- struct{}{}:
		return func() { <-token; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, context.Cause(ctx)
	}
}

// errSuperseded ends the ADD of a sandbox when the pod's next sandbox arrives.
var errSuperseded = errors.New("a newer sandbox of the pod took its place")

// claims knows which sandbox of each pod is being attached right now.
type claims struct {
	mu    sync.Mutex // protects byPod
	byPod map[string]*claim
}

type claim struct {
	containerID string
	cancel      context.CancelCauseFunc
}

func newClaims() *claims { return &claims{byPod: map[string]*claim{}} }

// take makes a sandbox the one of its pod and ends the attachment of another sandbox that is still under way.
func (c *claims) take(ctx context.Context, pod, containerID string) (claimed context.Context, release func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	mine := &claim{containerID: containerID, cancel: cancel}
	c.mu.Lock()
	defer c.mu.Unlock()
	if other := c.byPod[pod]; other != nil && other.containerID != containerID {
		other.cancel(errSuperseded)
	}
	c.byPod[pod] = mine
	return ctx, func() {
		cancel(nil)
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.byPod[pod] == mine {
			delete(c.byPod, pod)
		}
	}
}

// undo is a stack of what takes back the steps done so far. It is written before the work: each step pushes its undo,
// and unless the whole is kept, all of them run, the last first.
type undo struct{ steps []func(context.Context) error }

func (u *undo) push(step func(context.Context) error) { u.steps = append(u.steps, step) }

// keep forgets the steps: the work is whole.
func (u *undo) keep() { u.steps = nil }

// run takes back what was not kept. It goes on after a failure.
func (u *undo) run(ctx context.Context) error {
	var errs []error
	for i := len(u.steps) - 1; i >= 0; i-- {
		errs = append(errs, u.steps[i](ctx))
	}
	u.steps = nil
	return errors.Join(errs...)
}
