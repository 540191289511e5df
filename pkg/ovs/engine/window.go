package engine

import "time"

// window holds back plans of features whose changes cost everybody much, so that many of them together cost little more than
// one: northd computes all flows anew for a router's port, and each chassis goes through the flows of all its switches for a
// new one. A plan that comes alone goes at once. Those that come shortly after go together, when no more of them have come
// for a while, or the first has waited for long enough. Plans of other features pass.
type window struct {
	rare    map[string]bool // features whose plans are held back
	quiet   time.Duration   // without another plan, after which the held ones go
	longest time.Duration   // that a plan is held

	last  time.Time // when the last plan of these features came or went
	since time.Time // when the first of the held ones came
	due   time.Time // when the held ones go
	held  []*job
}

// pass holds jobs back. Those that it returns may go now.
func (w *window) pass(jobs []*job, now time.Time) []*job {
	out := jobs[:0]
	before := len(w.held)
	for _, j := range jobs {
		if w.rare[j.feature] {
			w.held = append(w.held, j)
		} else {
			out = append(out, j)
		}
	}
	if len(w.held) == before {
		return out
	}
	if before == 0 {
		w.since = now
	}
	w.due = earlier(now.Add(w.quiet), w.since.Add(w.longest))
	if before == 0 && now.Sub(w.last) >= w.quiet {
		w.due = now
	}
	w.last = now
	return out
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// opens is when to call open; nil is never.
func (w *window) opens() <-chan time.Time {
	if len(w.held) == 0 {
		return nil
	}
	return time.After(time.Until(w.due))
}

// open lets through what is held.
func (w *window) open(now time.Time) []*job {
	out := w.held
	w.held, w.last = nil, now
	return out
}
