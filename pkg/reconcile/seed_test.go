package reconcile

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// changing is a database whose session ends while the Seeds read it.
type changing struct {
	ready   chan struct{}
	session uint64
}

func (c *changing) Ready() <-chan struct{} { return c.ready }
func (c *changing) Connected() bool        { return true }
func (c *changing) Session() uint64        { return c.session }

// seeding is a phase with three Seeds, of which the second is given, and what has run of it.
func seeding(second func(context.Context, *changing) error) (phase *seeds, db *changing, run func() []string) {
	db = &changing{ready: make(chan struct{})}
	var ran []string
	phase = newSeeds(db)
	for _, name := range []string{"first", "second", "third"} {
		phase.all = append(phase.all, seed{feature: name, run: func(ctx context.Context) error {
			ran = append(ran, name)
			if name == "second" {
				return second(ctx, db)
			}
			return nil
		}})
	}
	return phase, db, func() []string { return ran }
}

// ended says whether the phase has ended well.
func ended(s *seeds) bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// TestSeeds is each way in which the phase can end: only after all Seeds, in their order and on one state of the database,
// may any key be looked at.
func TestSeeds(t *testing.T) {
	for name, tc := range map[string]struct {
		second func(context.Context, *changing) error
		ran    string
		over   bool
		err    string // part of the error that the process ends with
	}{
		"well": {
			second: func(context.Context, *changing) error { return nil },
			ran:    "first second third", over: true,
		},
		"an error": {
			second: func(context.Context, *changing) error { return errors.New("no list") },
			ran:    "first second", err: "seeding second: no list",
		},
		"the database goes away": {
			second: func(_ context.Context, db *changing) error { db.session++; return nil },
			ran:    "first second third", err: "went away",
		},
	} {
		t.Run(name, func(t *testing.T) {
			phase, db, ran := seeding(tc.second)
			close(db.ready)
			err := phase.Start(t.Context())
			if tc.err == "" && err != nil || tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)) {
				t.Errorf("it ends with %v, want %q", err, tc.err)
			}
			if !slices.Equal(ran(), strings.Fields(tc.ran)) || ended(phase) != tc.over {
				t.Errorf("%v have run, and the phase is over: %t; want %s, %t", ran(), ended(phase), tc.ran, tc.over)
			}
		})
	}
}

// TestTermEndsWhileSeeding is a leader that loses the lease in the middle: the rest does not run, nobody works with the half,
// and it is no error.
func TestTermEndsWhileSeeding(t *testing.T) {
	for name, second := range map[string]func(context.Context) error{
		"and the Seed notices":      func(ctx context.Context) error { return ctx.Err() },
		"and the Seed ends as ever": func(context.Context) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			phase, db, ran := seeding(func(ctx context.Context, _ *changing) error { cancel(); return second(ctx) })
			close(db.ready)
			if err := phase.Start(ctx); err != nil {
				t.Errorf("it ends with %v", err)
			}
			if len(ran()) != 2 || ended(phase) {
				t.Errorf("%v have run, and the phase is over: %t", ran(), ended(phase))
			}
			if err := phase.await(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("who waits hears %v", err)
			}
		})
	}
	t.Run("before the database is there", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		phase, _, ran := seeding(func(context.Context, *changing) error { return nil })
		if err := phase.Start(ctx); err != nil || len(ran()) > 0 || ended(phase) {
			t.Errorf("it ends with %v, %v have run", err, ran())
		}
	})
}

// TestNoKeyIsLookedAtWhileSeeding is a Seed that takes its time: keys that are in queues already wait for it.
func TestNoKeyIsLookedAtWhileSeeding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := make(chan struct{})
		phase, db, _ := seeding(func(context.Context, *changing) error { <-slow; return nil })
		close(db.ready)
		end := make(chan error, 1)
		go func() { end <- phase.Start(t.Context()) }()

		looked := make(chan struct{}, 1)
		r := &runner[struct{}]{seeds: phase, Feature: Feature[struct{}]{
			Gather: func(context.Context, client.Reader, types.NamespacedName) (struct{}, error) {
				looked <- struct{}{}
				return struct{}{}, nil
			},
		}}
		go func() {
			if _, err := r.Reconcile(t.Context(), ctrl.Request{}); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		if len(looked) > 0 {
			t.Error("a key is looked at before the Seeds have ended")
		}
		close(slow)
		synctest.Wait()
		if err := <-end; err != nil || len(looked) == 0 {
			t.Errorf("after the Seeds, which end with %v, %d looks", err, len(looked))
		}
	})
}
