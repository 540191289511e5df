package engine

import "time"

// window holds back plans of features whose changes cost everybody much, so that many of them together cost little more than
// one: northd computes all flows anew for a router's port, and each chassis goes through the flows of all its switches for a
// new one. The first goes at once, and the next ones together, when the window has been shut for its length. Plans of other
// features pass.
type window struct {
	rare   map[string]bool // features whose plans are held back
	length time.Duration

	last  time.Time // when plans of these features were let through
	held  []*job
	opens <-chan time.Time // nil while nothing is held
}

// pass are those of the jobs that may go now.
func (w *window) pass(jobs []*job, now time.Time) []*job {
	out := jobs[:0]
	for _, j := range jobs {
		if w.rare[j.feature] {
			w.held = append(w.held, j)
		} else {
			out = append(out, j)
		}
	}
	if len(w.held) == 0 {
		return out
	}
	shut := w.length - now.Sub(w.last)
	if shut <= 0 {
		return append(out, w.open(now)...)
	}
	if w.opens == nil {
		w.opens = time.After(shut)
	}
	return out
}

// open lets through what is held.
func (w *window) open(now time.Time) []*job {
	out := w.held
	w.held, w.opens, w.last = nil, nil, now
	return out
}
