package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/engine"
	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/pkg/ovs/ovstest"
)

// The tests speak of a little cluster: VPCs, subnets, policies and pods, each an owner.

func router(vpc string) ovs.Sym     { return ovs.Sym("vpc/" + vpc + "/router") }
func lbGroup(vpc string) ovs.Sym    { return ovs.Sym("vpc/" + vpc + "/lbs") }
func lswitch(subnet string) ovs.Sym { return ovs.Sym("subnet/" + subnet + "/switch") }
func dhcp(subnet string) ovs.Sym    { return ovs.Sym("subnet/" + subnet + "/dhcp") }
func group(policy string) ovs.Sym   { return ovs.Sym("policy/" + policy + "/group") }
func addressSet(policy string) ovs.Sym {
	return ovs.Sym("policy/" + policy + "/set")
}

func vpcOwner(n string) ovs.Owner    { return ovs.Owner{Feature: "vpc", Key: n} }
func subnetOwner(n string) ovs.Owner { return ovs.Owner{Feature: "subnet", Key: n} }
func policyOwner(n string) ovs.Owner { return ovs.Owner{Feature: "policy", Key: n} }
func podOwner(n string) ovs.Owner    { return ovs.Owner{Feature: "pod", Key: "shop/" + n} }

func vpc(name string) (want ovs.Desired) {
	want.Add(router(name), &nb.LogicalRouter{Name: name, Options: map[string]string{"always_learn_from_arp_request": "false"}})
	want.Add(lbGroup(name), &nb.LoadBalancerGroup{Name: "lbs-" + name}).Also(ovs.RouterLoadBalancerGroups.Of(router(name)).This())
	return want
}

func subnet(name, vpc string) (want ovs.Desired) {
	sw := lswitch(name)
	want.Add(sw, &nb.LogicalSwitch{Name: name, OtherConfig: map[string]string{"exclude_ips": "10.0.0.1"}}).
		Also(ovs.SwitchLoadBalancerGroups.Of(sw).Row(lbGroup(vpc)))
	rp := ovs.Sym("subnet/" + name + "/router-port")
	want.Add(rp, &nb.LogicalRouterPort{Name: vpc + "-" + name, MAC: "00:00:00:00:00:01", Networks: []string{"10.0.0.1/16", "fd00::1/64"}}).
		In(ovs.RouterPorts.Of(router(vpc)))
	want.Add(ovs.Sym("subnet/"+name+"/switch-port"), &nb.LogicalSwitchPort{
		Name: name + "-" + vpc, Type: "router", Addresses: []string{"router"}, Options: map[string]string{"router-port": vpc + "-" + name},
	}).In(ovs.SwitchPorts.Of(sw))
	want.Add(dhcp(name), &nb.DHCPOptions{Cidr: "10.0.0.0/16", Options: map[string]string{"mtu": "1400"}})
	return want
}

func policy(name string) (want ovs.Desired) {
	want.Add(group(name), &nb.PortGroup{Name: "pg_" + name})
	want.Add(addressSet(name), &nb.AddressSet{Name: "as_" + name})
	want.Add(ovs.Sym("policy/"+name+"/deny"), &nb.ACL{
		Action: "drop", Direction: "to-lport", Match: "outport == @pg_" + name, Priority: 1000,
	}).In(ovs.GroupACLs.Of(group(name)))
	return want
}

func pod(name, subnet, policy string) (want ovs.Desired) {
	ref := dhcp(subnet).UUID()
	row := want.Add(ovs.Sym("pod/shop/"+name+"/port"), &nb.LogicalSwitchPort{
		Name: name + ".shop", Addresses: []string{"00:00:00:00:00:02 10.0.0.2"}, PortSecurity: []string{"00:00:00:00:00:02 10.0.0.2"},
		Dhcpv4Options: &ref, ExternalIDs: map[string]string{"pod": "shop/" + name},
	}).In(ovs.SwitchPorts.Of(lswitch(subnet)))
	if policy != "" {
		row.Also(ovs.GroupPorts.Of(group(policy)).This(), ovs.SetAddresses.Of(addressSet(policy)).Value("10.0.0.2"))
	}
	return want
}

// fixture is a database and what was sent to it.
type fixture struct {
	t      *testing.T
	server *ovstest.Server
	db     *engine.DB

	mu   sync.Mutex
	sent []string
}

func newFixture(t *testing.T) *fixture { return newFixtureOn(t, ovstest.Start(t)) }

