//go:build e2e

package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/test/e2e/framework"
)

// checkRecomputes holds that northd takes events in by the difference: it computes neither everything anew nor the logical
// flows of all switches. OVN 25.03 cannot do all events so, and may compute these as often as said.
func checkRecomputes(t *testing.T, db *framework.Northbound, what string, lflow2503 int, events func()) {
	t.Helper()
	must(t, cluster.Synced(within(t, time.Minute, "the sync")))
	before, writes := do[map[string]int](t)(cluster.Recomputes(t.Context())), len(db.Writes())
	events()
	must(t, cluster.Synced(within(t, time.Minute, "the sync")))
	after := do[map[string]int](t)(cluster.Recomputes(t.Context()))
	lflow := 0
	if version := do[string](t)(cluster.OVNVersion(t.Context())); strings.HasPrefix(version, "25.03.") {
		lflow = lflow2503
		// Groups that nobody has used for a minute go: one first, and those that have waited for it.
		const forIdleGroups = 3
		if slices.ContainsFunc(db.Writes()[writes:], func(w framework.Write) bool { return w.Verb == "delete" && w.Table == nb.PortGroupTable }) {
			lflow += forIdleGroups
		}
	}
	for node, most := range map[string]int{"northd": 0, "lflow": lflow} {
		cost := after[node] - before[node]
		t.Logf("%s: engine node %s was computed anew %d times", what, node, cost)
		if cost > most {
			t.Errorf("%s: engine node %s was computed anew %d times, and %d is the most", what, node, cost, most)
		}
	}
}
