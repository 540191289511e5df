package ovs

import (
	"fmt"
	"slices"
)

// memory is what the ledger adds to what the rows say: a row that died with its parent took its woven/in along, and the
// values it had put into other sets are remembered here alone.
type memory struct {
	claims []claim          // of the owner, as of its last Apply
	shared func(claim) bool // whether another owner wants the same element in the same set
}

// diff compares what an owner wants with what the cache holds. It is a function of its arguments, and reads only what it
// finds by UUID or by owner. With rows missing there is no plan.
func diff(want *resolved, have *cache, before memory) (Plan, []Ref, error) {
	d := differ{want: want, have: have, before: before, plan: Plan{owner: want.owner}, owned: have.owned(want.owner)}
	for _, w := range want.rows {
		if err := d.row(w); err != nil {
			return Plan{}, nil, err
		}
	}
	if len(d.missing) > 0 {
		return Plan{}, d.missing, nil
	}
	d.leftovers()
	return d.plan, nil, nil
}

type differ struct {
	want    *resolved
	have    *cache
	before  memory
	gone    map[string]bool // rows that go
	keep    map[claim]bool  // claims that stay
	plan    Plan
	missing []Ref
	owned   []ownedRow
}

func (d *differ) add(c change) { d.plan.changes = append(d.plan.changes, c) }

func (d *differ) row(w *wanted) error {
	d.need(w)
	cur := d.have.row(w.table, w.uuid)
	if cur == nil {
		d.add(change{kind: insert, table: w.table, uuid: w.uuid, sym: w.sym, model: w.model, set: w.ids})
	} else {
		// A row of ours that somebody robbed of its external_ids is still known by its UUID.
		if o := cur.owner(); o != "" && o != d.want.owner.String() {
			return &ErrTaken{Table: w.table.name, Details: fmt.Sprintf("%s belongs to %s", w.sym, o)}
		}
		d.update(w, cur)
	}
	for _, m := range w.members {
		if cur == nil || !d.have.contains(m.claim) {
			d.member(join, m, w.sym)
		}
	}
	return nil
}

func (d *differ) member(kind changeKind, m membership, carrier Sym) {
	c := change{kind: kind, table: m.column.table, uuid: m.parent, claim: m.claim}
	c.where = m.column.set().Of(m.parentSym).String()
	switch {
	case m.memberSym != "":
		c.sym = m.memberSym
	case m.column.uuidKey:
		c.sym = carrier
	}
	d.add(c)
}

// need notes the rows that w refers to and that do not exist.
func (d *differ) need(w *wanted) {
	for _, c := range w.table.owned {
		if c.ref == "" {
			continue
		}
		w.references(c, func(id string) {
			if d.want.byUUID[id] == nil && !d.have.has(c.ref, id) {
				d.miss(Ref{Table: c.ref, UUID: id})
			}
		})
	}
	for _, m := range w.members {
		if d.want.byUUID[m.parent] == nil && !d.have.has(m.column.table.name, m.parent) {
			d.miss(Ref{Table: m.column.table.name, Sym: m.parentSym, UUID: m.parent})
		}
		if m.memberSym != "" && d.want.byUUID[m.value] == nil && !d.have.has(m.column.ref, m.value) {
			d.miss(Ref{Table: m.column.ref, Sym: m.memberSym, UUID: m.value})
		}
	}
}

func (d *differ) miss(r Ref) {
	if !slices.ContainsFunc(d.missing, func(o Ref) bool { return o.Table == r.Table && o.UUID == r.UUID }) {
		d.missing = append(d.missing, r)
	}
}

func (d *differ) update(w *wanted, cur *row) {
	c := change{kind: update, table: w.table, uuid: w.uuid, sym: w.sym, model: w.model}
	v := cur.value()
	for _, col := range w.table.owned {
		if !equal(w.model.Field(col.field), v.Field(col.field)) {
			c.columns = append(c.columns, col)
		}
	}
	if w.ids != nil {
		c.set, c.unset = idsDiff(w.ids, cur)
	}
	if len(c.columns)+len(c.set)+len(c.unset) > 0 {
		d.add(c)
	}
}

