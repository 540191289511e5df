// Package timing is what the shim in front of CNI plugins writes and the benchmark reads, and how calls become figures.
package timing

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Prefix of the name that the shim is installed as, before the plugin's own.
const Prefix = "bench-"

// Log is the file on each node where the shim notes calls, one JSON object a line.
const Log = "/var/log/woven-bench.jsonl"

// Call is one call of one plugin.
type Call struct {
	Plugin, Command           string
	Container, Namespace, Pod string
	Began                     time.Time
	Took                      time.Duration
	Failed                    bool
}

// Parse reads a log.
func Parse(text string) ([]Call, error) {
	var calls []Call
	for line := range strings.Lines(text) {
		var c Call
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			return nil, fmt.Errorf("reading %q: %w", line, err)
		}
		calls = append(calls, c)
	}
	return calls, nil
}

// Chains adds up, for each sandbox, the calls of one command to all plugins of the list. Runtimes repeat DEL; the first
// call to each plugin is the one that does the work.
func Chains(calls []Call, command string) []time.Duration {
	ordered := slices.SortedFunc(slices.Values(calls), func(a, b Call) int { return a.Began.Compare(b.Began) })
	sums := map[string]time.Duration{}
	seen := map[string]bool{}
	var order []string
	for _, c := range ordered {
		once := c.Container + " " + c.Plugin
		if c.Command != command || c.Failed || seen[once] {
			continue
		}
		seen[once] = true
		if _, known := sums[c.Container]; !known {
			order = append(order, c.Container)
		}
		sums[c.Container] += c.Took
	}
	out := make([]time.Duration, len(order))
	for i, container := range order {
		out[i] = sums[container]
	}
	return out
}

// Failures counts the calls of a command that failed.
func Failures(calls []Call, command string) int {
	n := 0
	for _, c := range calls {
		if c.Command == command && c.Failed {
			n++
		}
	}
	return n
}

// Quantile is the smallest value that at least the fraction q of all values do not exceed; 0 of no values.
func Quantile(values []time.Duration, q float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	ordered := slices.SortedFunc(slices.Values(values), cmp.Compare[time.Duration])
	return ordered[max(int(math.Ceil(q*float64(len(ordered))))-1, 0)]
}
