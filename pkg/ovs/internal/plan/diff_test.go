package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/woven-cni/woven/pkg/fuzztest"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/internal/cache"
	"github.com/woven-cni/woven/pkg/ovs/internal/record"
	"github.com/woven-cni/woven/pkg/ovs/internal/schema"
	"github.com/woven-cni/woven/pkg/ovs/nb"
)

// randomWant is what one of a few owners might want: rows of root tables, children, members of others' sets, rows without
// external_ids, references.
func randomWant(c *fuzztest.Choices) (ovs.Owner, ovs.Desired) {
	n := c.Pick(3)
	key := fmt.Sprint(n)
	var want ovs.Desired
	sw, pg, set := ovs.Sym("switch/"+key), ovs.Sym("group/"+key), ovs.Sym("set/"+key)
	switch c.Pick(3) {
	case 0:
		o := ovs.Owner{Feature: "parent", Key: key}
		if c.Pick(4) == 3 {
			return o, want
		}
		want.Add(sw, &nb.LogicalSwitch{Name: "s" + key, OtherConfig: randomMap(c)})
		want.Add(pg, &nb.PortGroup{Name: "g" + key})
		want.Add(set, &nb.AddressSet{Name: "a" + key})
		want.Add(ovs.Sym("dhcp/"+key), &nb.DHCPOptions{Cidr: "10.0.0.0/8", Options: randomMap(c)})
		if c.Pick(2) == 1 {
			lbg := ovs.Sym("lbg/" + key)
			want.Add(lbg, &nb.LoadBalancerGroup{Name: "l" + key}).Also(ovs.SwitchLoadBalancerGroups.Of(sw).This())
		}
		return o, want
	case 1:
		o := ovs.Owner{Feature: "rules", Key: key}
		for i := range c.Pick(4) {
			want.Add(ovs.Sym(fmt.Sprintf("rule/%s/%d", key, i)), &nb.ACL{
				Action: []string{"allow", "drop"}[c.Pick(2)], Direction: "to-lport", Priority: c.Pick(5), Match: "1", ExternalIDs: randomMap(c),
			}).In(ovs.GroupACLs.Of(ovs.Sym(fmt.Sprintf("group/%d", c.Pick(3)))))
		}
		if c.Pick(2) == 1 {
			want.Add(ovs.Sym("own/"+key), &nb.AddressSet{Name: "o" + key}).Exactly(ovs.SetAddresses, randomSet(c)...)
		}
		for i := range c.Pick(3) {
			need := ovs.Need{
				Owner: ovs.Owner{Feature: "parent", Key: fmt.Sprint(i)}, Sym: ovs.Sym(fmt.Sprint("group/", i)),
				Model: &nb.PortGroup{Name: fmt.Sprint("g", i)}, Set: ovs.GroupPorts,
			}
			for p := range c.Pick(4) {
				need.Members = append(need.Members, ovs.Sym(fmt.Sprint("port/", p)))
			}
			want.Needs = append(want.Needs, need)
		}
		return o, want
	default:
		o := ovs.Owner{Feature: "pod", Key: key}
		if c.Pick(5) == 4 {
			return o, want
		}
		p := &nb.LogicalSwitchPort{Name: "p" + key, Addresses: randomSet(c), PortSecurity: randomSet(c), ExternalIDs: randomMap(c)}
		if c.Pick(2) == 1 {
			ref := ovs.Sym(fmt.Sprintf("dhcp/%d", c.Pick(3))).UUID()
			p.Dhcpv4Options = &ref
		}
		row := want.Add(ovs.Sym("port/"+key), p).In(ovs.SwitchPorts.Of(ovs.Sym(fmt.Sprintf("switch/%d", c.Pick(3)))))
		for i := range 3 {
			if c.Pick(2) == 1 {
				row.Also(ovs.GroupPorts.Of(ovs.Sym(fmt.Sprintf("group/%d", i))).This())
			}
			if c.Pick(2) == 1 {
				row.Also(ovs.SetAddresses.Of(ovs.Sym(fmt.Sprintf("set/%d", i))).Value("10.0.0." + key))
			}
		}
		return o, want
	}
}

func randomMap(c *fuzztest.Choices) map[string]string {
	m := map[string]string{}
	for i := range c.Pick(3) {
		m[fmt.Sprint("k", i)] = fmt.Sprint(c.Pick(3))
	}
	return m
}

