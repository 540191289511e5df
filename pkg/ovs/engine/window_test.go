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
	subnets := make([]*job, 8)
	for i := range subnets {
		subnets[i] = &job{feature: "subnet"}
	}
	pod := &job{feature: "pod"}
	pass := func(ms int, jobs ...*job) []*job { return w.pass(jobs, at(ms)) }
	for _, step := range []struct {
		when      string
		got, want []*job
	}{
		{"after a quiet time", pass(0, subnets[0]), subnets[:1]},
		{"shortly after", pass(100, subnets[1], pod), []*job{pod}},
		{"of others", pass(200, pod), []*job{pod}},
		{"within the quiet time", pass(900, subnets[2]), nil},
		{"after it", w.open(at(1900)), subnets[1:3]},
		{"when more come", pass(2000, subnets[3]), nil},
		{"again and again", pass(2900, subnets[4]), nil},
		{"still", pass(3800, subnets[5]), nil},
		{"when the first has waited long enough", pass(5000, subnets[6], pod), append([]*job{pod}, subnets[3:7]...)},
		{"shortly after that", pass(5900, subnets[7]), nil},
		{"at the end", w.open(at(6900)), subnets[7:]},
		{"after another quiet time", pass(8000, subnets[0]), subnets[:1]},
	} {
		if !slices.Equal(step.got, step.want) {
			t.Errorf("%s: %d plans go, not %d", step.when, len(step.got), len(step.want))
		}
	}
	if w.opens != nil || len(w.held) > 0 {
		t.Error("something is held back")
	}
}
