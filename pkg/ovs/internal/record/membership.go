package record

import (
	"fmt"
	"strings"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/internal/schema"
)

// Element is one element of one set.
type Element struct {
	Column *schema.Column
	Parent string // UUID
	Value  string // UUID or plain value
}

// Membership is an element with the names that it was made from.
type Membership struct {
	Element
	ParentSym ovs.Sym
	MemberSym ovs.Sym // empty: a plain value, or the row that carries it
	Seen      bool    // known again from what the set holds: not recorded
	text      string
}

var (
	escapeValue   = strings.NewReplacer("%", "%25", " ", "%20")
	unescapeValue = strings.NewReplacer("%25", "%", "%20", " ")
)

// Resolve looks an ovs.Membership up that the row self carries.
func Resolve(db *schema.Database, m ovs.Membership, self ovs.Sym) (Membership, error) {
	c, err := db.Set(m.In.Table, m.In.Column)
	if err != nil {
		return Membership{}, err
	}
	if err := m.In.Of.Valid(); err != nil {
		return Membership{}, fmt.Errorf("%s: %w", m.In.Set, err)
	}
	out := Membership{Element: Element{Column: c, Parent: m.In.Of.UUID()}, ParentSym: m.In.Of, text: m.In.String()}
	switch {
	case m.Value != "":
		if c.UUIDs {
			return Membership{}, fmt.Errorf("%s holds rows, not the value %q", m.In, m.Value)
		}
		out.Value, out.text = m.Value, out.text+"="+escapeValue.Replace(m.Value)
		return out, nil
	case !c.UUIDs:
		return Membership{}, fmt.Errorf("%s holds values, not rows", m.In)
	case m.Row != "" && m.Row != self:
		if c.Joined {
			return Membership{}, fmt.Errorf("%s is joined by the row itself, not by %s", m.In, self)
		}
		if err := m.Row.Valid(); err != nil {
			return Membership{}, fmt.Errorf("%s: %w", m.In.Set, err)
		}
		out.Value = m.Row.UUID()
		return out.Named(m.Row), nil
	default:
		// The rows that hold this one are found by it.
		out.Value, out.Seen = self.UUID(), c.Joined
	}
	return out, nil
}

// Named is the membership with the name of the row that is the element, so that another row can record it.
func (m Membership) Named(element ovs.Sym) Membership {
	m.MemberSym, m.text = element, m.text+"@"+string(element)
	return m
}

// parse reads the text of a membership.
func parse(db *schema.Database, text string, self ovs.Sym) (Membership, bool) {
	var m ovs.Membership
	where, value, isValue := strings.Cut(text, "=")
	if isValue {
		m.Value = unescapeValue.Replace(value)
	}
	set, rest, ok := strings.Cut(where, "@")
	if !ok {
		return Membership{}, false
	}
	parent, member, _ := strings.Cut(rest, "@")
	table, column, _ := strings.Cut(set, ".")
	m.In, m.Row = ovs.Column{Set: ovs.Set{Table: table, Column: column}, Of: ovs.Sym(parent)}, ovs.Sym(member)
	out, err := Resolve(db, m, self)
	return out, err == nil
}
