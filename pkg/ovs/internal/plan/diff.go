package plan

import (
	"fmt"
	"slices"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/internal/cache"
	"github.com/woven-cni/woven/pkg/ovs/internal/record"
)

// Past is what an owner wanted before, as far as its rows do not say it: a row that died with its parent took its woven/in
// along, and only Past knows the elements that it had in other sets.
type Past struct {
	Elements []record.Element          // of the owner, as of its last plan
	Shared   func(record.Element) bool // whether another owner wants the same element in the same set
}

// Diff compares what an owner wants with what the cache holds. It is a function of its arguments, and reads only what it
// finds by UUID or by owner. With rows missing there is no plan.
func Diff(want *Resolved, have *cache.Cache, before Past) (Plan, []ovs.Ref, error) {
	d := differ{want: want, have: have, before: before, owned: have.Owned(want.owner)}
	for _, n := range want.needs {
		d.supply(n)
	}
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
	want    *Resolved
	have    *cache.Cache
	before  Past
	gone    map[string]bool         // rows that go
	keep    map[record.Element]bool // elements that stay
	plan    Plan
	missing []ovs.Ref
	owned   []cache.OwnedRow
}

func (d *differ) add(c change) { d.plan.changes = append(d.plan.changes, c) }

func (d *differ) row(w *resolvedRow) error {
	d.need(w)
	cur := d.have.Row(w.table, w.uuid)
	switch {
	case cur == nil && (w.table.Given || w.sym.Found()):
		d.miss(ovs.Ref{Table: w.table.Name, Sym: w.sym, UUID: w.uuid}) // it cannot be made as it was
	case cur == nil:
		d.add(change{kind: insert, table: w.table, uuid: w.uuid, sym: w.sym, model: w.model, set: w.ids})
	default:
		// A row of ours that somebody robbed of its external_ids is still known by its UUID.
		if o := cur.IDs().Owner(); o != "" && o != d.want.owner.String() && o != w.from.String() {
			return &ovs.ErrTaken{Table: w.table.Name, Details: fmt.Sprintf("%s belongs to %s", w.sym, o)}
		}
		d.update(w, cur)
	}
	for _, m := range w.members {
		if cur == nil || !d.have.Contains(m.Element) {
			d.member(join, m, w.sym)
		}
	}
	return nil
}

func (d *differ) member(kind changeKind, m record.Membership, carrier ovs.Sym) {
	c := change{kind: kind, table: m.Column.Table, uuid: m.Parent, element: m.Element}
	c.where = m.Column.String() + "@" + string(m.ParentSym)
	switch {
	case m.MemberSym != "":
		c.sym = m.MemberSym
	case m.Column.UUIDs:
		c.sym = carrier
	}
	d.add(c)
}

// need notes the rows that w refers to and that do not exist.
func (d *differ) need(w *resolvedRow) {
	for _, c := range w.table.Owned {
		if c.Ref == "" {
			continue
		}
		c.References(w.model, func(id string) {
			if !d.want.brings(id) && !d.have.Has(c.Ref, id) {
				d.miss(ovs.Ref{Table: c.Ref, UUID: id})
			}
		})
	}
	for _, m := range w.members {
		if !d.want.brings(m.Parent) && !d.have.Has(m.Column.Table.Name, m.Parent) {
			d.miss(ovs.Ref{Table: m.Column.Table.Name, Sym: m.ParentSym, UUID: m.Parent})
		}
		if m.MemberSym != "" && !d.want.brings(m.Value) && !d.have.Has(m.Column.Ref, m.Value) {
			d.miss(ovs.Ref{Table: m.Column.Ref, Sym: m.MemberSym, UUID: m.Value})
		}
	}
}

func (d *differ) miss(r ovs.Ref) {
	if !slices.ContainsFunc(d.missing, func(o ovs.Ref) bool { return o.Table == r.Table && o.UUID == r.UUID }) {
		d.missing = append(d.missing, r)
	}
}

func (d *differ) update(w *resolvedRow, cur *cache.Row) {
	c := change{kind: update, table: w.table, uuid: w.uuid, sym: w.sym, model: w.model}
	v := cur.Value()
	for _, col := range w.table.Owned {
		if !col.Equal(w.model, v) {
			c.columns = append(c.columns, col)
		}
	}
	if w.ids != nil {
		c.set, c.unset = idsDiff(w.ids, cur.IDs())
	}
	if len(c.columns)+len(c.set)+len(c.unset) > 0 {
		d.add(c)
	}
}

