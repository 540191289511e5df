package reconcile

import (
	"fmt"
	"strings"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
)

// Problem is something in an object's spec that its author has to mend. It is not an error: nothing is retried until
// the object, or what it collides with, changes; and the rows of the last good spec stay in place.
type Problem struct {
	// Field is the JSON path of the offending field, such as "spec.cidrBlock".
	Field string
	// Reason is the CamelCase word shown in the condition.
	Reason string
	// Message is one sentence for the person who reads kubectl describe.
	Message string
	// Advisory problems do not stop the rest of the object from being programmed: a field that a later version acts on
	// (ReasonNotImplemented), or one that has no effect as things are (any other reason).
	Advisory bool
}

// String renders the problem as "field: message".
func (p Problem) String() string {
	if p.Field == "" {
		return p.Message
	}
	return p.Field + ": " + p.Message
}

// Problems are all that is wrong with one object.
type Problems []Problem

// Add appends a problem that stops the object from being programmed.
func (ps *Problems) Add(field, reason, format string, args ...any) {
	*ps = append(*ps, Problem{Field: field, Reason: reason, Message: fmt.Sprintf(format, args...)})
}

// Advise appends a problem that is shown and otherwise changes nothing.
func (ps *Problems) Advise(field, reason, format string, args ...any) {
	*ps = append(*ps, Problem{Field: field, Reason: reason, Message: fmt.Sprintf(format, args...), Advisory: true})
}

// Blocking returns the problems that keep the object from being programmed.
func (ps Problems) Blocking() Problems { return ps.only(false) }

// Advisory returns the problems that are only shown.
func (ps Problems) Advisory() Problems { return ps.only(true) }

// notImplemented sorts the advisory problems: fields that a later version acts on, and those that have no effect as things are.
func (ps Problems) notImplemented() (later, idle Problems) {
	for _, p := range ps.Advisory() {
		if p.Reason == v1.ReasonNotImplemented {
			later = append(later, p)
		} else {
			idle = append(idle, p)
		}
	}
	return later, idle
}

func (ps Problems) only(advisory bool) Problems {
	var out Problems
	for _, p := range ps {
		if p.Advisory == advisory {
			out = append(out, p)
		}
	}
	return out
}

// String joins the problems with "; ".
func (ps Problems) String() string {
	texts := make([]string, len(ps))
	for i, p := range ps {
		texts[i] = p.String()
	}
	return strings.Join(texts, "; ")
}
