package engine_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/engine"
	"github.com/woven-cni/woven/pkg/ovs/nb"
)

func addresses(values ...string) (want ovs.Desired) {
	want.Add(addressSet("own"), &nb.AddressSet{Name: "as_own"}).Exactly(ovs.SetAddresses, values...)
	return want
}

// A big set changes by the element, and nothing of it is recorded in the row.
func TestExactSet(t *testing.T) {
	f := newFixture(t)
	var many []string
	for i := range 10_000 {
		many = append(many, fmt.Sprintf("10.%d.%d.0/24", i/256, i%256))
	}
	f.apply(policyOwner("own"), addresses(many...), 1)
	f.apply(policyOwner("own"), addresses(many...), 0)
	f.mu.Lock()
	f.sent = nil
	f.mu.Unlock()
	if _, err := f.db.Apply(t.Context(), policyOwner("own"), addresses(append(many[1:len(many):len(many)], "192.0.2.1")...)); err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	if len(f.sent) != 1 || len(f.sent[0]) > 1000 || !strings.Contains(f.sent[0], "192.0.2.1") || !strings.Contains(f.sent[0], `"10.0.0.0/24"`) {
		t.Errorf("one address more and one less is sent as %.2000s", f.sent)
	}
	f.mu.Unlock()
	if ids := f.server.Ctl("get", "Address_Set", "as_own", "external_ids"); len(ids) > 200 {
		t.Errorf("the row records %s", ids)
	}
	f.server.Ctl("remove", "Address_Set", "as_own", "addresses", "192.0.2.1")
	if d := f.dirty("policy"); d.Cause != engine.CauseDrift {
		t.Errorf("an address taken out by hand is %v", d)
	}
	f.apply(policyOwner("own"), addresses("192.0.2.1"), 1)
	if got := f.server.Ctl("--bare", "--columns=addresses", "list", "Address_Set", "as_own"); strings.TrimSpace(got) != "192.0.2.1" {
		t.Errorf("the set holds %s", got)
	}
}

// Who was in a set of a row that its own owner removed is looked at again, but nobody has meddled.
func TestRemovalByTheOwnerIsNoDrift(t *testing.T) {
	f := newFixture(t)
	f.cluster()
	f.drain("pod")
	f.apply(policyOwner("p"), ovs.Desired{}, 1)
	if d := f.dirty("pod"); d.Cause != engine.CauseAwaited {
		t.Errorf("dirty: %v", d)
	}
}
