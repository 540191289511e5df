//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/test/e2e/framework"
)

// checkRecomputes holds that northd takes events in by the difference: it computes neither everything anew nor the logical
// flows of all switches. OVN 25.03 cannot do all events so, and may compute these as often as said. What is left of former
// tests goes before the count begins.
func checkRecomputes(t *testing.T, ns *framework.Namespace, db *framework.Northbound, what string, lflow2503 int, events func()) {
	t.Helper()
	old := strings.HasPrefix(do[string](t)(cluster.OVNVersion(t.Context())), "25.03.")
	awaitFormerTests(t, db, ns)
	if old {
		awaitFormerGroups(t, db, ns) // their end is a build of all flows there
	}
	must(t, cluster.Synced(within(t, time.Minute, "the sync")))
	before := do[map[string]int](t)(cluster.Recomputes(t.Context()))
	events()
	must(t, cluster.Synced(within(t, time.Minute, "the sync")))
	after := do[map[string]int](t)(cluster.Recomputes(t.Context()))
	lflow := 0
	if old {
		lflow = lflow2503
	}
	for node, most := range map[string]int{"northd": 0, "lflow": lflow} {
		cost := after[node] - before[node]
		t.Logf("%s: engine node %s was computed anew %d times", what, node, cost)
		if cost > most {
			t.Errorf("%s: engine node %s was computed anew %d times, and %d is the most", what, node, cost, most)
		}
	}
}

// awaitFormerTests waits until nothing in the API server or the database is of another test's namespace: namespaces go in
// the background, and what their Services leave behind would be removed while this test looks.
func awaitFormerTests(t *testing.T, db *framework.Northbound, ns *framework.Namespace) {
	t.Helper()
	ctx := within(t, 2*time.Minute, "the end of former tests' namespaces")
	_, err := framework.Await(ctx, cluster, &corev1.NamespaceList{}, func(all []*corev1.Namespace) bool {
		return !slices.ContainsFunc(all, func(n *corev1.Namespace) bool { return n.DeletionTimestamp != nil })
	})
	must(t, err)
	of := func(ids map[string]string) bool { return ofFormer(ns, ids["woven/owner"]) }
	must(t, db.Await(ctx, func() bool {
		balancers, err := framework.Rows(db, func(lb *nb.LoadBalancer) bool { return of(lb.ExternalIDs) })
		switches, err2 := framework.Rows(db, func(ls *nb.LogicalSwitch) bool { return of(ls.ExternalIDs) })
		ports, err3 := framework.Rows(db, func(lsp *nb.LogicalSwitchPort) bool { return of(lsp.ExternalIDs) })
		acls, err4 := framework.Rows(db, func(a *nb.ACL) bool { return of(a.ExternalIDs) })
		return errors.Join(err, err2, err3, err4) == nil && len(balancers)+len(switches)+len(ports)+len(acls) == 0
	}))
}

// awaitFormerGroups waits until the groups of former tests' policies are gone, one to two minutes after the policies.
func awaitFormerGroups(t *testing.T, db *framework.Northbound, ns *framework.Namespace) {
	t.Helper()
	must(t, db.Await(within(t, 3*time.Minute, "the end of former tests' groups"), func() bool {
		groups, err := framework.Rows(db, func(g *nb.PortGroup) bool { return ofFormer(ns, fmt.Sprint(g.ExternalIDs)) })
		return err == nil && len(groups) == 0
	}))
}

// ofFormer says whether a text names the namespace of a test, and not this one's.
func ofFormer(ns *framework.Namespace, text string) bool {
	return strings.Contains(text, "e2e-") && !strings.Contains(text, ns.Name)
}
