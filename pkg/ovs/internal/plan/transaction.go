package plan

import (
	"maps"
	"slices"
	"strconv"

	"github.com/woven-cni/woven/pkg/ovs/internal/record"
	"github.com/woven-cni/woven/pkg/ovs/internal/schema"
)

// Transaction is what makes one or more plans come true, all or none.
type Transaction struct{ operations []operation }

// NewTransaction takes the plans together.
func NewTransaction(plans ...Plan) Transaction {
	t := newTxn()
	for _, p := range plans {
		t.add(p)
	}
	return Transaction{t.operations()}
}

// Params are the parameters of "transact".
func (t Transaction) Params(database string) []byte {
	b := strconv.AppendQuote([]byte{'['}, database)
	for _, op := range t.operations {
		b = append(append(b, ','), op.json...)
	}
	return append(b, ']')
}

// txn gathers the operations of one or more plans. Their order: guards of names, inserts, guards of parents,
// updates, mutations of sets (one per row and column, whoever contributed), deletes, guards of names in other tables, which
// see what the transaction itself has brought there.
type txn struct {
	guards, inserts, updates, deletes []operation
	rivals                            []operation
	parents                           map[string]*schema.Table
	parentOrder                       []string
	sets                              map[record.Element]*mutation // keyed with an empty value
	setOrder                          []record.Element
	inserted                          map[string]bool
}

// operation is one operation as JSON, and what it is about.
type operation struct {
	json  []byte
	table *schema.Table
	guard guardKind
	name  string // that a guardName is about
}

// guardKind is what a refused wait means.
type guardKind int

const (
	noGuard     guardKind = iota
	guardName             // another row has the name
	guardParent           // the row whose set is to be changed has gone
)

// mutation is what several owners do to one set.
type mutation struct{ joins, leaves []string }

func newTxn() *txn {
	return &txn{parents: map[string]*schema.Table{}, sets: map[record.Element]*mutation{}, inserted: map[string]bool{}}
}

// add takes a plan in.
func (t *txn) add(p Plan) {
	for _, c := range p.changes {
		switch c.kind {
		case insert:
			t.insert(c)
		case update:
			t.update(c)
		case remove:
			t.deletes = append(t.deletes, operation{table: c.table, json: []byte(`{"op":"delete","table":"` + c.table.Name + `",` + whereUUID(c.uuid) + `}`)})
		default:
			t.mutate(c)
		}
	}
}

func whereUUID(id string) string { return `"where":[["_uuid","==",["uuid","` + id + `"]]]` }

// guardName makes sure that no other row has the name. The schema allows twins of switches and routers, and without this
// wait two leaders that race make them; it also allows a port of a switch and one of a router with the same name.
func (t *txn) guardName(c change) {
	if c.table.UniqueName == nil && len(c.table.Rivals) == 0 {
		return
	}
	column := c.table.Columns["name"]
	if c.kind == update && !slices.Contains(c.columns, column) {
		return
	}
	name := column.Of(c.model).String()
	if c.table.UniqueName != nil {
		t.guards = append(t.guards, awaitNoneNamed(c.table, name))
	}
	for _, other := range c.table.Rivals {
		t.rivals = append(t.rivals, awaitNoneNamed(other, name))
	}
}

// awaitNoneNamed passes only while no row of the table has the name.
func awaitNoneNamed(table *schema.Table, name string) operation {
	value := schema.AppendText(nil, name)
	b := append([]byte(`{"op":"wait","timeout":0,"table":"`+table.Name+`","columns":["name"],"until":"!=","where":[["name","==",`), value...)
	b = append(append(append(b, `]],"rows":[{"name":`...), value...), "}]}"...)
	return operation{json: b, table: table, guard: guardName, name: name}
}

func (t *txn) insert(c change) {
	if t.inserted[c.uuid] {
		return // a row that two plans need
	}
	t.guardName(c)
	t.inserted[c.uuid] = true
	b := []byte(`{"op":"insert","table":"` + c.table.Name + `","uuid":"` + c.uuid + `","row":{`)
	comma := false
	for _, col := range c.table.Owned {
		if col.Of(c.model).IsZero() {
			continue // the column's default
		}
		b = appendColumn(b, col, comma)
		b = col.Append(b, c.model)
		comma = true
	}
	if c.table.ExternalIDs != nil {
		b = appendColumn(b, c.table.ExternalIDs, comma)
		b = appendMap(b, c.set)
	}
	t.inserts = append(t.inserts, operation{json: append(b, "}}"...), table: c.table})
}

