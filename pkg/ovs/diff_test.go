package ovs

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/woven-cni/woven/pkg/ovs/nb"
)

// choices turns the bytes of a fuzzer into decisions; when they run out, every decision is 0.
type choices struct{ data []byte }

func (c *choices) pick(n int) int {
	if len(c.data) == 0 {
		return 0
	}
	v := int(c.data[0]) % n
	c.data = c.data[1:]
	return v
}

// randomWant is what one of a few owners might want: rows of root tables, children, members of others' sets, rows without
// external_ids, references.
func randomWant(c *choices) (Owner, Desired) {
	n := c.pick(3)
	key := fmt.Sprint(n)
	var want Desired
	sw, pg, set := Sym("switch/"+key), Sym("group/"+key), Sym("set/"+key)
	switch c.pick(3) {
	case 0:
		o := Owner{"parent", key}
		if c.pick(4) == 3 {
			return o, want
		}
		want.Add(sw, &nb.LogicalSwitch{Name: "s" + key, OtherConfig: randomMap(c)})
		want.Add(pg, &nb.PortGroup{Name: "g" + key})
		want.Add(set, &nb.AddressSet{Name: "a" + key})
		want.Add(Sym("dhcp/"+key), &nb.DHCPOptions{Cidr: "10.0.0.0/8", Options: randomMap(c)})
		if c.pick(2) == 1 {
			lbg := Sym("lbg/" + key)
			want.Add(lbg, &nb.LoadBalancerGroup{Name: "l" + key}).Also(SwitchLoadBalancerGroups.Of(sw).This())
		}
		return o, want
	case 1:
		o := Owner{"rules", key}
		for i := range c.pick(4) {
			want.Add(Sym(fmt.Sprintf("rule/%s/%d", key, i)), &nb.ACL{
				Action: []string{"allow", "drop"}[c.pick(2)], Direction: "to-lport", Priority: c.pick(5), Match: "1", ExternalIDs: randomMap(c),
			}).In(GroupACLs.Of(Sym(fmt.Sprintf("group/%d", c.pick(3)))))
		}
		if c.pick(2) == 1 {
			want.Add(Sym("own/"+key), &nb.AddressSet{Name: "o" + key}).Exactly(SetAddresses, randomSet(c)...)
		}
		return o, want
	default:
		o := Owner{"pod", key}
		if c.pick(5) == 4 {
			return o, want
		}
		p := &nb.LogicalSwitchPort{Name: "p" + key, Addresses: randomSet(c), PortSecurity: randomSet(c), ExternalIDs: randomMap(c)}
		if c.pick(2) == 1 {
			ref := Sym(fmt.Sprintf("dhcp/%d", c.pick(3))).UUID()
			p.Dhcpv4Options = &ref
		}
		row := want.Add(Sym("port/"+key), p).In(SwitchPorts.Of(Sym(fmt.Sprintf("switch/%d", c.pick(3)))))
		for i := range 3 {
			if c.pick(2) == 1 {
				row.Also(GroupPorts.Of(Sym(fmt.Sprintf("group/%d", i))).This())
			}
			if c.pick(2) == 1 {
				row.Also(SetAddresses.Of(Sym(fmt.Sprintf("set/%d", i))).Value("10.0.0." + key))
			}
		}
		return o, want
	}
}

func randomMap(c *choices) map[string]string {
	m := map[string]string{}
	for i := range c.pick(3) {
		m[fmt.Sprint("k", i)] = fmt.Sprint(c.pick(3))
	}
	return m
}

func randomSet(c *choices) []string {
	var s []string
	for range c.pick(4) {
		if v := fmt.Sprint("a ", c.pick(5)); !slices.Contains(s, v) {
			s = append(s, v)
		}
	}
	return s
}

// model is what a server makes of plans, simple enough to be believed: it keeps a cache and collects garbage.
type fakeServer struct{ *cache }

