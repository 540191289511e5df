package cache

import (
	"maps"
	"reflect"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/internal/record"
	"github.com/woven-cni/woven/pkg/ovs/internal/schema"
)

// Row is one row of the database as we hold it. It is not changed once it is in the cache, but for its sets.
type Row struct {
	Table *schema.Table
	UUID  string
	model ovs.Model
	// sets are the members columns, as maps: libovsdb's slices cost O(size) for every element that comes or goes.
	sets map[*schema.Column]map[string]struct{}
}

// Model is the row as a model, to be read only.
func (r *Row) Model() ovs.Model { return r.model }

// Value is the row as package schema wants it.
func (r *Row) Value() reflect.Value { return reflect.ValueOf(r.model).Elem() }

// Set are the elements of one of the row's sets, to be read only.
func (r *Row) Set(c *schema.Column) map[string]struct{} { return r.sets[c] }

// Elements calls f for each element of the row's sets.
func (r *Row) Elements(f func(record.Element)) {
	for column, set := range r.sets {
		for value := range set {
			f(record.Element{Column: column, Parent: r.UUID, Value: value})
		}
	}
}

// Name is the row's name; empty where the table has none, or none that is a plain text.
func (r *Row) Name() string {
	if column := r.Table.Columns["name"]; column != nil {
		if v := column.Of(r.Value()); v.Kind() == reflect.String {
			return v.String()
		}
	}
	return ""
}

// IDs are the external_ids; nil where the table has none.
func (r *Row) IDs() record.IDs { return r.Table.IDs(r.Value()) }

// Hash is a hash of all that is ours in the row.
func (r *Row) Hash() uint64 { return r.Table.Hash(r.Value(), r.IDs().Own()) }

// Changed names the columns of ours in which two states of a row differ.
func (r *Row) Changed(since *Row) []string {
	var out []string
	a, b := since.Value(), r.Value()
	for _, c := range r.Table.Owned {
		if !c.Equal(a, b) {
			out = append(out, c.Name)
		}
	}
	if !maps.Equal(since.IDs().Own(), r.IDs().Own()) {
		out = append(out, r.Table.ExternalIDs.Name)
	}
	return out
}
