package main

import (
	"context"
	"fmt"
	"time"

	"github.com/woven-cni/woven/test/e2e/framework"
)

// answers tells since when calls to an address are answered, or are not.
type answers struct {
	news   chan framework.Change // the latest that nobody has looked at
	latest framework.Change
}

// call has the client call an address until ctx ends.
func (b *bench) call(ctx context.Context, address string) *answers {
	a := &answers{news: make(chan framework.Change, 1)}
	go b.background(func() error { return b.WatchAnswers(ctx, b.client, address, pace, a.tell) })
	return a
}

func (a *answers) tell(c framework.Change) {
	select {
	case <-a.news: // outdated
	default:
	}
	a.news <- c
}

// await waits until calls are answered, or are not, and tells since when.
func (a *answers) await(ctx context.Context, answered bool) (time.Time, error) {
	const patience = 30 * time.Second
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("answers did not become %t in %s", answered, patience))
	defer cancel()
	for a.latest.Answered != answered {
		select {
		case a.latest = <-a.news:
		case <-ctx.Done():
			return time.Time{}, context.Cause(ctx)
		}
	}
	return a.latest.At, nil
}
