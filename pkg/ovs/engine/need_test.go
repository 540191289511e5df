package engine_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/nb"
)

// shared is a group that policies need, with its ports; its own owner is "shared/<name>".
func shared(name string, pods ...string) ovs.Need {
	n := ovs.Need{Owner: sharedOwner(name), Sym: ovs.Sym("shared/" + name), Model: &nb.PortGroup{Name: "pg_" + name}, Set: ovs.GroupPorts}
	for _, p := range pods {
		n.Members = append(n.Members, ovs.Sym("pod/shop/"+p+"/port"))
	}
	return n
}

func sharedOwner(name string) ovs.Owner { return ovs.Owner{Feature: "shared", Key: name} }

func relying(name, on string, pods ...string) (want ovs.Desired) {
	want.Needs = append(want.Needs, shared(on, pods...))
	want.Add(ovs.Sym("rule/"+name), &nb.ACL{Action: "drop", Direction: "to-lport", Match: "outport == @pg_" + on, Priority: 1}).
		In(ovs.GroupACLs.Of(ovs.Sym("shared/" + on)))
	return want
}

func (f *fixture) ports(group string) int {
	f.t.Helper()
	return len(strings.Fields(f.server.Ctl("--bare", "--columns=ports", "list", "Port_Group", "pg_"+group)))
}

// What rows of others lack comes with the rows that rely on them, in one transaction; their owners find it done.
func TestNeedsComeAlong(t *testing.T) {
	f := newFixture(t)
	f.cluster()
	f.apply(policyOwner("a"), relying("a", "g", "web-0", "gone"), 1)
	if n := f.ports("g"); n != 1 {
		t.Errorf("the group has %d ports, want the one that exists", n)
	}
	f.apply(policyOwner("a"), relying("a", "g", "web-0"), 0)
	f.apply(policyOwner("b"), relying("b", "g"), 1)
	var own ovs.Desired
	own.Add(shared("g").Sym, shared("g").Model)
	f.apply(sharedOwner("g"), own, 0)
	member := pod("web-0", "s", "p")
	member.Rows[0].Also = append(member.Rows[0].Also, ovs.GroupPorts.Of(shared("g").Sym).This())
	f.apply(podOwner("web-0"), member, 0)
	for _, feature := range []string{"shared", "pod", "policy"} {
		if dirty := f.drain(feature); len(dirty) > 0 {
			t.Errorf("what we did ourselves is taken for %v", dirty)
		}
	}
	// For who needed it nothing is taken back; the pod itself leaves.
	f.apply(policyOwner("a"), ovs.Desired{}, 1)
	if n := f.ports("g"); n != 1 {
		t.Errorf("after the policy has gone the group has %d ports", n)
	}
	f.apply(podOwner("web-0"), pod("web-0", "s", "p"), 1)
	if n := f.ports("g"); n != 0 {
		t.Errorf("after the pod has left the group has %d ports", n)
	}
}

// Owners that need the same row at the same time, and its own owner, do not get into each other's way.
func TestNeedsOfMany(t *testing.T) {
	f := newFixture(t)
	f.cluster()
	for round := range 20 {
		on := fmt.Sprint("g", round)
		var own ovs.Desired
		own.Add(shared(on).Sym, shared(on).Model)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				owner, want := policyOwner(fmt.Sprint(round, "-", i)), relying(fmt.Sprint(round, "-", i), on, "web-0")
				if i == 0 {
					owner, want = sharedOwner(on), own
				}
				if _, err := f.db.Apply(t.Context(), owner, want); err != nil {
					t.Errorf("%s: %v", owner, err)
				}
			})
		}
		wg.Wait()
		if acls := strings.Fields(f.server.Ctl("--bare", "--columns=acls", "list", "Port_Group", "pg_"+on)); len(acls) != 7 || f.ports(on) != 1 {
			t.Fatalf("the group has %d ACLs and %d ports, want 7 and 1", len(acls), f.ports(on))
		}
	}
}
