package engine

import (
	"slices"
	"testing"
	"time"
)

// The window lets the first plan through, and then all that have come until it opens; plans of other features never wait.
func TestWindow(t *testing.T) {
	w := window{rare: map[string]bool{"subnet": true}, length: time.Second}
	start := time.Now()
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	first, second, third, pod := &job{feature: "subnet"}, &job{feature: "subnet"}, &job{feature: "subnet"}, &job{feature: "pod"}
	expect := func(when string, got []*job, want ...*job) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: %d plans go, not %d", when, len(got), len(want))
		}
	}
	expect("after a quiet time", w.pass([]*job{first}, at(0)), first)
	expect("shortly after", w.pass([]*job{second, pod}, at(100)), pod)
	if w.opens == nil {
		t.Fatal("nobody opens the window")
	}
	expect("others alone", w.pass([]*job{pod}, at(200)), pod)
	expect("later", w.pass([]*job{third}, at(900)))
	expect("when it opens", w.open(at(1000)), second, third)
	expect("again shortly after", w.pass([]*job{first}, at(1100)))
	expect("when the timer is late", w.pass([]*job{pod, second}, at(2100)), pod, first, second)
	if w.opens != nil || len(w.held) > 0 {
		t.Error("something is held back")
	}
}
