package ovs

import (
	"fmt"
	"sort"
	"strings"
)

// The keys of external_ids that are the engine's.
const (
	keyPrefix = "woven/"
	keyOwner  = "woven/owner"
	keyID     = "woven/id"
	keyIn     = "woven/in"
	keyWith   = "woven/with"
	keyKeys   = "woven/keys" // the names of the owner's own keys, so that one it no longer wants can be told from a foreign one
)

// claim is one element of one set.
type claim struct {
	column *column
	parent string // UUID
	value  string // UUID or plain value
}

// membership is a claim with the names that it was made from.
type membership struct {
	claim
	parentSym Sym
	memberSym Sym // empty: a plain value, or the row that carries it
	text      string
	seen      bool // known again from what the set holds: not recorded
}

var (
	escapeValue   = strings.NewReplacer("%", "%25", " ", "%20")
	unescapeValue = strings.NewReplacer("%25", "%", "%20", " ")
)

// member resolves a Member that the row self carries.
func (d *Database) member(m Member, self Sym) (membership, error) {
	c, err := d.column(m.In.Set)
	if err != nil {
		return membership{}, err
	}
	if err := m.In.Of.valid(); err != nil {
		return membership{}, fmt.Errorf("%s: %w", m.In.Set, err)
	}
	out := membership{claim: claim{column: c, parent: m.In.Of.UUID()}, parentSym: m.In.Of, text: m.In.String()}
	switch {
	case m.Value != "":
		if c.uuidKey {
			return membership{}, fmt.Errorf("%s holds rows, not the value %q", m.In, m.Value)
		}
		out.value, out.text = m.Value, out.text+"="+escapeValue.Replace(m.Value)
		return out, nil
	case !c.uuidKey:
		return membership{}, fmt.Errorf("%s holds values, not rows", m.In)
	case m.Row != "" && m.Row != self:
		if c.joined {
			return membership{}, fmt.Errorf("%s is joined by the row itself, not by %s", m.In, self)
		}
		if err := m.Row.valid(); err != nil {
			return membership{}, fmt.Errorf("%s: %w", m.In.Set, err)
		}
		out.memberSym, out.text = m.Row, out.text+"@"+string(m.Row)
		out.value = m.Row.UUID()
	default:
		// The rows that hold this one are found by it.
		out.value, out.seen = self.UUID(), c.joined
	}
	return out, nil
}

// parseMember reads what member wrote as text.
func (d *Database) parseMember(text string, self Sym) (membership, bool) {
	var m Member
	where, value, isValue := strings.Cut(text, "=")
	if isValue {
		m.Value = unescapeValue.Replace(value)
	}
	set, rest, ok := strings.Cut(where, "@")
	if !ok {
		return membership{}, false
	}
	parent, member, _ := strings.Cut(rest, "@")
	tableName, columnName, _ := strings.Cut(set, ".")
	m.In, m.Row = Column{Set{tableName, columnName}, Sym(parent)}, Sym(member)
	out, err := d.member(m, self)
	return out, err == nil
}

// record is the text of woven/in.
func record(in []membership) string {
	lines := make([]string, 0, len(in))
	for _, m := range in {
		if !m.seen {
			lines = append(lines, m.text)
		}
	}
	sort.Strings(lines)
	return strings.Join(lines, " ")
}

// recorded are the memberships that a row says it has.
func (d *Database) recorded(r *row) []membership {
	var out []membership
	for _, text := range strings.Fields(r.ids()[keyIn]) {
		// What cannot be read was written by a newer version of ours, or by hand; it cannot be undone.
		if m, ok := d.parseMember(text, r.sym()); ok {
			out = append(out, m)
		}
	}
	return out
}

// with is the text of one row in woven/with.
func with(t *table, sym Sym) string { return t.name + "@" + string(sym) }

// anchored are the rows that a row says belong to it.
func (d *Database) anchored(r *row) []Ref {
	var out []Ref
	for _, text := range strings.Fields(r.ids()[keyWith]) {
		if name, sym, ok := strings.Cut(text, "@"); ok && d.tables[name] != nil {
			out = append(out, Ref{Table: name, Sym: Sym(sym), UUID: Sym(sym).UUID()})
		}
	}
	return out
}
