package ovs

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sort"
	"strings"
)

// Plan is the difference between what an owner wants and what it has.
type Plan struct {
	owner   Owner
	changes []change
}

type changeKind int

const (
	insert changeKind = iota
	update
	remove
	join
	leave
)

// change is one line of a Plan.
type change struct {
	kind  changeKind
	table *table
	uuid  string
	sym   Sym

	model      reflect.Value     // insert, update
	columns    []*column         // update
	set, unset map[string]string // external_ids: new values, and old ones to take away; on insert, set is all

	claim claim  // join, leave
	where string // join, leave: the set's name for people
}

// Empty says that there is nothing to do.
func (p Plan) Empty() bool { return len(p.changes) == 0 }

// Len is the number of changes.
func (p Plan) Len() int { return len(p.changes) }

// String has one line per change, sorted: "+" for a row that comes, "-" for one that goes, "~" for one that changes, ">" and
// "<" for an element that joins or leaves a set.
func (p Plan) String() string {
	lines := make([]string, len(p.changes))
	for i, c := range p.changes {
		lines[i] = c.String() + "\n"
	}
	sort.Strings(lines)
	return strings.Join(lines, "")
}

func (c change) String() string {
	var b strings.Builder
	switch c.kind {
	case insert:
		fmt.Fprintf(&b, "+ %s %s", c.table.name, c.sym)
	case update:
		fmt.Fprintf(&b, "~ %s %s", c.table.name, c.sym)
	case remove:
		fmt.Fprintf(&b, "- %s %s", c.table.name, c.sym)
	case join:
		fmt.Fprintf(&b, "> %s %s", c.where, c.element())
	case leave:
		fmt.Fprintf(&b, "< %s %s", c.where, c.element())
	}
	columns := c.columns
	if c.kind == insert {
		columns = c.table.owned
	}
	for _, col := range columns {
		if v := c.model.Field(col.field); c.kind != insert || !v.IsZero() {
			fmt.Fprintf(&b, " %s=%s", col.name, format(v))
		}
	}
	if c.kind == update {
		for _, k := range slices.Sorted(maps.Keys(c.set)) {
			fmt.Fprintf(&b, " %s:%s=%s", externalIDs, k, quote(c.set[k]))
		}
		for _, k := range slices.Sorted(maps.Keys(c.unset)) {
			if _, ok := c.set[k]; !ok {
				fmt.Fprintf(&b, " -%s:%s", externalIDs, k)
			}
		}
	}
	return b.String()
}

func (c change) element() string {
	if c.sym != "" {
		return string(c.sym)
	}
	return c.claim.value
}