func (f fakeServer) commit(p Plan) {
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

func (f fakeServer) apply(c change) {
	switch c.kind {
	case insert:
		r := &row{table: c.table, uuid: c.uuid, model: c.model.Addr().Interface(), sets: map[*column]map[string]struct{}{}}
		f.put(r, c.set)
	case update:
		old := f.row(c.table, c.uuid)
		r := &row{table: old.table, uuid: old.uuid, sets: old.sets, model: old.model}
		v := reflect.New(c.table.typ)
		v.Elem().Set(old.value())
		for _, col := range c.columns {
			v.Elem().Field(col.field).Set(c.model.Field(col.field))
		}
		r.model = v.Interface()
		ids := maps.Clone(old.ids())
		for k := range c.unset {
			delete(ids, k)
		}
		for k, v := range c.set {
			if _, ok := ids[k]; ok {
				panic("an insert never overwrites a key")
			}
			ids[k] = v
		}
		f.index(old, -1)
		f.put(r, ids)
	case remove:
		f.drop(f.row(c.table, c.uuid))
	case join:
		r := f.row(c.table, c.uuid)
		f.cache.join(r, c.claim.column, c.claim.value)
	case leave:
		f.cache.leave(f.row(c.table, c.uuid), c.claim.column, c.claim.value)
	}
}

// put adds a copy of the row, with these external_ids.
func (f fakeServer) put(r *row, ids map[string]string) {
	v := reflect.New(r.table.typ)
	v.Elem().Set(r.value())
	if r.table.extIDs != nil {
		v.Elem().Field(r.table.extIDs.field).Set(reflect.ValueOf(maps.Clone(ids)))
	}
	r.model = v.Interface()
	f.tables[r.table][r.uuid] = r
	f.index(r, 1)
}

func (f fakeServer) drop(r *row) {
	f.forget(r)
}

// collect removes what nothing holds, and weak references to what is gone.
func (f fakeServer) collect() bool {
	held := map[string]bool{}
	for t, rows := range f.tables {
		for _, r := range rows {
			for _, c := range t.sets {
				for v := range r.sets[c] {
					if c.uuidKey && !f.has(c.ref, v) {
						f.cache.leave(r, c, v)
					} else if c.strong {
						held[v] = true
					}
				}
			}
			if p, ok := r.model.(*nb.LogicalSwitchPort); ok && p.Dhcpv4Options != nil && !f.has("DHCP_Options", *p.Dhcpv4Options) {
				q := *p
				q.Dhcpv4Options = nil
				r.model = &q
			}
		}
	}
	for t, rows := range f.tables {
		for _, r := range rows {
			if !t.root && !held[r.uuid] {
				f.drop(r)
				return true
			}
		}
	}
	return false
}

// checkDiff plays a history and checks what must hold for every step of it.
func checkDiff(t *testing.T, data []byte) {
	db := Northbound.load()
	f := fakeServer{newCache(db)}
	c := &choices{data}
	for len(c.data) > 0 {
		o, want := randomWant(c)
		r, err := db.resolve(o, want)
		if err != nil {
			t.Fatalf("%s: %v\n%s", o, err, want.Text(db))
		}
		plan, missing, err := diff(r, f.cache, memory{})
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
		again, missing, err := diff(r, f.cache, memory{})
		if err != nil || len(missing) > 0 || !again.Empty() {
			t.Fatalf("%s is not done after\n%s\nleft: %s missing: %v err: %v", o, plan, again, missing, err)
		}
		got := map[string]uint64{}
		for _, have := range f.owned(o) {
			got[have.uuid] = have.hash()
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
		slices.Reverse(want.Rows)
		reversed, err := db.resolve(o, want)
		if err != nil {
			t.Fatal(err)
		}
		// The anchor of rows without external_ids is the first row: only then order may matter, and then by its note alone.
		if plan, _, _ := diff(reversed, f.cache, memory{}); !plan.Empty() && !strings.Contains(plan.String(), keyWith) {
			t.Fatalf("%s: the order of rows matters:\n%s", o, plan)
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

// FuzzUpdate feeds the cache with what no server would send: errors are fine, panics are not.
func FuzzUpdate(f *testing.F) {
	for _, s := range []string{
		`{"Logical_Switch":{"u1":{"initial":{"name":"s","ports":["set",[["uuid","p1"],["uuid","p2"]]],"external_ids":["map",[["woven/owner","pod/x"]]]}}}}`,
		`{"Logical_Switch":{"u1":{"modify":{"ports":["uuid","p1"],"other_config":["map",[["a","b"]]]}}}}`,
		`{"ACL":{"a":{"insert":{"priority":5,"log":true,"label":1e3,"severity":["set",[]]}},"b":{"delete":null}}}`,
		`{"Port_Group":{"a":{"insert":{"name":"\u00e9\"\\"}}}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if !json.Valid(data) || len(data) == 0 || data[0] != '{' {
			t.Skip("not an object: the session's own JSON reader refuses it before the cache sees it")
		}
		c := newCache(Northbound.load())
		if err := c.update(&scanner{b: data}, nil); err != nil {
			t.Skip(err) // refused, as it should be: only a panic fails
		}
	})
}

// TestWrittenIsRead checks that what the encoder writes, the decoder reads.
func TestWrittenIsRead(t *testing.T) {
	id := Sym("x").UUID()
	no := false
	for _, m := range []Model{
		&nb.LogicalSwitchPort{Name: "n\"\\\né<", Addresses: []string{"a b", "", "c"}, Options: map[string]string{"k": "v", "": ""}, Dhcpv4Options: &id, Enabled: &no},
		&nb.ACL{Priority: -5, Log: true, Label: 1 << 40, Action: "drop", SampleNew: &id},
		&nb.QoS{Action: map[string]int{"dscp": 5}, Bandwidth: map[string]int{"rate": 10, "burst": 20}},
	} {
		table, err := Northbound.load().tableOf(m)
		if err != nil {
			t.Fatal(err)
		}
		in := reflect.ValueOf(m).Elem()
		out := reflect.New(table.typ).Elem()
		for _, c := range table.owned {
			text := c.appendField(nil, in.Field(c.field))
			if !json.Valid(text) {
				t.Errorf("%s: not JSON: %s", c.name, text)
			}
			s := &scanner{b: text}
			c.read(s, out.Field(c.field), false)
			if s.err != nil || !equal(in.Field(c.field), out.Field(c.field)) || hashOf(in.Field(c.field)) != hashOf(out.Field(c.field)) {
				t.Errorf("%s.%s: wrote %s, read %v (%v)", table.name, c.name, text, out.Field(c.field), s.err)
			}
			if c.composite && in.Field(c.field).Len() > 0 { // the difference with itself is nothing
				s = &scanner{b: text}
				if c.read(s, out.Field(c.field), true); out.Field(c.field).Len() != 0 {
					t.Errorf("%s: %v is left", c.name, out.Field(c.field))
				}
			}
		}
	}
}

// TestKnowledgeMatchesSchema finds columns that were renamed in a newer schema.
func TestKnowledgeMatchesSchema(t *testing.T) {
	db := Northbound.load()
	for _, s := range northbound.sets {
		if _, err := db.column(s); err != nil {
			t.Error(err)
		}
	}
	for _, f := range northbound.foreign {
		table, name, _ := strings.Cut(f, ".")
		if db.tables[table] == nil || db.tables[table].columns[name] == nil {
			t.Errorf("there is no column %s", f)
		}
	}
	for _, name := range northbound.names {
		if db.tables[name].name1 == nil {
			t.Errorf("%s has no name", name)
		}
	}
}