func newFixtureOn(t *testing.T, server *ovstest.Server) *fixture {
	f := &fixture{t: t, server: server}
	f.db = f.server.DB(engine.WithRecorder(func(p []byte) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.sent = append(f.sent, string(p))
	}))
	return f
}

// transactions counts what was sent since it was last called.
func (f *fixture) transactions() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.sent)
	f.sent = nil
	return n
}

// apply applies, and expects the number of transactions.
func (f *fixture) apply(o ovs.Owner, want ovs.Desired, transactions int) {
	f.t.Helper()
	f.transactions()
	plan, err := f.db.Apply(f.t.Context(), o, want)
	if err != nil {
		f.t.Fatalf("%s: %v", o, err)
	}
	if n := f.transactions(); n != transactions {
		f.t.Fatalf("%s: %d transactions, want %d:\n%s", o, n, transactions, plan)
	}
}

func (f *fixture) cluster() {
	f.t.Helper()
	f.apply(vpcOwner("v"), vpc("v"), 1)
	f.apply(subnetOwner("s"), subnet("s", "v"), 1)
	f.apply(policyOwner("p"), policy("p"), 1)
	f.apply(podOwner("web-0"), pod("web-0", "s", "p"), 1)
}

func (f *fixture) again(transactions int) {
	f.t.Helper()
	f.apply(vpcOwner("v"), vpc("v"), transactions)
	f.apply(subnetOwner("s"), subnet("s", "v"), transactions)
	f.apply(policyOwner("p"), policy("p"), transactions)
	f.apply(podOwner("web-0"), pod("web-0", "s", "p"), transactions)
}

// drain empties the set of dirty owners.
func (f *fixture) drain(feature string) []engine.Dirty {
	var out []engine.Dirty
	for set := f.db.Dirty(feature); set.Len() > 0; {
		d, err := set.Get(f.t.Context())
		if err != nil {
			f.t.Fatal(err)
		}
		out = append(out, d)
	}
	return out
}

// dirty waits for a dirty owner.
func (f *fixture) dirty(feature string) engine.Dirty {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute)
	defer cancel()
	d, err := f.db.Dirty(feature).Get(ctx)
	if err != nil {
		f.t.Fatalf("no %s gets dirty: %v", feature, err)
	}
	return d
}

func TestOneTransactionEachAndThenNone(t *testing.T) {
	f := newFixture(t)
	f.cluster()
	f.again(0)
	if out := f.server.Ctl("show"); !strings.Contains(out, "web-0.shop") {
		t.Errorf("the pod's port is not in its switch:\n%s", out)
	}
	for _, feature := range []string{"vpc", "subnet", "policy", "pod"} {
		if d := f.drain(feature); len(d) > 0 {
			t.Errorf("our own writes made %s dirty: %v", feature, d)
		}
	}
	if out := f.server.Ctl("get", "Address_Set", "as_p", "addresses"); !strings.Contains(out, "10.0.0.2") {
		t.Errorf("addresses: %s", out)
	}
	if out := f.server.Ctl("get", "Logical_Switch", "s", "load_balancer_group"); !strings.Contains(out, lbGroup("v").UUID()) {
		t.Errorf("load_balancer_group: %s", out)
	}
}

func TestReapplyAfterRestartSendsNothing(t *testing.T) {
	f := newFixture(t)
	f.cluster()
	f.db = f.server.DB(engine.WithRecorder(func(p []byte) { f.sent = append(f.sent, string(p)) }))
	f.again(0)
	owners := f.db.Owners("pod")
	if len(owners) != 1 || owners[0] != podOwner("web-0") {
		t.Fatalf("owners: %v", owners)
	}
	rows := f.db.Owned(owners[0])
	if len(rows) != 1 {
		t.Fatalf("rows: %v", rows)
	}
	if p := rows[0].Model.(*nb.LogicalSwitchPort); p.Addresses[0] != "00:00:00:00:00:02 10.0.0.2" {
		t.Errorf("recorded addresses: %v", p.Addresses)
	}
	if rows := f.db.Owned(vpcOwner("v")); len(rows) != 2 || rows[0].Sym != lbGroup("v") || rows[0].Table != "Load_Balancer_Group" {
		t.Errorf("the VPC's rows: %v", rows)
	}
	f.apply(podOwner("web-0"), ovs.Desired{}, 1)
	if n := len(f.db.Owners("pod")); n != 0 {
		t.Errorf("%d pods left", n)
	}
}

