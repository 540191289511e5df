package ovs

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrUnknown says that the connection was lost while the transaction was under way. Apply again: it observes what
	// became of it, and because UUIDs are fixed nothing can come twice.
	ErrUnknown = errors.New("outcome unknown: connection lost during commit")
	// ErrOffline says that there is no session with the database, and nothing was sent. The next session marks the
	// owner dirty.
	ErrOffline = errors.New("no session with the database")
)

// ErrWaiting says that rows which the wanted rows refer to do not exist yet. Nothing was sent. It is a condition rather
// than a failure and wants no backoff: the engine marks the owner dirty when one of the rows appears.
type ErrWaiting struct{ Refs []Ref }

func (e *ErrWaiting) Error() string {
	names := make([]string, len(e.Refs))
	for i, r := range e.Refs {
		names[i] = r.String()
	}
	return "waiting for " + strings.Join(names, ", ")
}

// ErrInUse says that a row cannot go yet, because rows of other owners refer to it. Nothing was changed. It wants no
// backoff: the engine marks the owner dirty when a reference to the row's table may have gone.
type ErrInUse struct{ Table, Details string }

func (e *ErrInUse) Error() string { return "still in use: " + e.Details }

// ErrTaken says that a row which is not this owner's has the name or the index of a wanted row. Nothing was changed.
// It wants no backoff: the engine marks the owner dirty when a row of the table goes or changes.
type ErrTaken struct {
	// Table is where the other row is, and Details what the database says about it.
	Table, Details string
	// Name is the name that both want, and Holder whose row has it. They are empty where the engine could not find the row, and
	// Holder is empty for a row that nobody owns.
	Name   string
	Holder Owner
}

func (e *ErrTaken) Error() string {
	if e.Name == "" {
		return "name taken in " + e.Table + ": " + e.Details
	}
	holder := "a row that Woven has not made"
	if e.Holder != (Owner{}) {
		holder = e.Holder.Feature + " " + e.Holder.Key
	}
	return fmt.Sprintf("the %s name %s is that of %s", nameWord(e.Table), e.Name, holder)
}

// nameWord is what people call the rows of a table.
func nameWord(table string) string {
	switch table {
	case "Logical_Switch_Port", "Logical_Router_Port":
		return "port"
	case "Logical_Switch":
		return "switch"
	case "Logical_Router":
		return "router"
	default:
		return table
	}
}

// ErrStale says that the database refused what the engine believes to be right, also with a session that replaced the one
// before: another writer is at work. It is tried again with backoff, and told. The lease is kept: whoever had it next would
// be in the same dispute over the same database.
type ErrStale struct{ Details string }

func (e *ErrStale) Error() string { return "the database disagrees with our copy of it: " + e.Details }

// ErrRefused says that the database takes the wanted rows for invalid (a value out of its range, a missing column).
// Nothing was changed, and trying again does not help.
type ErrRefused struct{ Details string }

func (e *ErrRefused) Error() string { return "refused by the database: " + e.Details }
