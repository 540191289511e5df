package ovs

import (
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// Owner is the Kubernetes object a row exists for.
type Owner struct {
	// Feature is the package that translates the object: "subnet", "pod". It must not contain a slash.
	Feature string
	// Key is the object's name, or namespace/name.
	Key string
}

// String is feature/key, the text in external_ids:woven/owner.
func (o Owner) String() string { return o.Feature + "/" + o.Key }

// ParseOwner reads what String wrote.
func ParseOwner(s string) (Owner, bool) {
	feature, key, ok := strings.Cut(s, "/")
	if !ok || feature == "" || key == "" {
		return Owner{}, false
	}
	return Owner{Feature: feature, Key: key}, true
}

// found is what the Syms of found rows begin with.
const found = "uuid/"

// FoundRow names a row by the UUID that it has: one that others have made, to put members into its sets or keys of ours into
// its external_ids, or that a version of Woven made which did not say whose it was.
func FoundRow(uuid string) Sym { return Sym(found + uuid) }

// Found says whether the Sym is of FoundRow.
func (s Sym) Found() bool { return strings.HasPrefix(string(s), found) }

// Sym names a row for ever: "subnet/web/switch". It must not contain a space, '@', '=' or '%', and no other row of the
// database, of any table, may have it. To change how a feature makes its Syms is a migration of data: the old rows go
// and new ones come.
type Sym string

// symSpace is the namespace of all row UUIDs. Changing it would make every row of every cluster anew.
var symSpace = uuid.MustParse("6f0b3d3c-7a4e-5d0e-9c57-0d0f5a1c9b11")

// UUID is the UUID of the row with this name, whether or not the row exists. Models hold it wherever OVSDB wants a
// reference.
func (s Sym) UUID() string {
	if id, ok := strings.CutPrefix(string(s), found); ok {
		return id
	}
	return uuid.NewSHA1(symSpace, []byte(s)).String()
}

// Valid reports what is wrong with the name, or nil.
func (s Sym) Valid() error {
	if s == "" {
		return fmt.Errorf("empty Sym")
	}
	if strings.ContainsAny(string(s), " @=%") {
		return fmt.Errorf("the Sym %q contains a space, '@', '=' or '%%'", s)
	}
	return nil
}

// Ref is a row that is needed, and may not be there yet.
type Ref struct {
	Table string
	// Sym is empty where a model's column holds a UUID of which no row of the same Desired has the name.
	Sym  Sym
	UUID string
}

// String is "Logical_Switch subnet/web/switch".
func (r Ref) String() string {
	if r.Sym == "" {
		return r.Table + " " + r.UUID
	}
	return r.Table + " " + string(r.Sym)
}

// Set is a column that holds members which belong to many owners: the ports of a switch, the addresses of a set. Such
// a column is only ever changed by inserting and deleting single members.
type Set struct{ Table, Column string }

// String is "Logical_Switch.ports".
func (s Set) String() string { return s.Table + "." + s.Column }

// Of is the set of one row.
func (s Set) Of(parent Sym) Column { return Column{Set: s, Of: parent} }

// Column is a Set of one row: the ports of the switch "subnet/web/switch".
type Column struct {
	Set
	// Of is the row whose column it is.
	Of Sym
}

// String is "Logical_Switch.ports@subnet/web/switch".
func (c Column) String() string { return c.Set.String() + "@" + string(c.Of) }

// This is the membership of the row that carries it.
func (c Column) This() Membership { return Membership{In: c} }

// Row is the membership of another row, which need not be the carrier's own: a switch that holds its Vpc's load
// balancer group carries SwitchLoadBalancerGroups.Of(itself).Row(group).
func (c Column) Row(member Sym) Membership { return Membership{In: c, Row: member} }

// Value is the membership of a plain value: an address in an Address_Set.
func (c Column) Value(v string) Membership { return Membership{In: c, Value: v} }

// Membership puts one element into a set. It lives and dies with the Row that carries it.
type Membership struct {
	In Column
	// Row, or else Value, is the element; when both are empty it is the row that carries the Membership.
	Row   Sym
	Value string
}