func TestWhatOthersOwnIsLeftAlone(t *testing.T) {
	f := newFixture(t)
	f.cluster()
	f.server.Ctl("set", "Logical_Switch_Port", "web-0.shop", "up=true", "external_ids:theirs=1")
	f.server.Ctl("ls-add", "foreign")
	f.server.Ctl("lsp-add", "s", "foreign-port")
	f.again(0)
	if d := f.drain("pod"); len(d) > 0 {
		t.Errorf("dirty: %v", d)
	}
	f.apply(podOwner("web-0"), ovs.Desired{}, 1)
	f.apply(policyOwner("p"), ovs.Desired{}, 1)
	if out := f.server.Ctl("show"); !strings.Contains(out, "foreign-port") {
		t.Errorf("foreign rows are gone:\n%s", out)
	}
	f.apply(subnetOwner("s"), ovs.Desired{}, 1)
	f.apply(vpcOwner("v"), ovs.Desired{}, 1)
	for _, table := range []string{"Logical_Router", "Logical_Router_Port", "Load_Balancer_Group", "Port_Group", "Address_Set", "ACL", "DHCP_Options", "Logical_Switch_Port"} {
		if out := f.server.Ctl("--bare", "--columns=_uuid", "list", table); strings.TrimSpace(out) != "" {
			t.Errorf("%s is not empty: %s", table, out)
		}
	}
	if out := f.server.Ctl("ls-list"); !strings.Contains(out, "foreign") {
		t.Errorf("the foreign switch is gone:\n%s", out)
	}
}

func TestHandEditsAreHealed(t *testing.T) {
	for _, tc := range []struct {
		name    string
		edit    []string
		feature string
		details string
	}{
		{"addresses", []string{"set", "Logical_Switch_Port", "web-0.shop", "addresses=unknown", "enabled=false"}, "pod", "addresses, enabled changed"},
		{"reference", []string{"clear", "Logical_Switch_Port", "web-0.shop", "dhcpv4_options"}, "pod", "dhcpv4_options changed"},
		{"group emptied", []string{"clear", "Port_Group", "pg_p", "ports"}, "pod", "taken out of Port_Group.ports@policy/p/group"},
		{"address out of set", []string{"clear", "Address_Set", "as_p", "addresses"}, "pod", "10.0.0.2 was taken out of Address_Set.addresses@policy/p/set"},
		{"port deleted", []string{"lsp-del", "web-0.shop"}, "pod", ""},
		{"record wiped", []string{"remove", "Logical_Switch_Port", "web-0.shop", "external_ids", "woven/in"}, "pod", "external_ids changed"},
		{"all ids wiped", []string{"clear", "Logical_Switch_Port", "web-0.shop", "external_ids"}, "pod", "external_ids changed"},
		{"rule deleted", []string{"clear", "Port_Group", "pg_p", "acls"}, "policy", ""},
		{"load balancer group renamed", []string{"set", "Load_Balancer_Group", "lbs-v", "name=other"}, "vpc", "name changed"},
		{"load balancer group off the switch", []string{"clear", "Logical_Switch", "s", "load_balancer_group"}, "subnet", "taken out of Logical_Switch.load_balancer_group"},
		{"router port gone", []string{"lrp-del", "v-s"}, "subnet", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFixture(t)
			f.cluster()
			f.server.Ctl(tc.edit...)
			start := time.Now()
			d := f.dirty(tc.feature)
			if d.Cause != engine.CauseDrift || !strings.Contains(d.Details, tc.details) {
				t.Errorf("dirty: %v", d)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("noticed after %s", took)
			}
			want := map[string]ovs.Desired{"pod": pod("web-0", "s", "p"), "policy": policy("p"), "vpc": vpc("v"), "subnet": subnet("s", "v")}[tc.feature]
			f.apply(d.Owner, want, 1)
			f.again(0)
			if d := f.drain(tc.feature); len(d) > 0 {
				t.Errorf("still dirty: %v", d)
			}
		})
	}
}

func TestWaitingIsWokenByTheRow(t *testing.T) {
	f := newFixture(t)
	_, err := f.db.Apply(t.Context(), podOwner("web-0"), pod("web-0", "s", "p"))
	var waiting *ovs.ErrWaiting
	if !errors.As(err, &waiting) || len(waiting.Refs) != 4 {
		t.Fatalf("got %v", err)
	}
	if f.transactions() != 0 {
		t.Fatal("something was sent")
	}
	f.apply(vpcOwner("v"), vpc("v"), 1)
	f.apply(policyOwner("p"), policy("p"), 1)
	f.apply(subnetOwner("s"), subnet("s", "v"), 1)
	if d := f.dirty("pod"); d.Cause != engine.CauseAwaited || d.Owner != podOwner("web-0") {
		t.Errorf("woken: %v", d)
	}
	f.apply(podOwner("web-0"), pod("web-0", "s", "p"), 1)
	if d := f.drain("pod"); len(d) > 0 {
		t.Errorf("still dirty: %v", d)
	}
}

