package reconcile

import (
	"testing"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
)

// TestContest is a second writer that changes rows the moment they are put back, gives up, and comes again.
func TestContest(t *testing.T) {
	var c contests
	key, other, now := Request("web"), Request("other"), time.Unix(0, 0)
	heal := func(key ctrl.Request) time.Duration {
		pause := c.pause(key, now)
		now = now.Add(pause)
		c.healed(key, now)
		return pause
	}
	for i, want := range []time.Duration{0, 0, 0, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond} {
		if got := heal(key); got != want {
			t.Errorf("heal %d waits %s, want %s", i, got, want)
		}
	}
	if got := heal(other); got != 0 {
		t.Errorf("another key waits %s", got)
	}
	for range 100 {
		heal(key)
	}
	if got := c.pause(key, now); got != longestPause {
		t.Errorf("in the end it waits %s", got)
	}
	now = now.Add(calm + time.Second)
	if got := heal(key); got != 0 {
		t.Errorf("after a while of calm it waits %s", got)
	}
	if len(c.keys) != 1 {
		t.Errorf("%d keys are remembered", len(c.keys))
	}
}
