package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/engine"
	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/pkg/ovs/ovstest"
)

// rule is an ACL: its table has no unique index, so nothing but the engine keeps twins away.
func rule(i int) (ovs.Owner, ovs.Desired) {
	var want ovs.Desired
	want.Add(ovs.Sym(fmt.Sprintf("rule/%d", i)), &nb.ACL{
		Action: "allow", Direction: "to-lport", Match: fmt.Sprintf("tcp.dst == %d", i), Priority: 1,
	}).In(ovs.GroupACLs.Of(group("p")))
	return ovs.Owner{Feature: "rule", Key: fmt.Sprint(i)}, want
}

// persist applies as a workqueue does: until it succeeds.
func persist(ctx context.Context, db *engine.DB, o ovs.Owner, want ovs.Desired) error {
	for {
		_, err := db.Apply(ctx, o, want)
		var waiting *ovs.ErrWaiting
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("%s: %w", o, err)
		case errors.Is(err, ovs.ErrOffline), errors.Is(err, ovs.ErrUnknown), errors.As(err, &waiting), strings.Contains(err.Error(), "could not commit"):
			select {
			case <-time.After(5 * time.Millisecond): // the workqueue's backoff
			case <-ctx.Done():
			}
		default:
			return err
		}
	}
}

// writeThrough writes n rules with 16 writers, and calls crash after every third of them.
func writeThrough(t *testing.T, db *engine.DB, n int, crash func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var next, done atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				o, want := rule(i)
				if err := persist(ctx, db, o, want); err != nil {
					t.Error(err)
					return
				}
				if d := done.Add(1); d == int64(n/3) || d == int64(2*n/3) {
					crash()
				}
			}
		})
	}
	wg.Wait()
}

// expectRules expects each rule exactly once.
func expectRules(t *testing.T, list string, n int) {
	t.Helper()
	count := map[string]int{}
	for _, line := range strings.Split(strings.TrimSpace(list), "\n") {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "tcp.dst") {
			count[line]++
		}
	}
	for i := range n {
		if c := count[fmt.Sprintf("tcp.dst == %d", i)]; c != 1 {
			t.Errorf("rule %d is there %d times", i, c)
		}
	}
}

func TestServerKilledInMidWrite(t *testing.T) {
	f := newFixture(t)
	f.apply(policyOwner("p"), policy("p"), 1)
	const n = 600
	writeThrough(t, f.db, n, func() {
		f.server.Kill()
		f.server.Restart()
	})
	expectRules(t, f.server.Ctl("--bare", "--columns=match", "list", "ACL"), n)
	if s := f.db.Session(); s < 3 {
		t.Errorf("%d sessions: the crashes were not noticed", s)
	}
	f.transactions()
	for i := range n {
		if o, want := rule(i); persist(t.Context(), f.db, o, want) != nil {
			t.Fatal("offline")
		}
	}
	if sent := f.transactions(); sent != 0 {
		t.Errorf("applied again, %d transactions were sent", sent)
	}
}

func TestLeaderKilledInMidWrite(t *testing.T) {
	cluster := ovstest.StartCluster(t)
	db, err := engine.Open(t.Context(), ovs.Northbound, cluster.Endpoints())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := persist(ctx, db, policyOwner("p"), policy("p")); err != nil {
		t.Fatal(err)
	}
	const n = 600
	writeThrough(t, db, n, func() {
		if leader := cluster.Leader(); leader != nil {
			leader.Kill()
			leader.Restart()
		}
	})
	leader := cluster.Leader()
	for leader == nil && ctx.Err() == nil {
		leader = cluster.Leader()
	}
	expectRules(t, leader.Ctl("--bare", "--columns=match", "list", "ACL"), n)
	if db.Session() < 2 {
		t.Error("the leader's death was not noticed")
	}
}

func TestEmptyDatabaseComesBack(t *testing.T) {
	f := newFixture(t)
	f.cluster()
	before := f.db.Dump()
	f.server.Kill()
	f.server.Empty()
	f.server.Restart()
	all := map[ovs.Owner]ovs.Desired{
		vpcOwner("v"): vpc("v"), subnetOwner("s"): subnet("s", "v"), policyOwner("p"): policy("p"), podOwner("web-0"): pod("web-0", "s", "p"),
	}
	// One loop per feature, as the kit has it, that knows nothing but what Dirty says.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	for _, feature := range []string{"pod", "subnet", "policy", "vpc"} {
		wg.Go(func() {
			for {
				d, err := f.db.Dirty(feature).Get(ctx)
				if err != nil {
					return
				}
				var waiting *ovs.ErrWaiting
				if _, err := f.db.Apply(ctx, d.Owner, all[d.Owner]); err != nil && !errors.As(err, &waiting) && ctx.Err() == nil {
					t.Errorf("%s: %v", d.Owner, err)
				}
			}
		})
	}
	deadline := time.After(time.Minute)
	for f.db.Dump() != before {
		select {
		case <-deadline:
			t.Fatalf("got\n%s\nwant\n%s", f.db.Dump(), before)
		case <-time.After(5 * time.Millisecond): // every commit may be the last
		}
	}
	cancel()
	wg.Wait()
	f.again(0)
}