func randomSet(c *fuzztest.Choices) []string {
	var s []string
	for range c.Pick(4) {
		if v := fmt.Sprint("a ", c.Pick(5)); !slices.Contains(s, v) {
			s = append(s, v)
		}
	}
	return s
}

// server is what a server makes of plans, simple enough to be believed: it tells a cache of each row that comes, goes or
// changes, and collects garbage.
type server struct {
	*cache.Cache
	rows map[*schema.Table]map[string]bool // by UUID
}

func (f server) commit(p Plan) {
	for _, kind := range []changeKind{insert, update, leave, join, remove} {
		for _, c := range p.changes {
			if c.kind == kind {
				f.apply(c)
			}
		}
	}
	for f.collect() {
	}
}

func (f server) apply(c change) {
	switch c.kind {
	case insert:
		f.insert(c.table, c.uuid, c.model, c.set, nil)
	case update:
		old := f.Row(c.table, c.uuid)
		model := c.table.Copy(old.Value())
		for _, col := range c.columns {
			col.Of(model).Set(col.Of(c.model))
		}
		ids := maps.Clone(old.IDs())
		for k := range c.unset {
			delete(ids, k)
		}
		for k, v := range c.set {
			if _, ok := ids[k]; ok {
				panic("an insert never overwrites a key")
			}
			ids[k] = v
		}
		f.remove(c.table, c.uuid)
		f.insert(c.table, c.uuid, model, ids, old)
	case remove:
		f.remove(c.table, c.uuid)
	case join, leave:
		if f.Contains(c.element) == (c.kind == leave) {
			f.toggle(c.element)
		}
	}
}

func (f server) tell(t *schema.Table, uuid, kind string, columns []byte) {
	if err := f.Update(fmt.Appendf(nil, `["","",{%q:{%q:{%q:%s}}}]`, t.Name, uuid, kind, columns)); err != nil {
		panic(err)
	}
}

// insert adds a row with these external_ids and the sets that it had before, if it was there before.
func (f server) insert(t *schema.Table, uuid string, model reflect.Value, ids map[string]string, before *cache.Row) {
	columns := []byte(`{"no such column":0`)
	column := func(c *schema.Column) { columns = fmt.Appendf(columns, ",%q:", c.Name) }
	for _, c := range t.Owned {
		if !c.Of(model).IsZero() {
			column(c)
			columns = c.Append(columns, model)
		}
	}
	if t.ExternalIDs != nil {
		column(t.ExternalIDs)
		columns = appendMap(columns, ids)
	}
	for _, c := range t.Sets {
		if before != nil && len(before.Set(c)) > 0 {
			column(c)
			var elements [][]byte
			for v := range before.Set(c) {
				elements = append(elements, c.AppendElement(nil, v))
			}
			columns = fmt.Appendf(columns, `["set",[%s]]`, bytes.Join(elements, []byte(",")))
		}
	}
	f.tell(t, uuid, "insert", append(columns, '}'))
	if f.rows[t] == nil {
		f.rows[t] = map[string]bool{}
	}
	f.rows[t][uuid] = true
}

func (f server) remove(t *schema.Table, uuid string) {
	f.tell(t, uuid, "delete", []byte("null"))
	delete(f.rows[t], uuid)
}

// toggle puts an element into a set, or takes it out: in an update both look the same.
func (f server) toggle(c record.Element) {
	f.tell(c.Column.Table, c.Parent, "modify", fmt.Appendf(nil, `{%q:%s}`, c.Column.Name, c.Column.AppendElement(nil, c.Value)))
}

// collect removes what nothing holds, and weak references to what is gone.
func (f server) collect() bool {
	held := map[string]bool{}
	for t, rows := range f.rows {
		for id := range rows {
			r := f.Row(t, id)
			r.Elements(func(c record.Element) {
				if c.Column.UUIDs && !f.Has(c.Column.Ref, c.Value) {
					f.toggle(c)
				} else if c.Column.Strong {
					held[c.Value] = true
				}
			})
			if p, ok := r.Model().(*nb.LogicalSwitchPort); ok && p.Dhcpv4Options != nil && !f.Has("DHCP_Options", *p.Dhcpv4Options) {
				f.tell(t, id, "modify", []byte(`{"dhcpv4_options":["set",[]]}`))
			}
		}
	}
	for t, rows := range f.rows {
		for id := range rows {
			if !t.Root && !held[id] {
				f.remove(t, id)
				return true
			}
		}
	}
	return false
}

