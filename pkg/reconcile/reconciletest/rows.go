package reconciletest

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/pkg/ovs/ovstest"
)

// dump writes the wanted rows for people: a line with the table, the name and the set that keeps the row, then a line a
// column that is not empty; then the rows of others that these need, with the members that they need there. Rows are sorted by
// name, so that the order in which a feature adds them does not show.
func dump(t *testing.T, want ovs.Desired) string {
	t.Helper()
	tables, oldest := tableNames(t), oldestSchema(t)
	rows := slices.Clone(want.Rows)
	slices.SortFunc(rows, func(a, b ovs.Row) int { return strings.Compare(string(a.Sym), string(b.Sym)) })
	tableOf := func(sym ovs.Sym, model ovs.Model) string {
		table, ok := tables[reflect.TypeOf(model).Elem()]
		if !ok {
			t.Fatalf("%s is a %T, which is no table of the northbound database", sym, model)
		}
		return table
	}
	var b strings.Builder
	for _, row := range rows {
		table := tableOf(row.Sym, row.Model)
		fmt.Fprintf(&b, "%s %s", table, row.Sym)
		if row.In != (ovs.Column{}) {
			fmt.Fprintf(&b, " in %s.%s", row.In.Of, row.In.Column)
		}
		b.WriteString("\n")
		checkOldest(t, oldest, table, reflect.ValueOf(row.Model).Elem())
		dumpColumns(&b, reflect.ValueOf(row.Model).Elem())
		for _, e := range row.Exact {
			fmt.Fprintf(&b, "  %-13s exactly %s\n", e.Set.Column, value(reflect.ValueOf(e.Values)))
		}
		for _, m := range row.Also {
			fmt.Fprintf(&b, "  also %s\n", member(row.Sym, m))
		}
	}
	needs := slices.Clone(want.Needs)
	slices.SortFunc(needs, func(a, b ovs.Need) int { return strings.Compare(string(a.Sym), string(b.Sym)) })
	for _, need := range needs {
		fmt.Fprintf(&b, "needs %s %s\n", tableOf(need.Sym, need.Model), need.Sym)
		dumpColumns(&b, reflect.ValueOf(need.Model).Elem())
		for _, m := range slices.Sorted(slices.Values(need.Members)) {
			fmt.Fprintf(&b, "  with %s in %s\n", m, need.Set.Column)
		}
	}
	return b.String()
}

// tableNames are the tables of the northbound database by the type of their model.
func tableNames(t *testing.T) map[reflect.Type]string {
	t.Helper()
	model, err := nb.FullDatabaseModel()
	if err != nil {
		t.Fatal(err)
	}
	names := map[reflect.Type]string{}
	for table, pointer := range model.Types() {
		names[pointer.Elem()] = table
	}
	return names
}

// checkOldest holds that a row needs nothing that the oldest OVN lacks: its server would refuse the row.
func checkOldest(t *testing.T, oldest ovsdb.DatabaseSchema, table string, row reflect.Value) {
	t.Helper()
	known := oldest.Table(table)
	if known == nil {
		t.Errorf("the oldest OVN that is supported has no table %s", table)
		return
	}
	for i := range row.NumField() {
		column := row.Type().Field(i).Tag.Get("ovsdb")
		if !row.Field(i).IsZero() && column != "_uuid" && known.Column(column) == nil {
			t.Errorf("the oldest OVN that is supported has no column %s.%s", table, column)
		}
	}
}

// oldestSchema is the schema of the oldest OVN that is supported.
func oldestSchema(t *testing.T) ovsdb.DatabaseSchema {
	t.Helper()
	text, err := os.ReadFile(ovstest.Oldest(t))
	if err != nil {
		t.Fatal(err)
	}
	var schema ovsdb.DatabaseSchema
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	return schema
}

func dumpColumns(b *strings.Builder, row reflect.Value) {
	for i := range row.NumField() {
		field := row.Field(i)
		if field.IsZero() {
			continue
		}
		fmt.Fprintf(b, "  %-13s %s\n", row.Type().Field(i).Tag.Get("ovsdb"), value(field))
	}
}

// value is a column's value: a set in brackets, a map in braces with its keys sorted, texts without quotes.
func value(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Pointer:
		return value(v.Elem())
	case reflect.Slice:
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = value(v.Index(i))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case reflect.Map:
		entries := map[string]string{}
		for _, k := range v.MapKeys() {
			entries[value(k)] = value(v.MapIndex(k))
		}
		var parts []string
		for _, k := range slices.Sorted(maps.Keys(entries)) {
			parts = append(parts, k+"="+entries[k])
		}
		return "{" + strings.Join(parts, ", ") + "}"
	default:
		return fmt.Sprint(v.Interface())
	}
}

// member says which element a row puts into which set.
func member(row ovs.Sym, m ovs.Membership) string {
	element := m.Value
	switch {
	case m.Row != "" && m.Row != row:
		element = string(m.Row)
	case element == "":
		element = "this row"
	}
	return fmt.Sprintf("%s in %s.%s", element, m.In.Of, m.In.Column)
}
