package ovs

import (
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strings"
)

// Text shows the rows as goldens want them: sorted by table and Sym, empty columns left out, references as Syms where
// the Sym is one of the rows', one they mention, or one of those given.
//
//	Logical_Switch_Port pod/shop/web-0/port in Logical_Switch.ports@subnet/web/switch
//	  addresses ["0a:58:0a:10:00:05 10.16.0.5"]
//	  name web-0.shop
//	  also Port_Group.ports@policy/shop/db/group
func (d Desired) Text(db *Database, known ...Sym) string {
	db.load()
	names := map[string]Sym{}
	for _, r := range d.Rows {
		known = append(known, r.Sym, r.In.Of)
		for _, m := range r.Also {
			known = append(known, m.In.Of, m.Row)
		}
	}
	for _, s := range known {
		names[s.UUID()] = s
	}
	blocks := make([]string, len(d.Rows))
	for i, r := range d.Rows {
		blocks[i] = r.text(db, names)
	}
	sort.Strings(blocks)
	return strings.Join(blocks, "")
}

func (r Row) text(db *Database, names map[string]Sym) string {
	t, err := db.tableOf(r.Model)
	if err != nil {
		return fmt.Sprintf("%s: %v\n", r.Sym, err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", t.name, r.Sym)
	if r.In != (Column{}) {
		fmt.Fprintf(&b, " in %s", r.In)
	}
	b.WriteString("\n")
	writeColumns(&b, t, reflect.ValueOf(r.Model).Elem(), names)
	if t.extIDs != nil {
		if ids := reflect.ValueOf(r.Model).Elem().Field(t.extIDs.field); ids.Len() > 0 {
			fmt.Fprintf(&b, "  %s %s\n", externalIDs, format(ids))
		}
	}
	also := make([]string, 0, len(r.Also))
	for _, m := range r.Also {
		line := "  also " + m.In.String()
		switch {
		case m.Value != "":
			line += " = " + quote(m.Value)
		case m.Row != "" && m.Row != r.Sym:
			line += " = " + string(m.Row)
		}
		also = append(also, line+"\n")
	}
	sort.Strings(also)
	b.WriteString(strings.Join(also, ""))
	return b.String()
}

func writeColumns(b *strings.Builder, t *table, v reflect.Value, names map[string]Sym) {
	for _, c := range t.owned {
		f := v.Field(c.field)
		if f.IsZero() {
			continue
		}
		text := format(f)
		if c.ref != "" {
			for id, sym := range names {
				text = strings.ReplaceAll(text, id, string(sym))
			}
		}
		fmt.Fprintf(b, "  %s %s\n", c.name, text)
	}
}

// Dump shows all rows of ours that the database holds, with their sets, in the form of Desired.Text. Two databases that
// say the same give the same text.
func (d *DB) Dump() string {
	s := d.session()
	if s == nil {
		return ""
	}
	s.cache.mu.RLock()
	defer s.cache.mu.RUnlock()
	names := map[string]Sym{}
	var rows []ownedRow
	for name := range s.cache.owners {
		o, _ := ParseOwner(name)
		for _, r := range s.cache.owned(o) {
			names[r.uuid] = r.sym
			rows = append(rows, r)
		}
	}
	blocks := make([]string, len(rows))
	for i, r := range rows {
		var b strings.Builder
		fmt.Fprintf(&b, "%s %s\n", r.table.name, r.sym)
		writeColumns(&b, r.table, r.value(), names)
		if ids := r.ids(); len(ids) > 0 {
			fmt.Fprintf(&b, "  %s %s\n", externalIDs, format(reflect.ValueOf(ids)))
		}
		for _, c := range r.table.sets {
			if set := r.sets[c]; len(set) > 0 {
				fmt.Fprintf(&b, "  %s %s\n", c.name, strings.Join(named(set, names), " "))
			}
		}
		blocks[i] = b.String()
	}
	sort.Strings(blocks)
	return strings.Join(blocks, "")
}

func named(set map[string]struct{}, names map[string]Sym) []string {
	out := make([]string, 0, len(set))
	for v := range set {
		if sym, ok := names[v]; ok {
			v = string(sym)
		}
		out = append(out, v)
	}
	slices.Sort(out)
	return out
}