func TestParentGoneAndBack(t *testing.T) {
	f := newFixture(t)
	f.cluster()
	f.apply(subnetOwner("s"), ovs.Desired{}, 1)
	if d := f.dirty("pod"); d.Cause != engine.CauseDrift {
		t.Errorf("dirty: %v", d)
	}
	_, err := f.db.Apply(t.Context(), podOwner("web-0"), pod("web-0", "s", "p"))
	var waiting *ovs.ErrWaiting
	if !errors.As(err, &waiting) {
		t.Fatalf("got %v", err)
	}
	f.apply(subnetOwner("s"), subnet("s", "v"), 1)
	if d := f.dirty("pod"); d.Cause != engine.CauseAwaited {
		t.Errorf("dirty: %v", d)
	}
	f.apply(podOwner("web-0"), pod("web-0", "s", "p"), 1)
	f.again(0)
}

func TestChangesOfMind(t *testing.T) {
	f := newFixture(t)
	f.cluster()
	f.apply(subnetOwner("s2"), subnet("s2", "v"), 1)
	f.apply(policyOwner("p2"), policy("p2"), 1)
	o := podOwner("web-0")
	for _, want := range []ovs.Desired{pod("web-0", "s", ""), pod("web-0", "s2", "p2"), pod("web-0", "s2", "p"), pod("web-0", "s", "p")} {
		f.apply(o, want, 1)
		f.apply(o, want, 0)
	}
	without := pod("web-0", "s", "p")
	without.Rows[0].Model.(*nb.LogicalSwitchPort).ExternalIDs = nil
	f.apply(o, without, 1)
	if out := f.server.Ctl("get", "Logical_Switch_Port", "web-0.shop", "external_ids"); strings.Contains(out, `pod="shop`) {
		t.Errorf("the key is still there: %s", out)
	}
	if d := f.drain("pod"); len(d) > 0 {
		t.Errorf("dirty: %v", d)
	}
}

func TestNameTaken(t *testing.T) {
	f := newFixture(t)
	f.server.Ctl("ls-add", "s")
	f.apply(vpcOwner("v"), vpc("v"), 1)
	_, err := f.db.Apply(t.Context(), subnetOwner("s"), subnet("s", "v"))
	var taken *ovs.ErrTaken
	if !errors.As(err, &taken) || taken.Table != "Logical_Switch" {
		t.Fatalf("got %v", err)
	}
	f.apply(subnetOwner("s2"), subnet("s2", "v"), 1)
	f.server.Ctl("lsp-add", "s2", "web-0.shop")
	_, err = f.db.Apply(t.Context(), podOwner("web-0"), pod("web-0", "s2", ""))
	if !errors.As(err, &taken) || taken.Table != "Logical_Switch_Port" {
		t.Fatalf("got %v", err)
	}
	f.server.Ctl("lsp-del", "web-0.shop")
	if d := f.dirty("pod"); d.Cause != engine.CauseAwaited {
		t.Errorf("dirty: %v", d)
	}
	f.apply(podOwner("web-0"), pod("web-0", "s2", ""), 1)
	f.server.Ctl("ls-del", "s")
	if d := f.dirty("subnet"); d.Cause != engine.CauseAwaited {
		t.Errorf("dirty: %v", d)
	}
	f.apply(subnetOwner("s"), subnet("s", "v"), 1)
}

func TestInUseIsWokenByTheRelease(t *testing.T) {
	f := newFixture(t)
	f.cluster()
	_, err := f.db.Apply(t.Context(), vpcOwner("v"), ovs.Desired{})
	var used *ovs.ErrInUse
	if !errors.As(err, &used) {
		t.Fatalf("got %v", err)
	}
	f.apply(vpcOwner("v"), vpc("v"), 0)
	_, err = f.db.Apply(t.Context(), vpcOwner("v"), ovs.Desired{})
	if !errors.As(err, &used) {
		t.Fatalf("got %v", err)
	}
	f.apply(subnetOwner("s"), ovs.Desired{}, 1)
	if d := f.dirty("vpc"); d.Cause != engine.CauseAwaited {
		t.Errorf("dirty: %v", d)
	}
	f.apply(vpcOwner("v"), ovs.Desired{}, 1)
}

