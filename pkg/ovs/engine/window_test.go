package engine

import (
	"slices"
	"testing"
	"time"
)

// The window lets a plan through that comes alone, and then holds those that come until there are no more, or the first has
// waited for long enough; plans of other features never wait.
func TestWindow(t *testing.T) {
	w := window{rare: map[string]bool{"subnet": true}, quiet: time.Second, longest: 3 * time.Second}
	start := time.Now()
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	subnet, pod := &job{feature: "subnet"}, &job{feature: "pod"}
	for _, step := range []struct {
		when    string
		at, due int // ms
		jobs    []*job
		pass    int
		held    int
	}{
		{"after a quiet time", 0, 0, []*job{subnet}, 0, 1},
		{"shortly after", 100, 1100, []*job{subnet, pod}, 1, 1},
		{"of others", 200, 1100, []*job{pod}, 1, 1},
		{"within the quiet time", 900, 1900, []*job{subnet, subnet}, 0, 3},
		{"when more come", 2000, 3000, []*job{subnet}, 0, 1},
		{"again", 2900, 3900, []*job{subnet}, 0, 2},
		{"and again", 3800, 4800, []*job{subnet}, 0, 3},
		{"when the first has waited for long", 4700, 5000, []*job{subnet, pod}, 1, 4},
		{"after another quiet time", 6500, 6500, []*job{subnet}, 0, 1},
	} {
		if len(w.held) > 0 && !at(step.at).Before(w.due) {
			w.open(w.due)
		}
		got := w.pass(slices.Clone(step.jobs), at(step.at))
		if len(got) != step.pass || len(w.held) != step.held || !w.due.Equal(at(step.due)) {
			t.Errorf("%s: %d go, %d are held until %s; want %d, %d and %d ms", step.when, len(got), len(w.held), w.due.Sub(start),
				step.pass, step.held, step.due)
		}
	}
	if got := w.open(w.due); len(got) != 1 || w.opens() != nil {
		t.Errorf("%d are let through, and the window opens again", len(got))
	}
}
