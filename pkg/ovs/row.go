package ovs

import (
	"reflect"
	"strings"
)

// row is one row of the database as we hold it. It is not changed once it is in the cache, but for its sets.
type row struct {
	table *table
	uuid  string
	model Model
	// sets are the members columns, as maps: libovsdb's slices cost O(size) for every element that comes or goes.
	sets map[*column]map[string]struct{}
}

func (r *row) value() reflect.Value { return reflect.ValueOf(r.model).Elem() }

// ids are the external_ids; nil where the table has none.
func (r *row) ids() map[string]string {
	if r.table.extIDs == nil {
		return nil
	}
	m, _ := r.value().Field(r.table.extIDs.field).Interface().(map[string]string)
	return m
}

func (r *row) sym() Sym      { return Sym(r.ids()[keyID]) }
func (r *row) owner() string { return r.ids()[keyOwner] }

// own are the external_ids that are ours.
func (r *row) own() map[string]string {
	all := r.ids()
	out := make(map[string]string, len(all))
	for k, v := range all {
		if strings.HasPrefix(k, keyPrefix) {
			out[k] = v
		}
	}
	for _, k := range strings.Fields(all[keyKeys]) {
		if v, ok := all[k]; ok {
			out[k] = v
		}
	}
	return out
}

func (r *row) hash() uint64 { return hashRow(r.table, r.value(), r.own()) }

// changed names the columns of ours in which two states of a row differ.
func (r *row) changed(since *row) []string {
	var out []string
	a, b := since.value(), r.value()
	for _, c := range r.table.owned {
		if !equal(a.Field(c.field), b.Field(c.field)) {
			out = append(out, c.name)
		}
	}
	if r.table.extIDs != nil && !equal(reflect.ValueOf(since.own()), reflect.ValueOf(r.own())) {
		out = append(out, externalIDs)
	}
	return out
}
