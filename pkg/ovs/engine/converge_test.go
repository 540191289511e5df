package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/engine"
	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/pkg/ovs/ovstest"
)

// world is a changing set of objects over the database.
type world struct {
	db    *engine.DB
	wants map[ovs.Owner]ovs.Desired
}

func newWorld(db *engine.DB) *world { return &world{db: db, wants: map[ovs.Owner]ovs.Desired{}} }

// apply applies what an owner wants; that it has to wait is no failure.
func (w *world) apply(t testing.TB, o ovs.Owner, want ovs.Desired) (sent bool) {
	t.Helper()
	w.wants[o] = want
	plan, err := w.db.Apply(context.Background(), o, want)
	var waiting *ovs.ErrWaiting
	var used *ovs.ErrInUse
	if err != nil && !errors.As(err, &waiting) && !errors.As(err, &used) {
		t.Fatalf("%s: %v", o, err)
	}
	return !plan.Empty()
}

// settle applies everything until nothing is sent any more.
func (w *world) settle(t testing.TB) {
	t.Helper()
	for range 5 {
		sent := false
		for o, want := range w.wants {
			sent = w.apply(t, o, want) || sent
		}
		if !sent {
			return
		}
	}
	t.Fatal("it does not come to rest")
}

// parents are the objects that others need; all of them exist in the end.
func (w *world) parents(t testing.TB) {
	t.Helper()
	for _, n := range []string{"0", "1"} {
		w.apply(t, vpcOwner("v"+n), vpc("v"+n))
		w.apply(t, subnetOwner(n), subnet(n, "v"+n))
		w.apply(t, policyOwner(n), policy(n))
	}
}

// step does to the world what one byte says.
func (w *world) step(t testing.TB, b byte) {
	t.Helper()
	n, gone := fmt.Sprint(b>>2&1), b>>3&3 == 3
	switch b & 3 {
	case 0:
		o, want := subnetOwner(n), subnet(n, "v"+n)
		if gone {
			want = ovs.Desired{}
		}
		w.apply(t, o, want)
	case 1:
		o, want := policyOwner(n), policy(n)
		if gone {
			want = ovs.Desired{}
		}
		w.apply(t, o, want)
	default:
		name := fmt.Sprint("pod-", b>>5)
		want := pod(name, n, []string{"", "0", "1"}[b>>2%3])
		want.Rows[0].Model.(*nb.LogicalSwitchPort).Addresses = []string{fmt.Sprintf("00:00:00:00:00:%02x", b)}
		if gone {
			want = ovs.Desired{}
		}
		w.apply(t, podOwner(name), want)
	}
}

// checkConvergence plays a history on one server, and only its end on another: both must hold the same.
func checkConvergence(t testing.TB, old, fresh *engine.DB, history []byte) {
	t.Helper()
	a, b := newWorld(old), newWorld(fresh)
	a.parents(t)
	for _, step := range history {
		a.step(t, step)
	}
	a.parents(t)
	a.settle(t)
	b.parents(t)
	for o, want := range a.wants {
		b.apply(t, o, want)
	}
	b.settle(t)
	if got, want := old.Dump(), fresh.Dump(); got != want {
		t.Errorf("after %v:\n%s\nfrom nothing:\n%s", history, got, want)
	}
	for _, w := range []*world{a, b} { // leave nothing behind
		for _, feature := range []string{"pod", "policy", "subnet", "vpc"} {
			for o := range w.wants {
				if o.Feature == feature {
					w.apply(t, o, ovs.Desired{})
				}
			}
		}
		if rest := w.db.Dump(); rest != "" {
			t.Errorf("all is deleted and this is left:\n%s", rest)
		}
	}
}

func TestConvergence(t *testing.T) {
	old, fresh := ovstest.Start(t).DB(), ovstest.Start(t).DB()
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 2))
		history := make([]byte, 60)
		for i := range history {
			history[i] = byte(r.Uint32())
		}
		checkConvergence(t, old, fresh, history)
	}
}

func FuzzConverge(f *testing.F) {
	f.Add([]byte{2, 0, 24, 3, 27, 255, 1, 0})
	old, fresh := ovstest.Start(f).DB(), ovstest.Start(f).DB()
	f.Fuzz(func(t *testing.T, history []byte) {
		checkConvergence(t, old, fresh, history[:min(len(history), 100)])
	})
}

func TestNorthdUnderstandsOurRows(t *testing.T) {
	n := ovstest.StartNorthd(t)
	db := n.NB.DB()
	w := newWorld(db)
	w.apply(t, vpcOwner("v"), vpc("v"))
	w.apply(t, subnetOwner("s"), subnet("s", "v"))
	w.apply(t, policyOwner("p"), policy("p"))
	for i, name := range []string{"a", "b"} {
		var want ovs.Desired
		want.Add(ovs.Sym("pod/shop/"+name+"/port"), &nb.LogicalSwitchPort{
			Name: name, Addresses: []string{fmt.Sprintf("00:00:00:00:00:1%d 10.0.0.1%d", i, i)},
		}).In(ovs.SwitchPorts.Of(lswitch("s")))
		w.apply(t, podOwner(name), want)
	}
	const packet = `inport == "a" && eth.src == 00:00:00:00:00:10 && eth.dst == 00:00:00:00:00:11 && ip4.src == 10.0.0.10 && ip4.dst == 10.0.0.11 && ip.ttl == 64`
	if out := n.Trace("s", packet); !strings.Contains(out, `output("b")`) {
		t.Errorf("the packet does not get there: %s", out)
	}
	before := n.Recomputes("northd")
	denied := w.wants[podOwner("b")]
	denied.Rows[0].Also = []ovs.Membership{ovs.GroupPorts.Of(group("p")).This()}
	w.apply(t, podOwner("b"), denied)
	if out := n.Trace("s", packet); strings.Contains(out, `output("b")`) {
		t.Errorf("the packet gets there in spite of the policy: %s", out)
	}
	w.apply(t, podOwner("a"), ovs.Desired{})
	w.apply(t, podOwner("b"), ovs.Desired{})
	n.Sync()
	t.Logf("recomputes of northd: %s before, %s after", before, n.Recomputes("northd"))
}
