package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// follower notes when objects are as awaited. framework.Await looks at all objects at every change, which is too much for
// thousands.
type follower struct {
	seen    map[string]time.Time
	changed chan string // names of objects that are as awaited; closed at the end
	err     error       // of the end
	stop    context.CancelFunc
}

// follow begins to watch objects. The watch ends with await, or with ctx.
func (l *load) follow(ctx context.Context, list client.ObjectList, done func(client.Object) bool, opts ...client.ListOption) *follower {
	ctx, stop := context.WithCancel(ctx)
	f := &follower{seen: map[string]time.Time{}, changed: make(chan string, 1024), stop: stop}
	go func() {
		defer close(f.changed)
		for ctx.Err() == nil && f.err == nil {
			f.err = l.followOnce(ctx, list, func(obj client.Object) {
				if !done(obj) {
					return
				}
				select {
				case f.changed <- obj.GetName():
				case <-ctx.Done():
				}
			}, opts)
		}
	}()
	return f
}

// followOnce lists and watches until the API server ends the watch, as it does now and then.
func (l *load) followOnce(ctx context.Context, list client.ObjectList, look func(client.Object), opts []client.ListOption) error {
	if err := l.List(ctx, list, opts...); err != nil {
		return fmt.Errorf("listing: %w", err)
	}
	err := meta.EachListItem(list, func(item runtime.Object) error {
		look(item.(client.Object))
		return nil
	})
	if err != nil {
		return err
	}
	from := &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: list.GetResourceVersion()}}
	w, err := l.Watch(ctx, list, append(slices.Clone(opts), from)...)
	if err != nil {
		return fmt.Errorf("watching: %w", err)
	}
	defer w.Stop()
	for event := range w.ResultChan() {
		obj, ok := event.Object.(client.Object)
		if !ok || event.Type == watch.Error {
			return nil
		}
		if event.Type != watch.Deleted {
			look(obj)
		}
	}
	return nil
}

// await waits until n objects are as awaited, and tells when each was seen so first.
func (f *follower) await(ctx context.Context, n int) (map[string]time.Time, error) {
	defer f.stop()
	for len(f.seen) < n {
		select {
		case name, open := <-f.changed:
			if !open {
				return nil, fmt.Errorf("%d of %d are as awaited: %w", len(f.seen), n, f.err)
			}
			if f.seen[name].IsZero() {
				f.seen[name] = time.Now()
			}
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d are as awaited: %w", len(f.seen), n, context.Cause(ctx))
		}
	}
	return f.seen, nil
}

func last(seen map[string]time.Time) time.Time {
	var latest time.Time
	for _, at := range seen {
		if at.After(latest) {
			latest = at
		}
	}
	return latest
}

// gone waits until a list is empty.
func (l *load) gone(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	for {
		if err := l.List(ctx, list, opts...); err != nil {
			return fmt.Errorf("listing: %w", err)
		}
		left := meta.LenList(list)
		if left == 0 {
			return nil
		}
		from := &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: list.GetResourceVersion()}}
		w, err := l.Watch(ctx, list, append(slices.Clone(opts), from)...)
		if err != nil {
			return fmt.Errorf("watching: %w", err)
		}
		for event := range w.ResultChan() {
			if event.Type == watch.Deleted {
				left--
			}
			if left == 0 || event.Type == watch.Error {
				break
			}
		}
		w.Stop()
		if ctx.Err() != nil {
			return fmt.Errorf("%d are left: %w", left, context.Cause(ctx))
		}
	}
}