// checkDiff plays a history and checks what must hold for every step of it.
func checkDiff(t *testing.T, data []byte) {
	db := ovs.Northbound.Load()
	f := server{cache.New(db, nil), map[*schema.Table]map[string]bool{}}
	c := new(fuzztest.Choices(data))
	for len(*c) > 0 {
		o, want := randomWant(c)
		r, err := Resolve(db, o, want)
		if err != nil {
			t.Fatalf("%s: %v\n%s", o, err, want.Text(db))
		}
		plan, missing, err := Diff(r, f.Cache, Past{})
		if err != nil {
			t.Fatal(err)
		}
		if len(missing) > 0 {
			if !plan.Empty() {
				t.Fatalf("%s has a plan though it waits:\n%s", o, plan)
			}
			continue
		}
		checkTxn(t, plan)
		f.commit(plan)
		again, missing, err := Diff(r, f.Cache, Past{})
		if err != nil || len(missing) > 0 || !again.Empty() {
			t.Fatalf("%s is not done after\n%s\nleft: %s missing: %v err: %v", o, plan, again, missing, err)
		}
		got := map[string]uint64{}
		for _, have := range f.Owned(o) {
			got[have.UUID] = have.Hash()
		}
		for _, w := range r.rows {
			if h, ok := got[w.uuid]; !ok || h != w.hash() {
				t.Fatalf("%s: the row %s has another hash than wanted", o, w.sym)
			}
			delete(got, w.uuid)
		}
		if len(got) > 0 {
			t.Fatalf("%s: %d rows too many", o, len(got))
		}
		checkSets(t, f, r)
		slices.Reverse(want.Rows)
		reversed, err := Resolve(db, o, want)
		if err != nil {
			t.Fatal(err)
		}
		// The anchor of rows without external_ids is the first row: only then order may matter, and then by its note alone.
		if plan, _, _ := Diff(reversed, f.Cache, Past{}); !plan.Empty() && !strings.Contains(plan.String(), "woven/with") {
			t.Fatalf("%s: the order of rows matters:\n%s", o, plan)
		}
	}
}

// checkSets checks that a programmed owner's rows are in the sets they want to be in and in no others, and that the sets
// they have for themselves hold what is wanted there and nothing else.
func checkSets(t *testing.T, f server, r *Resolved) {
	elements := r.elements()
	for m := range elements {
		if !f.Contains(m) {
			t.Fatalf("%s: %s lacks %s", r.owner, m.Column, m.Value)
		}
	}
	for _, n := range r.needs {
		if have := f.Row(n.row.table, n.row.uuid); have == nil || have.IDs().Owner() != n.row.ids.Owner() {
			t.Fatalf("%s: the row %s, which it needs, is not there as its owner makes it", r.owner, n.row.sym)
		}
		for _, m := range n.members {
			if f.Has(m.Column.Ref, m.Value) && !f.Contains(m.Element) {
				t.Fatalf("%s: %s lacks %s, which it needs there", r.owner, n.row.sym, m.MemberSym)
			}
		}
	}
	surplus := func(m record.Element) {
		if !elements[m] {
			t.Fatalf("%s: %s holds %s, which is not wanted there", r.owner, m.Column, m.Value)
		}
	}
	for _, w := range r.rows {
		f.Joined(w.uuid, surplus)
		for _, c := range w.exact {
			for v := range f.Row(w.table, w.uuid).Set(c) {
				surplus(record.Element{Column: c, Parent: w.uuid, Value: v})
			}
		}
	}
}

// checkTxn checks the form of a transaction: it is JSON, and its guards come before what they guard.
func checkTxn(t *testing.T, p Plan) {
	txn := newTxn()
	txn.add(p)
	for _, op := range txn.operations() {
		if !json.Valid(op.json) {
			t.Fatalf("not JSON: %s", op.json)
		}
	}
	joins, guards := map[string]bool{}, 0
	for _, c := range p.changes {
		if c.kind == join && !txn.inserted[c.uuid] {
			joins[c.uuid] = true
		}
	}
	for _, op := range txn.operations() {
		if op.guard == guardParent {
			guards++
		}
	}
	if guards != len(joins) {
		t.Fatalf("%d guards for %d parents:\n%s", guards, len(joins), p)
	}
}

func TestDiffProperties(t *testing.T) {
	for seed := range uint64(300) {
		checkDiff(t, randomBytes(seed, 400))
	}
}

func randomBytes(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func FuzzDiff(f *testing.F) {
	for seed := range uint64(5) {
		f.Add(randomBytes(seed, 100))
	}
	f.Fuzz(checkDiff)
}
