package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/woven-cni/woven/test/e2e/bench/timing"
)

// row is a measure, how to get it from a result, and the ratio to the bridge plugin that Woven must not exceed; 0 where
// there is no goal.
type row struct {
	name  string
	value func(*result) time.Duration
	goal  float64
}

func rows(o options) []row {
	chain := func(k kind, command string, q float64) func(*result) time.Duration {
		return func(r *result) time.Duration { return timing.Quantile(timing.Chains(r.calls[k], command), q) }
	}
	ready := func(q float64) func(*result) time.Duration {
		return func(r *result) time.Duration { return timing.Quantile(r.ready, q) }
	}
	all := fmt.Sprintf("%d pods at once", o.burst)
	return []row{
		{"ADD one by one, p50", chain(single, "ADD", 0.5), 1.5},
		{"ADD one by one, p99", chain(single, "ADD", 0.99), 1.0},
		{"DEL one by one, p50", chain(single, "DEL", 0.5), 1.0},
		{"DEL one by one, p99", chain(single, "DEL", 0.99), 0},
		{"create to Ready one by one, p50", ready(0.5), 1.1},
		{"create to Ready one by one, p99", ready(0.99), 0},
		{all + ", all Ready", func(r *result) time.Duration { return timing.Quantile(r.burst, 0.5) }, 1.15},
		{all + ", ADD p50", chain(burst, "ADD", 0.5), 0},
		{all + ", ADD p99", chain(burst, "ADD", 0.99), 0},
	}
}

// table prints the figures of both side by side.
func table(out io.Writer, o options, results map[contender]*result) {
	w, b := results[woven], results[bridge]
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "measure\twoven\tbridge\tratio\tgoal\t\t")
	for _, r := range rows(o) {
		mine, theirs := r.value(w), r.value(b)
		ratio := float64(mine) / float64(theirs)
		goal, verdict := "", ""
		if r.goal > 0 {
			goal, verdict = fmt.Sprintf("≤ %.2f", r.goal), "met"
			if ratio > r.goal {
				verdict = "MISSED"
			}
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%.2f\t%s\t%s\t\n", r.name, short(mine), short(theirs), ratio, goal, verdict)
	}
	failed := timing.Failures(append(w.calls[single], w.calls[burst]...), "ADD")
	theirs := timing.Failures(append(b.calls[single], b.calls[burst]...), "ADD")
	verdict := "met"
	if failed > 0 {
		verdict = "MISSED"
	}
	fmt.Fprintf(t, "failed ADDs\t%d\t%d\t\t0\t%s\t\n", failed, theirs, verdict)
	t.Flush()
	fmt.Fprintf(out, "\n%d rounds; of each plugin %d pods one by one, and %d times %d at once, of which the median counts: woven %v, bridge %v\n",
		o.rounds, len(w.ready), len(w.burst), o.burst, rounded(w.burst), rounded(b.burst))
}

func short(d time.Duration) string {
	if d >= 10*time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(100 * time.Microsecond).String()
}

func rounded(ds []time.Duration) []time.Duration {
	out := make([]time.Duration, len(ds))
	for i, d := range ds {
		out[i] = d.Round(100 * time.Millisecond)
	}
	return out
}
