package ovs

import (
	"maps"
	"slices"
	"strconv"
)

// txn gathers the operations of one or more plans. Their order: guards of names, inserts, guards of parents,
// updates, mutations of sets (one per row and column, whoever contributed), deletes.
type txn struct {
	guards, inserts, updates, deletes []operation
	parents                           map[string]*table
	parentOrder                       []string
	sets                              map[claim]*mutation // keyed with an empty value
	setOrder                          []claim
	inserted                          map[string]bool
	size                              int
}

// operation is one operation as JSON, and what it is about.
type operation struct {
	json  []byte
	table *table
	guard guardKind
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
	return &txn{parents: map[string]*table{}, sets: map[claim]*mutation{}, inserted: map[string]bool{}}
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
			t.put(&t.deletes, operation{table: c.table, json: []byte(`{"op":"delete","table":"` + c.table.name + `",` + whereUUID(c.uuid) + `}`)})
		default:
			t.mutate(c)
		}
	}
}

func (t *txn) put(to *[]operation, op operation) {
	*to = append(*to, op)
	t.size += len(op.json) + 1
}

func whereUUID(id string) string { return `"where":[["_uuid","==",["uuid","` + id + `"]]]` }

// guardName makes sure that no row has the name. The schema allows twins of switches and routers, and without this wait
// two leaders that race make them.
func (t *txn) guardName(c change) {
	name := c.table.name1
	if name == nil || c.kind == update && !slices.Contains(c.columns, name) {
		return
	}
	value := appendText(nil, c.model.Field(name.field).String())
	b := append([]byte(`{"op":"wait","timeout":0,"table":"`+c.table.name+`","columns":["name"],"until":"!=","where":[["name","==",`), value...)
	b = append(append(append(b, `]],"rows":[{"name":`...), value...), "}]}"...)
	t.put(&t.guards, operation{json: b, table: c.table, guard: guardName})
}

func (t *txn) insert(c change) {
	t.guardName(c)
	t.inserted[c.uuid] = true
	b := []byte(`{"op":"insert","table":"` + c.table.name + `","uuid":"` + c.uuid + `","row":{`)
	comma := false
	for _, col := range c.table.owned {
		v := c.model.Field(col.field)
		if v.IsZero() {
			continue // the column's default
		}
		b = appendColumn(b, col, comma)
		b = col.appendField(b, v)
		comma = true
	}
	if c.table.extIDs != nil {
		b = appendColumn(b, c.table.extIDs, comma)
		b = appendMap(b, c.set)
	}
	t.put(&t.inserts, operation{json: append(b, "}}"...), table: c.table})
}

func appendColumn(b []byte, c *column, comma bool) []byte {
	if comma {
		b = append(b, ',')
	}
	return append(append(append(b, '"'), c.name...), `":`...)
}

func (t *txn) update(c change) {
	if len(c.columns) > 0 {
		t.guardName(c)
		b := []byte(`{"op":"update","table":"` + c.table.name + `",` + whereUUID(c.uuid) + `,"row":{`)
		for i, col := range c.columns {
			b = appendColumn(b, col, i > 0)
			b = col.appendField(b, c.model.Field(col.field))
		}
		t.put(&t.updates, operation{json: append(b, "}}"...), table: c.table})
	}
	if len(c.set)+len(c.unset) == 0 {
		return
	}
	b := []byte(`{"op":"mutate","table":"` + c.table.name + `",` + whereUUID(c.uuid) + `,"mutations":[`)
	if len(c.unset) > 0 {
		b = append(b, `["external_ids","delete",["set",[`...)
		for i, k := range slices.Sorted(maps.Keys(c.unset)) {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendText(b, k)
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
	t.put(&t.updates, operation{json: append(b, "]}"...), table: c.table})
}

func appendMap(b []byte, m map[string]string) []byte {
	b = append(b, `["map",[`...)
	for i, k := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(append(b, '['), k)
		b = append(appendText(append(b, ','), m[k]), ']')
	}
	return append(b, "]]"...)
}

// mutate notes a join or leave. A mutation of a row that does not exist succeeds in silence, and a child just inserted
// would be collected in the same commit: joins guard the parent.
func (t *txn) mutate(c change) {
	key := claim{column: c.claim.column, parent: c.claim.parent}
	m := t.sets[key]
	if m == nil {
		m = &mutation{}
		t.sets[key] = m
		t.setOrder = append(t.setOrder, key)
		t.size += 200
	}
	t.size += len(c.claim.value) + 12
	if c.kind == leave {
		m.leaves = append(m.leaves, c.claim.value)
		return
	}
	m.joins = append(m.joins, c.claim.value)
	if t.parents[c.claim.parent] == nil {
		t.parents[c.claim.parent] = c.claim.column.table
		t.parentOrder = append(t.parentOrder, c.claim.parent)
		t.size += 200
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
		json := `{"op":"wait","timeout":0,"table":"` + tbl.name + `",` + whereUUID(id) +
			`,"columns":["_uuid"],"until":"==","rows":[{"_uuid":["uuid","` + id + `"]}]}`
		out = append(out, operation{json: []byte(json), table: tbl, guard: guardParent})
	}
	out = append(out, t.updates...)
	for _, key := range t.setOrder {
		out = append(out, operation{json: t.sets[key].json(key), table: key.column.table})
	}
	return append(out, t.deletes...)
}

func (m *mutation) json(key claim) []byte {
	b := []byte(`{"op":"mutate","table":"` + key.column.table.name + `",` + whereUUID(key.parent) + `,"mutations":[`)
	if len(m.leaves) > 0 {
		b = appendMutation(b, key.column, "delete", m.leaves)
	}
	if len(m.joins) > 0 {
		if len(m.leaves) > 0 {
			b = append(b, ',')
		}
		b = appendMutation(b, key.column, "insert", m.joins)
	}
	return append(b, "]}"...)
}

func appendMutation(b []byte, c *column, mutator string, values []string) []byte {
	b = append(b, `["`+c.name+`","`+mutator+`",["set",[`...)
	slices.Sort(values)
	for i, v := range slices.Compact(values) {
		if i > 0 {
			b = append(b, ',')
		}
		if c.uuidKey {
			b = appendUUID(b, v)
		} else {
			b = appendText(b, v)
		}
	}
	return append(b, "]]]"...)
}

// params is the parameter list of "transact".
func params(database string, ops []operation) []byte {
	b := strconv.AppendQuote([]byte{'['}, database)
	for _, op := range ops {
		b = append(append(b, ','), op.json...)
	}
	return append(b, ']')
}