func appendColumn(b []byte, c *schema.Column, comma bool) []byte {
	if comma {
		b = append(b, ',')
	}
	return append(append(append(b, '"'), c.Name...), `":`...)
}

func (t *txn) update(c change) {
	if len(c.columns) > 0 {
		t.guardName(c)
		b := []byte(`{"op":"update","table":"` + c.table.Name + `",` + whereUUID(c.uuid) + `,"row":{`)
		for i, col := range c.columns {
			b = appendColumn(b, col, i > 0)
			b = col.Append(b, c.model)
		}
		t.updates = append(t.updates, operation{json: append(b, "}}"...), table: c.table})
	}
	if len(c.set)+len(c.unset) == 0 {
		return
	}
	b := []byte(`{"op":"mutate","table":"` + c.table.Name + `",` + whereUUID(c.uuid) + `,"mutations":[`)
	if len(c.unset) > 0 {
		b = append(b, `["external_ids","delete",["set",[`...)
		for i, k := range slices.Sorted(maps.Keys(c.unset)) {
			if i > 0 {
				b = append(b, ',')
			}
			b = schema.AppendText(b, k)
		}
		b = append(b, "]]]"...)
	}
	if len(c.set) > 0 {
		if len(c.unset) > 0 {
			b = append(b, ',')
		}
		b = append(b, `["external_ids","insert",`...)
		b = append(appendMap(b, c.set), ']')
	}
	t.updates = append(t.updates, operation{json: append(b, "]}"...), table: c.table})
}

func appendMap(b []byte, m map[string]string) []byte {
	b = append(b, `["map",[`...)
	for i, k := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = schema.AppendText(append(b, '['), k)
		b = append(schema.AppendText(append(b, ','), m[k]), ']')
	}
	return append(b, "]]"...)
}

// mutate notes a join or leave. A mutation of a row that does not exist succeeds in silence, and a child just inserted
// would be collected in the same commit: joins guard the parent.
func (t *txn) mutate(c change) {
	key := record.Element{Column: c.element.Column, Parent: c.element.Parent}
	m := t.sets[key]
	if m == nil {
		m = &mutation{}
		t.sets[key] = m
		t.setOrder = append(t.setOrder, key)
	}
	if c.kind == leave {
		m.leaves = append(m.leaves, c.element.Value)
		return
	}
	m.joins = append(m.joins, c.element.Value)
	if t.parents[c.element.Parent] == nil {
		t.parents[c.element.Parent] = c.element.Column.Table
		t.parentOrder = append(t.parentOrder, c.element.Parent)
	}
}

// operations are all of them, in order.
func (t *txn) operations() []operation {
	out := slices.Concat(t.guards, t.inserts)
	for _, id := range t.parentOrder {
		if t.inserted[id] {
			continue
		}
		tbl := t.parents[id]
		json := `{"op":"wait","timeout":0,"table":"` + tbl.Name + `",` + whereUUID(id) +
			`,"columns":["_uuid"],"until":"==","rows":[{"_uuid":["uuid","` + id + `"]}]}`
		out = append(out, operation{json: []byte(json), table: tbl, guard: guardParent})
	}
	out = append(out, t.updates...)
	for _, key := range t.setOrder {
		out = append(out, operation{json: t.sets[key].json(key), table: key.Column.Table})
	}
	return slices.Concat(out, t.deletes, t.rivals)
}

func (m *mutation) json(key record.Element) []byte {
	b := []byte(`{"op":"mutate","table":"` + key.Column.Table.Name + `",` + whereUUID(key.Parent) + `,"mutations":[`)
	if len(m.leaves) > 0 {
		b = appendMutation(b, key.Column, "delete", m.leaves)
	}
	if len(m.joins) > 0 {
		if len(m.leaves) > 0 {
			b = append(b, ',')
		}
		b = appendMutation(b, key.Column, "insert", m.joins)
	}
	return append(b, "]}"...)
}

func appendMutation(b []byte, c *schema.Column, mutator string, values []string) []byte {
	b = append(b, `["`+c.Name+`","`+mutator+`",["set",[`...)
	slices.Sort(values)
	for i, v := range slices.Compact(values) {
		if i > 0 {
			b = append(b, ',')
		}
		b = c.AppendElement(b, v)
	}
	return append(b, "]]]"...)
}
