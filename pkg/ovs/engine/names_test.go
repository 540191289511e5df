package engine_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/engine"
	"github.com/woven-cni/woven/pkg/ovs/nb"
)

// taken is the refusal of what an owner wants for a name of another's.
func (f *fixture) taken(o ovs.Owner, want ovs.Desired) string {
	f.t.Helper()
	_, err := f.db.Apply(f.t.Context(), o, want)
	var taken *ovs.ErrTaken
	if !errors.As(err, &taken) {
		f.t.Fatalf("%s: got %v, want a name that is taken", o, err)
	}
	return taken.Error()
}

// TestNamesThatMeet is about the ports of switches and of routers, which have one name space in the southbound database and
// two in the northbound one.
func TestNamesThatMeet(t *testing.T) {
	f := newFixture(t)
	f.apply(vpcOwner("b-c"), vpc("b-c"), 1)
	f.apply(vpcOwner("a-b"), vpc("a-b"), 1)
	f.apply(subnetOwner("a"), subnet("a", "b-c"), 1) // its switch port is a-b-c
	f.apply(subnetOwner("y"), subnet("y", "b-c"), 1)
	before := f.db.Dump()
	if got, want := f.taken(subnetOwner("c"), subnet("c", "a-b")), "the port name a-b-c is that of subnet a"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if after := f.db.Dump(); after != before {
		t.Errorf("who comes later changes what is there:\n%s", after)
	}
	f.drain("subnet")
	f.apply(subnetOwner("a"), ovs.Desired{}, 1)
	if d := f.dirty("subnet"); d.Owner != subnetOwner("c") || d.Cause != engine.CauseAwaited {
		t.Errorf("dirty: %v", d)
	}
	f.apply(subnetOwner("c"), subnet("c", "a-b"), 1)

	// The other way round, with a name that an edit brings, and within one table.
	if got, want := f.taken(subnetOwner("a"), subnet("a", "b-c")), "the port name a-b-c is that of subnet c"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := f.taken(vpcOwner("y"), vpc("y")), "the switch name y is that of subnet y"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	f.apply(podOwner("web-0"), pod("web-0", "y", ""), 1)
	renamed := pod("web-0", "y", "")
	renamed.Rows[0].Model.(*nb.LogicalSwitchPort).Name = "b-c-y"
	if got, want := f.taken(podOwner("web-0"), renamed), "the port name b-c-y is that of subnet y"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	twin := pod("web-1", "y", "")
	twin.Rows[0].Model.(*nb.LogicalSwitchPort).Name = "web-0.shop"
	if got, want := f.taken(podOwner("web-1"), twin), "the port name web-0.shop is that of pod shop/web-0"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	f.server.Ctl("lsp-add", "y", "stranger")
	twin.Rows[0].Model.(*nb.LogicalSwitchPort).Name = "stranger"
	if got, want := f.taken(podOwner("web-1"), twin), "the port name stranger is that of a row that Woven has not made"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestNamesThatMeetInOneTransaction is about two owners that come together: neither finds the other in the database.
func TestNamesThatMeetInOneTransaction(t *testing.T) {
	f := newFixture(t)
	f.apply(vpcOwner("b-c"), vpc("b-c"), 1)
	f.apply(vpcOwner("a-b"), vpc("a-b"), 1)
	for range 20 {
		errs := make([]error, 2)
		var wg sync.WaitGroup
		wg.Go(func() { _, errs[0] = f.db.Apply(t.Context(), subnetOwner("a"), subnet("a", "b-c")) })
		wg.Go(func() { _, errs[1] = f.db.Apply(t.Context(), subnetOwner("c"), subnet("c", "a-b")) })
		wg.Wait()
		var one *ovs.ErrTaken
		if (errs[0] == nil) == (errs[1] == nil) || !errors.As(errors.Join(errs...), &one) {
			t.Fatalf("one of them should be refused: %v", errs)
		}
		for _, name := range []string{"a", "c"} {
			if _, err := f.db.Apply(t.Context(), subnetOwner(name), ovs.Desired{}); err != nil {
				t.Fatal(err)
			}
		}
	}
}