// idsDiff finds what to set, and which old keys have to go first: an insert never overwrites a key of a map.
func idsDiff(want, have record.IDs) (set, unset map[string]string) {
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
			unset = with(unset, k, old)
		}
	}
	for k, old := range have.Own() {
		if _, ok := want[k]; !ok {
			unset = with(unset, k, old)
		}
	}
	return set, unset
}

func with(m map[string]string, k, v string) map[string]string {
	if m == nil {
		m = map[string]string{}
	}
	m[k] = v
	return m
}

// leftovers undoes what the owner has and no longer wants.
func (d *differ) leftovers() {
	d.gone = map[string]bool{}
	d.owned = slices.DeleteFunc(d.owned, func(r cache.OwnedRow) bool { return d.want.left[r.UUID] && d.want.byUUID[r.UUID] == nil })
	for _, r := range d.owned {
		if d.want.byUUID[r.UUID] == nil {
			d.gone[r.UUID] = true
		}
	}
	for _, r := range d.owned {
		if w := d.want.byUUID[r.UUID]; w != nil && w.ids.SameMemberships(r.IDs()) {
			continue // remembers what it wants
		}
		held := false
		for _, m := range r.IDs().Memberships(d.want.db) {
			if d.leave(m, r.Sym) {
				held = held || m.Column.Strong && m.Value == r.UUID
			}
		}
		if d.gone[r.UUID] {
			d.remove(r, held)
		}
	}
	for _, w := range d.want.rows {
		d.surplus(w)
	}
	for _, r := range d.owned {
		d.have.Joined(r.UUID, func(c record.Element) {
			// What others have put into rows of theirs is theirs.
			if parent := d.have.Row(c.Column.Table, c.Parent); parent != nil && parent.IDs().Owner() != "" {
				d.leave(record.Membership{Element: c, ParentSym: parent.IDs().Sym()}, r.Sym)
			}
		})
	}
	for _, c := range d.before.Elements {
		if parent := d.have.Row(c.Column.Table, c.Parent); parent != nil {
			d.leave(record.Membership{Element: c, ParentSym: parent.IDs().Sym()}, "")
		}
	}
}

// surplus takes out of the sets that the row has for itself what is not wanted there.
func (d *differ) surplus(w *resolvedRow) {
	cur := d.have.Row(w.table, w.uuid)
	if cur == nil {
		return
	}
	for _, c := range w.exact {
		for v := range cur.Set(c) {
			d.leave(record.Membership{Element: record.Element{Column: c, Parent: w.uuid, Value: v}, ParentSym: w.sym}, "")
		}
	}
}

// leave takes an element that is no longer wanted out of its set, and says whether it was there to be taken.
func (d *differ) leave(m record.Membership, carrier ovs.Sym) bool {
	if d.keep == nil {
		d.keep = d.want.elements()
	}
	if d.keep[m.Element] || !d.have.Contains(m.Element) {
		return false
	}
	d.keep[m.Element] = true // once is enough
	switch {
	case d.gone[m.Parent] && m.Column.Table.Root, d.gone[m.Value] && !m.Column.Strong:
		// The server drops it with the row.
	case d.before.Shared != nil && d.before.Shared(m.Element):
		// The other owner takes it out in its time.
	default:
		d.member(leave, m, carrier)
	}
	return true
}

// remove deletes a row of a root table; a row that we did not make only loses our columns. A row of another table goes by
// itself, once nothing refers to it. Where the row does not record the sets that hold it, all sets are searched for it.
func (d *differ) remove(r cache.OwnedRow, held bool) {
	if r.Table.Given {
		d.add(change{kind: update, table: r.Table, uuid: r.UUID, sym: r.Sym, unset: r.IDs().Own()})
		return
	}
	if r.Table.Root {
		d.add(change{kind: remove, table: r.Table, uuid: r.UUID, sym: r.Sym})
		return
	}
	if held {
		return
	}
	d.have.Holders(r.Row, func(parent *cache.Row, c record.Element) {
		d.member(leave, record.Membership{Element: c, ParentSym: parent.IDs().Sym()}, r.Sym)
	})
}
