package ovs

import (
	"fmt"
	"reflect"
	"sort"
	"strings"

	"github.com/woven-cni/woven/pkg/ovs/internal/schema"
)

// Text shows the rows as goldens want them: sorted by table and Sym, empty columns left out, references as Syms where
// the Sym is one of the rows', one they mention, or one of those given.
//
//	Logical_Switch_Port pod/shop/web-0/port in Logical_Switch.ports@subnet/web/switch
//	  addresses ["0a:58:0a:10:00:05 10.16.0.5"]
//	  name web-0.shop
//	  also Port_Group.ports@policy/shop/db/group
func (d Desired) Text(db *schema.Database, known ...Sym) string {
	db.Load()
	names := map[string]string{}
	for _, r := range d.Rows {
		known = append(known, r.Sym, r.In.Of)
		for _, m := range r.Also {
			known = append(known, m.In.Of, m.Row)
		}
	}
	for _, s := range known {
		names[s.UUID()] = string(s)
	}
	blocks := make([]string, len(d.Rows))
	for i, r := range d.Rows {
		blocks[i] = r.text(db, names)
	}
	sort.Strings(blocks)
	return strings.Join(blocks, "")
}

func (r Row) text(db *schema.Database, names map[string]string) string {
	t, err := db.TableOf(r.Model)
	if err != nil {
		return fmt.Sprintf("%s: %v\n", r.Sym, err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", t.Name, r.Sym)
	if r.In != (Column{}) {
		fmt.Fprintf(&b, " in %s", r.In)
	}
	b.WriteString("\n")
	b.WriteString(t.Text(reflect.ValueOf(r.Model).Elem(), names))
	also := make([]string, 0, len(r.Also))
	for _, m := range r.Also {
		line := "  also " + m.In.String()
		switch {
		case m.Value != "":
			line += " = " + schema.Quote(m.Value)
		case m.Row != "" && m.Row != r.Sym:
			line += " = " + string(m.Row)
		}
		also = append(also, line+"\n")
	}
	sort.Strings(also)
	b.WriteString(strings.Join(also, ""))
	return b.String()
}