// idsDiff finds what to set, and which old keys have to go first: an insert never overwrites a key of a map.
func idsDiff(want map[string]string, cur *row) (set, unset map[string]string) {
	have := cur.ids()
	for k, v := range want {
		old, ok := have[k]
		if ok && old == v {
			continue
		}
		if set == nil {
			set = map[string]string{}
		}
		set[k] = v
		if ok {
			unset = with1(unset, k, old)
		}
	}
	for k, old := range cur.own() {
		if _, ok := want[k]; !ok {
			unset = with1(unset, k, old)
		}
	}
	return set, unset
}

func with1(m map[string]string, k, v string) map[string]string {
	if m == nil {
		m = map[string]string{}
	}
	m[k] = v
	return m
}

// leftovers undoes what the owner has and no longer wants.
func (d *differ) leftovers() {
	d.gone = map[string]bool{}
	for _, r := range d.owned {
		if d.want.byUUID[r.uuid] == nil {
			d.gone[r.uuid] = true
		}
	}
	for _, r := range d.owned {
		if w := d.want.byUUID[r.uuid]; w != nil && w.ids[keyIn] == r.ids()[keyIn] {
			continue // remembers what it wants
		}
		held := false
		for _, m := range d.have.db.recorded(r.row) {
			if d.leave(m, r.sym) {
				held = held || m.column.strong && m.value == r.uuid
			}
		}
		if d.gone[r.uuid] {
			d.remove(r, held)
		}
	}
	for _, w := range d.want.rows {
		d.surplus(w)
	}
	for _, r := range d.owned {
		for c := range d.have.places[r.uuid] {
			// What others have put into rows of theirs is theirs.
			if parent := d.have.row(c.column.table, c.parent); parent != nil && parent.owner() != "" {
				d.leave(membership{claim: c, parentSym: parent.sym()}, r.sym)
			}
		}
	}
	for _, c := range d.before.claims {
		if parent := d.have.row(c.column.table, c.parent); parent != nil {
			d.leave(membership{claim: c, parentSym: parent.sym()}, "")
		}
	}
}

// surplus takes out of the sets that the row has for itself what is not wanted there.
func (d *differ) surplus(w *wanted) {
	cur := d.have.row(w.table, w.uuid)
	if cur == nil {
		return
	}
	for _, c := range w.exact {
		for v := range cur.sets[c] {
			d.leave(membership{claim: claim{c, w.uuid, v}, parentSym: w.sym}, "")
		}
	}
}

// leave takes an element that is no longer wanted out of its set, and says whether it was there to be taken.
func (d *differ) leave(m membership, carrier Sym) bool {
	if d.keep == nil {
		d.keep = d.want.claims()
	}
	if d.keep[m.claim] || !d.have.contains(m.claim) {
		return false
	}
	d.keep[m.claim] = true // once is enough
	switch {
	case d.gone[m.parent] && m.column.table.root, d.gone[m.value] && !m.column.strong:
		// The server drops it with the row.
	case d.before.shared != nil && d.before.shared(m.claim):
		// The other owner takes it out in its time.
	default:
		d.member(leave, m, carrier)
	}
	return true
}

// remove deletes a row of a root table. Others go by themselves, once nothing refers to them; if one does not
// remember what does, it is searched for.
func (d *differ) remove(r ownedRow, held bool) {
	if r.table.root {
		d.add(change{kind: remove, table: r.table, uuid: r.uuid, sym: r.sym})
		return
	}
	if held {
		return
	}
	for t, rows := range d.have.tables {
		for _, col := range t.sets {
			if col.ref != r.table.name || !col.strong {
				continue
			}
			for _, parent := range rows {
				m := membership{claim: claim{col, parent.uuid, r.uuid}, parentSym: parent.sym()}
				if d.have.contains(m.claim) {
					d.member(leave, m, r.sym)
				}
			}
		}
	}
}

// claims are all elements of sets that the owner wants.
func (r *resolved) claims() map[claim]bool {
	out := map[claim]bool{}
	for _, w := range r.rows {
		for _, m := range w.members {
			out[m.claim] = true
		}
	}
	return out
}