func TestInvalidRowsAreRefused(t *testing.T) {
	f := newFixture(t)
	f.apply(vpcOwner("v"), vpc("v"), 1)
	var want ovs.Desired
	want.Add("bad", &nb.ACL{Action: "shrug", Direction: "to-lport", Priority: 1, Match: "1"}).In(ovs.GroupACLs.Of("g"))
	want.Add("g", &nb.PortGroup{Name: "g"})
	_, err := f.db.Apply(t.Context(), policyOwner("x"), want)
	var refused *ovs.ErrRefused
	if !errors.As(err, &refused) {
		t.Fatalf("got %v", err)
	}
	for name, want := range map[string]func(*ovs.Desired){
		"twice":   func(d *ovs.Desired) { d.Add("a", &nb.PortGroup{}); d.Add("a", &nb.PortGroup{}) },
		"child":   func(d *ovs.Desired) { d.Add("a", &nb.ACL{}) },
		"members": func(d *ovs.Desired) { d.Add("a", &nb.LogicalSwitch{Ports: []string{"x"}}) },
		"foreign": func(d *ovs.Desired) {
			up := true
			d.Add("a", &nb.LogicalSwitchPort{Up: &up}).In(ovs.SwitchPorts.Of("s"))
		},
		"space":     func(d *ovs.Desired) { d.Add("a b", &nb.PortGroup{}) },
		"no anchor": func(d *ovs.Desired) { d.Add("a", &nb.LoadBalancerGroup{}) },
		"not a set": func(d *ovs.Desired) {
			d.Add("a", &nb.PortGroup{}).Also(ovs.Set{Table: "ACL", Column: "match"}.Of("x").This())
		},
		"row as value":  func(d *ovs.Desired) { d.Add("a", &nb.PortGroup{}).Also(ovs.SetAddresses.Of("x").This()) },
		"value as row":  func(d *ovs.Desired) { d.Add("a", &nb.PortGroup{}).Also(ovs.GroupPorts.Of("x").Value("1")) },
		"not a model":   func(d *ovs.Desired) { d.Add("a", struct{}{}) },
		"engine's keys": func(d *ovs.Desired) { d.Add("a", &nb.PortGroup{ExternalIDs: map[string]string{"woven/id": "x"}}) },
	} {
		var d ovs.Desired
		want(&d)
		if err := engine.Check(ovs.Northbound, policyOwner("x"), d); err == nil {
			t.Errorf("%s passes", name)
		}
	}
}

func TestManyOwnersAtOnce(t *testing.T) {
	f := newFixture(t)
	f.apply(vpcOwner("v"), vpc("v"), 1)
	f.apply(subnetOwner("s"), subnet("s", "v"), 1)
	f.apply(policyOwner("p"), policy("p"), 1)
	other := f.server.DB()
	f.transactions()
	const n = 200
	var wg sync.WaitGroup
	for i := range n {
		db := []*engine.DB{f.db, other}[i%2]
		wg.Go(func() {
			name := fmt.Sprintf("web-%d", i)
			if _, err := db.Apply(t.Context(), podOwner(name), pod(name, "s", "p")); err != nil {
				t.Error(err)
			}
		})
		if i%10 == 0 { // one that must wait does not spoil it for those who share its transaction
			wg.Go(func() {
				name := fmt.Sprintf("lost-%d", i)
				var waiting *ovs.ErrWaiting
				if _, err := f.db.Apply(t.Context(), podOwner(name), pod(name, "nowhere", "")); !errors.As(err, &waiting) {
					t.Errorf("got %v", err)
				}
			})
		}
		if i%10 == 5 { // nor does one that is refused
			wg.Go(func() {
				var want ovs.Desired
				want.Add(ovs.Sym(fmt.Sprintf("x/%d", i)), &nb.LogicalSwitch{Name: "s"})
				var taken *ovs.ErrTaken
				if _, err := f.db.Apply(t.Context(), ovs.Owner{Feature: "x", Key: fmt.Sprint(i)}, want); !errors.As(err, &taken) {
					t.Errorf("got %v", err)
				}
			})
		}
	}
	wg.Wait()
	if sent := f.transactions(); sent >= n {
		t.Errorf("%d transactions for %d owners: nobody shared", sent, n)
	}
	if got := len(strings.Fields(f.server.Ctl("--bare", "get", "Port_Group", "pg_p", "ports"))); got != n {
		t.Errorf("%d ports in the group, want %d", got, n)
	}
	for i := range n {
		name := fmt.Sprintf("web-%d", i)
		f.apply(podOwner(name), pod(name, "s", "p"), 0)
	}
}
