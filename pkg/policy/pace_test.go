package policy

import (
	"testing"
	"time"
)

// TestCountsArePaced holds that the first pods of a policy that has been quiet are told after a second, and those of one that is
// not once in ten, however many come and go.
func TestCountsArePaced(t *testing.T) {
	var p pace
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, step := range []struct{ at, want time.Duration }{
		{0, time.Second},
		{300 * time.Millisecond, 700 * time.Millisecond}, // the same write
		{1500 * time.Millisecond, 9500 * time.Millisecond},
		{5 * time.Second, 6 * time.Second},
		{10 * time.Second, time.Second},
		{12 * time.Second, 9 * time.Second},
		{40 * time.Second, time.Second}, // it was quiet
	} {
		if got := p.next("shop/db", start.Add(step.at)); got != step.want {
			t.Errorf("at %s the next write is in %s, not in %s", step.at, got, step.want)
		}
	}
	if got := p.next("shop/web", start); got != time.Second {
		t.Errorf("another policy waits for %s", got)
	}
	p.forget("shop/db")
	if got := p.next("shop/db", start.Add(41*time.Second)); got != time.Second {
		t.Errorf("one that comes anew waits for %s", got)
	}
}