func TestEndpointsComeAndGo(t *testing.T) {
	first, second := ovstest.Start(t), ovstest.Start(t)
	db, err := engine.Open(t.Context(), ovs.Northbound, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Apply(t.Context(), vpcOwner("v"), vpc("v")); !errors.Is(err, ovs.ErrOffline) {
		t.Fatalf("got %v", err)
	}
	for _, s := range []*ovstest.Server{first, second} {
		db.SetEndpoints([]string{"unix:/nowhere", s.Endpoint()})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		d, err := db.Dirty("vpc").Get(ctx)
		cancel()
		if err != nil || d.Cause != engine.CauseSession {
			t.Fatalf("dirty: %v %v", d, err)
		}
		if err := persist(t.Context(), db, vpcOwner("v"), vpc("v")); err != nil {
			t.Fatal(err)
		}
		if out := s.Ctl("lr-list"); !strings.Contains(out, "(v)") {
			t.Errorf("routers: %s", out)
		}
		db.SetEndpoints([]string{s.Endpoint()}) // the session stays
		session := db.Session()
		db.SetEndpoints(nil) // it stays as well: the endpoints may be back in a moment
		for i := range 20 {
			want := vpc("v")
			if i%2 == 0 {
				want = vpc("w")
			}
			if _, err := db.Apply(t.Context(), vpcOwner("v"), want); err != nil || db.Session() != session {
				t.Fatalf("without endpoints: %v, session %d after %d", err, db.Session(), session)
			}
		}
	}
}

func TestHungServerEndsTheSession(t *testing.T) {
	server := ovstest.Start(t)
	db := server.DB(engine.WithDeadline(100 * time.Millisecond))
	if _, err := db.Apply(t.Context(), policyOwner("p"), policy("p")); err != nil {
		t.Fatal(err)
	}
	server.Pause()
	o, want := rule(0)
	if _, err := db.Apply(t.Context(), o, want); !errors.Is(err, ovs.ErrUnknown) {
		t.Errorf("got %v", err)
	}
	server.Resume()
	if err := persist(t.Context(), db, o, want); err != nil {
		t.Fatal(err)
	}
	expectRules(t, server.Ctl("--bare", "--columns=match", "list", "ACL"), 1)
}

func TestStandbyIsNotDisturbed(t *testing.T) {
	f := newFixture(t)
	standby := f.server.DB()
	f.cluster()
	f.apply(podOwner("web-0"), pod("web-0", "s", ""), 1)
	start := time.Now()
	for standby.Dump() != f.db.Dump() {
		if time.Since(start) > time.Minute {
			t.Fatal("the standby does not see the leader's writes")
		}
		time.Sleep(time.Millisecond) // each update may be the last
	}
	if n := standby.Dirty("pod").Len() + standby.Dirty("subnet").Len(); n != 0 {
		t.Errorf("the leader's writes made %d owners dirty on the standby", n)
	}
	// It takes over, and from then on watches over what it has applied.
	if plan, err := standby.Apply(t.Context(), podOwner("web-0"), pod("web-0", "s", "")); err != nil || !plan.Empty() {
		t.Errorf("taking over: %v\n%s", err, plan)
	}
	f.server.Ctl("lsp-del", "web-0.shop")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if d, err := standby.Dirty("pod").Get(ctx); err != nil || d.Cause != engine.CauseDrift {
		t.Errorf("dirty: %v %v", d, err)
	}
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	db := ovstest.Start(t).DB(engine.WithMetrics(registry))
	if _, err := db.Apply(t.Context(), policyOwner("p"), policy("p")); err != nil {
		t.Fatal(err)
	}
	want := `
# HELP woven_ovs_rows Rows of ours in the database.
# TYPE woven_ovs_rows gauge
woven_ovs_rows{db="OVN_Northbound",feature="policy",table="ACL"} 1
woven_ovs_rows{db="OVN_Northbound",feature="policy",table="Address_Set"} 1
woven_ovs_rows{db="OVN_Northbound",feature="policy",table="Port_Group"} 1
# HELP woven_ovs_sessions_total Sessions begun with the database.
# TYPE woven_ovs_sessions_total counter
woven_ovs_sessions_total{db="OVN_Northbound"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "woven_ovs_rows", "woven_ovs_sessions_total"); err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(registry, "woven_ovs_transact_duration_seconds"); n != 1 || err != nil {
		t.Errorf("%d series of transactions: %v", n, err)
	}
}
