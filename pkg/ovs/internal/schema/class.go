package schema

import "slices"

// externalIDs is the column that carries what the engine needs to remember.
const externalIDs = "external_ids"

// Class says whose a column is.
type Class int

const (
	// Owned columns are compared and replaced whole.
	Owned Class = iota
	// Keyed columns are maps of which some keys are ours.
	Keyed
	// Members columns are sets whose elements belong to many owners.
	Members
	// Foreign columns belong to northd and ovn-controller: never monitored, never written.
	Foreign
	// Observed columns are others' answers, such as vswitchd's: monitored to be read, never written, and no drift.
	Observed
)

// Knowledge is what a schema does not say about a database. Columns are Table.column.
type Knowledge struct {
	Sets     []string // the members columns
	Joined   []string // those of them, weak, whose elements are only ever put in by their own rows
	Foreign  []string
	Observed []string
	Given    []string   // root tables whose rows others make: an owner has keys of their external_ids, and neither makes nor deletes them
	ByName   []string   // tables whose rows are looked up by name
	Names    []string   // tables whose names must be unique though the schema does not say so
	Spaces   [][]string // tables whose names must differ from those of the other tables of the space too
}

func (k Knowledge) classOf(c *Column) Class {
	switch name := c.String(); {
	case slices.Contains(k.Sets, name):
		return Members
	case slices.Contains(k.Foreign, name):
		return Foreign
	case slices.Contains(k.Observed, name):
		return Observed
	case c.Name == externalIDs:
		return Keyed
	default:
		return Owned
	}
}
