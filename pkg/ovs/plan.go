package ovs

import (
	"sort"
	"strings"
)

// Plan is the difference between what an owner wants and what it has.
type Plan struct{ changes []change }

// change is one line of a Plan.
type change struct{ text string }

// Empty says that there is nothing to do.
func (p Plan) Empty() bool { return len(p.changes) == 0 }

// Len is the number of changes.
func (p Plan) Len() int { return len(p.changes) }

// String has one line per change, sorted.
func (p Plan) String() string {
	lines := make([]string, len(p.changes))
	for i, c := range p.changes {
		lines[i] = c.text + "\n"
	}
	sort.Strings(lines)
	return strings.Join(lines, "")
}
