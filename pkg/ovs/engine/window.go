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
	held  []*job
	opens <-chan time.Time // nil while nothing is held
}

// pass are those of the jobs that may go now.
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
	alone := before == 0 && now.Sub(w.last) >= w.quiet
	if before == 0 {
		w.since = now
	}
	w.last = now
	wait := min(w.quiet, w.longest-now.Sub(w.since))
	if alone || wait <= 0 {
		return append(out, w.open(now)...)
	}
	w.opens = time.After(wait)
	return out
}

// open lets through what is held.
func (w *window) open(now time.Time) []*job {
	out := w.held
	w.held, w.opens, w.last = nil, nil, now
	return out
}
