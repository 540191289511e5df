package schema

import (
	"fmt"
	"reflect"
	"strings"
)

// New is an empty row with a UUID: the struct that a model points to.
func (t *Table) New(uuid string) reflect.Value {
	row := reflect.New(t.typ).Elem()
	row.Field(t.uuid).SetString(uuid)
	return row
}

// Copy is a copy of a row. Its slices and maps are shared.
func (t *Table) Copy(row reflect.Value) reflect.Value {
	out := reflect.New(t.typ).Elem()
	out.Set(row)
	return out
}

// UUID is the UUID that a row has in itself.
func (t *Table) UUID(row reflect.Value) string { return row.Field(t.uuid).String() }

// IDs are the external_ids of a row; nil where the table has none.
func (t *Table) IDs(row reflect.Value) map[string]string {
	if t.ExternalIDs == nil {
		return nil
	}
	m, _ := t.ExternalIDs.Of(row).Interface().(map[string]string)
	return m
}

// Hash is a hash of the owned columns of a row and of these external_ids.
func (t *Table) Hash(row reflect.Value, ids map[string]string) uint64 {
	var sum uint64
	for i, c := range t.Owned {
		sum += Stir(hashOf(c.Of(row))) * uint64(2*i+1)
	}
	for k, v := range ids {
		sum += HashPair(k, v)
	}
	return sum
}

// References calls f for each UUID in the column of a row.
func (c *Column) References(row reflect.Value, f func(id string)) {
	switch v := c.Of(row).Interface().(type) {
	case string:
		f(v)
	case *string:
		if v != nil {
			f(*v)
		}
	case []string:
		for _, id := range v {
			f(id)
		}
	case map[string]string:
		for k, id := range v {
			if c.uuidVal {
				f(id)
			}
			if c.UUIDs {
				f(k)
			}
		}
	}
}

// Text shows to people what a row holds beside its sets, a line for each column that is not empty. Where references are
// among the names, it shows these.
func (t *Table) Text(row reflect.Value, names map[string]string) string {
	var b strings.Builder
	for _, c := range t.Owned {
		if c.Of(row).IsZero() {
			continue
		}
		text := c.Format(row)
		if c.Ref != "" {
			for id, name := range names {
				text = strings.ReplaceAll(text, id, name)
			}
		}
		fmt.Fprintf(&b, "  %s %s\n", c.Name, text)
	}
	if len(t.IDs(row)) > 0 {
		fmt.Fprintf(&b, "  %s %s\n", t.ExternalIDs.Name, t.ExternalIDs.Format(row))
	}
	return b.String()
}
