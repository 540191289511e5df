package ovs

// Model is a pointer to a generated row: *nb.LogicalSwitch. Its UUID and its members columns stay empty; its
// ExternalIDs hold only the keys that the owner wants besides the engine's.
type Model any

// Row is one wanted row.
type Row struct {
	Sym   Sym
	Model Model
	// In is the set that keeps the row alive. Tables that are no roots need it, unless a strong reference of a sibling
	// keeps the row (the bands of a Meter); for root tables it is an ordinary membership.
	In Column
	// Also are the other memberships the row brings.
	Also []Membership
	// Exact are sets of the row itself that hold these values and no others.
	Exact []Exact
	// From is the owner that had the row in an earlier version of Woven, if it was another: the row becomes this one's as it is.
	From Owner
}

// Exact is all that a set of values holds. It suits big sets that belong to one owner: elements come and go one by one,
// and nothing is recorded for each of them.
type Exact struct {
	Set    Set
	Values []string
}

// Need is a row of another owner that has to be there, and to have these members, when the rows that rely on it come.
// What is missing of the row comes in the same transaction. The row's own owner, and the members' owners, want the same and
// find it done. The owner that needed the row never takes it back.
type Need struct {
	// Owner, Sym and Model are the row as its own owner makes it.
	Owner Owner
	Sym   Sym
	Model Model
	// Set is a set of the row that rows join by themselves, and Members are the rows that have to be in it. Those that do
	// not exist are left out.
	Set     Set
	Members []Sym
}

// Desired is all that one owner wants. The zero Desired deletes everything the owner has.
type Desired struct {
	Rows []Row
	// Needs are rows of others that these rely on.
	Needs []Need
	// Left are rows that the owner had in an earlier version of Woven, and that are another's now (Row.From): they stay as they
	// are until the other one takes them, so that there is no moment without them.
	Left []Sym
}

// Add wants one row more.
func (d *Desired) Add(sym Sym, model Model) Added {
	d.Rows = append(d.Rows, Row{Sym: sym, Model: model})
	return Added{d, len(d.Rows) - 1}
}

// Added is a row just added, to say where it belongs.
type Added struct {
	d *Desired
	i int
}

// In says which set keeps the row alive.
func (a Added) In(c Column) Added {
	a.d.Rows[a.i].In = c
	return a
}

// Also says in which other sets the row is, and what else it puts into sets.
func (a Added) Also(members ...Membership) Added {
	a.d.Rows[a.i].Also = append(a.d.Rows[a.i].Also, members...)
	return a
}

// From says which owner had the row in an earlier version.
func (a Added) From(owner Owner) Added {
	a.d.Rows[a.i].From = owner
	return a
}

// Exactly says all that a set of the row holds.
func (a Added) Exactly(s Set, values ...string) Added {
	a.d.Rows[a.i].Exact = append(a.d.Rows[a.i].Exact, Exact{Set: s, Values: values})
	return a
}
