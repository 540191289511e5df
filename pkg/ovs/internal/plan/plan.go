package plan

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sort"
	"strings"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/internal/record"
	"github.com/woven-cni/woven/pkg/ovs/internal/schema"
)

// Plan is the difference between what an owner wants and what it has.
type Plan struct{ changes []change }

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
	table *schema.Table
	uuid  string
	sym   ovs.Sym

	model      reflect.Value     // insert, update
	columns    []*schema.Column  // update
	set, unset map[string]string // external_ids: new values, and old ones to take away; on insert, set is all

	element record.Element // join, leave
	where   string         // join, leave: the set's name for people
}

// Empty says that there is nothing to do.
func (p Plan) Empty() bool { return len(p.changes) == 0 }

// Size estimates the bytes of the plan's operations.
func (p Plan) Size() int { return 600 * len(p.changes) }

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
		fmt.Fprintf(&b, "+ %s %s", c.table.Name, c.sym)
	case update:
		fmt.Fprintf(&b, "~ %s %s", c.table.Name, c.sym)
	case remove:
		fmt.Fprintf(&b, "- %s %s", c.table.Name, c.sym)
	case join:
		fmt.Fprintf(&b, "> %s %s", c.where, c.elementText())
	case leave:
		fmt.Fprintf(&b, "< %s %s", c.where, c.elementText())
	}
	columns := c.columns
	if c.kind == insert {
		columns = c.table.Owned
	}
	for _, col := range columns {
		if c.kind != insert || !col.Of(c.model).IsZero() {
			fmt.Fprintf(&b, " %s=%s", col.Name, col.Format(c.model))
		}
	}
	if c.kind == update {
		for _, k := range slices.Sorted(maps.Keys(c.set)) {
			fmt.Fprintf(&b, " %s:%s=%s", c.table.ExternalIDs.Name, k, schema.Quote(c.set[k]))
		}
		for _, k := range slices.Sorted(maps.Keys(c.unset)) {
			if _, ok := c.set[k]; !ok {
				fmt.Fprintf(&b, " -%s:%s", c.table.ExternalIDs.Name, k)
			}
		}
	}
	return b.String()
}

func (c change) elementText() string {
	if c.sym != "" {
		return string(c.sym)
	}
	return c.element.Value
}
