package engine

import (
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/internal/record"
)

// ObservedRow is a row as it is in the database.
type ObservedRow struct {
	Table string
	Sym   ovs.Sym
	Model ovs.Model
}

// Owned is what the database holds for an owner, sorted by Sym. The models are shared: read them only. Their members
// columns are empty.
func (d *DB) Owned(owner ovs.Owner) []ObservedRow {
	v := d.view()
	if v == nil {
		return nil
	}
	v.cache.RLock()
	defer v.cache.RUnlock()
	var out []ObservedRow
	for _, r := range v.cache.Owned(owner) {
		out = append(out, ObservedRow{Table: r.Table.Name, Sym: r.Sym, Model: r.Model()})
	}
	return out
}

// Has says whether the database holds the row.
func (d *DB) Has(table string, sym ovs.Sym) bool {
	v := d.view()
	if v == nil {
		return false
	}
	v.cache.RLock()
	defer v.cache.RUnlock()
	return v.cache.Has(table, sym.UUID())
}

// Contains says whether the database holds the element in the set; value is a row's UUID or a plain value.
func (d *DB) Contains(in ovs.Column, value string) bool {
	v := d.view()
	if v == nil {
		return false
	}
	c, err := d.database.Set(in.Table, in.Column)
	if err != nil {
		return false
	}
	v.cache.RLock()
	defer v.cache.RUnlock()
	return v.cache.Contains(record.Element{Column: c, Parent: in.Of.UUID(), Value: value})
}

// Named finds the row of a table that has a name, whoever made it; nil if there is none. The model is shared: read it
// only. Its members columns are empty.
func (d *DB) Named(table, name string) ovs.Model {
	v, t := d.view(), d.database.Tables[table]
	if v == nil || t == nil {
		return nil
	}
	v.cache.RLock()
	defer v.cache.RUnlock()
	if row := v.cache.Named(t, name); row != nil {
		return row.Model()
	}
	return nil
}

// Rows are all rows of a table, whoever made them, as with Named.
func (d *DB) Rows(table string) []ovs.Model {
	v, t := d.view(), d.database.Tables[table]
	if v == nil || t == nil {
		return nil
	}
	v.cache.RLock()
	defer v.cache.RUnlock()
	rows := v.cache.Rows(t)
	out := make([]ovs.Model, 0, len(rows))
	for _, row := range rows {
		out = append(out, row.Model())
	}
	return out
}

// OwnerOf reads from a row's external_ids whose it is and its Sym; not ok for a row that Woven has not made.
func OwnerOf(externalIDs map[string]string) (owner ovs.Owner, sym ovs.Sym, ok bool) {
	ids := record.IDs(externalIDs)
	owner, ok = ovs.ParseOwner(ids.Owner())
	return owner, ids.Sym(), ok
}
