package engine_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/pkg/ovs/ovstest"
)

// newer are rows that need what the oldest OVN does not have, and what a refusal of them has to name. The models know more
// tables and columns than its server.
var newer = map[string]struct {
	want  func() ovs.Desired
	names string
}{
	"column": {func() (want ovs.Desired) {
		port := ovs.Sym("subnet/s/router-port").UUID()
		want.Add("vpc/v/reroute", &nb.LogicalRouterPolicy{Action: "reroute", Match: "1", Priority: 1, OutputPort: &port}).
			In(ovs.RouterPolicies.Of(router("v")))
		return want
	}, "output_port"},
	"table": {func() (want ovs.Desired) {
		want.Add("mirror/m/function", &nb.NetworkFunctionGroup{Name: "g", Mode: "inline", ID: 1})
		return want
	}, "Network_Function_Group"},
}

// What an older server lacks is neither asked for nor written. A row that needs it is refused by name, and harms nobody.
func TestOlderServer(t *testing.T) {
	f := newFixtureOn(t, ovstest.StartFile(t, ovstest.Oldest(t)))
	f.cluster()
	f.again(0)
	for name, c := range newer {
		_, err := f.db.Apply(t.Context(), ovs.Owner{Feature: "newer", Key: name}, c.want())
		var refused *ovs.ErrRefused
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.names) {
			t.Errorf("%s: got %v, want a refusal that names %s", name, err, c.names)
		}
	}
	f.again(0)
	f.apply(podOwner("web-1"), pod("web-1", "s", ""), 1)
	if n := f.db.Session(); n != 1 {
		t.Errorf("it took %d sessions", n)
	}
}

// When ovn-central is upgraded, the next session finds what the server has now.
func TestServerIsUpgraded(t *testing.T) {
	if !strings.Contains(ovstest.Run(t, "ovsdb-tool", "schema-version", ovstest.Schema(t, "ovn-nb")), "7.18.") {
		t.Skip("the programs of this OVN have no newer schema than the oldest")
	}
	f := newFixtureOn(t, ovstest.StartFile(t, ovstest.Oldest(t)))
	f.cluster()
	f.server.Kill()
	f.server.Convert()
	f.server.Restart()
	for deadline := time.Now().Add(time.Minute); f.db.Session() < 2; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("there is no second session")
		}
	}
	f.again(0)
	for name, c := range newer {
		f.apply(ovs.Owner{Feature: "newer", Key: name}, c.want(), 1)
		f.apply(ovs.Owner{Feature: "newer", Key: name}, c.want(), 0)
	}
}
