package cache

import (
	"sort"
	"sync"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/internal/record"
	"github.com/woven-cni/woven/pkg/ovs/internal/schema"
)

// Cache is the database. The session's read loop alone changes it, in the order of commits, and before it hands out the
// reply of a transaction whose effects came first: who gets a reply sees its own writes. It is a session.Replica.
//
// Whoever asks it anything holds the read lock, and holds it for as long as the answers must fit together.
type Cache struct {
	db      *schema.Database
	observe func([]Delta)

	mu      sync.RWMutex // protects following; held for look-ups and for one update, never across I/O
	tables  map[*schema.Table]map[string]*Row
	names   map[*schema.Table]map[string]*Row // of tables whose rows are looked up by name
	owners  map[string][]*Row                 // by the text of the owner
	counts  map[Count]int
	places  map[string]map[record.Element]struct{} // by an element of a joined column: the sets it is in
	version uint64                                 // number of updates taken in
}

// Count is what rows are counted by.
type Count struct{ Table, Feature string }

// Delta is one thing that happened to the cache: a row came, went or changed in columns of ours, or an element left a
// set.
type Delta struct {
	Old, New *Row
	Left     record.Element
}

// New makes an empty cache. From the first update after the fill on it tells observe, with its lock held, what happened.
func New(db *schema.Database, observe func([]Delta)) *Cache {
	c := &Cache{
		db: db, observe: observe, tables: map[*schema.Table]map[string]*Row{}, names: map[*schema.Table]map[string]*Row{}, owners: map[string][]*Row{},
		counts: map[Count]int{}, places: map[string]map[record.Element]struct{}{},
	}
	for _, t := range db.Tables {
		c.tables[t] = map[string]*Row{}
		if t.ByName {
			c.names[t] = map[string]*Row{}
		}
	}
	return c
}

// RLock takes the read lock.
func (c *Cache) RLock() { c.mu.RLock() }

// RUnlock gives the read lock back.
func (c *Cache) RUnlock() { c.mu.RUnlock() }

// Version is the number of updates taken in.
func (c *Cache) Version() uint64 { return c.version }

// Row finds a row; nil if there is none.
func (c *Cache) Row(t *schema.Table, uuid string) *Row { return c.tables[t][uuid] }

// Has says whether there is a row.
func (c *Cache) Has(table, uuid string) bool {
	t := c.db.Tables[table]
	return t != nil && c.tables[t][uuid] != nil
}

// Contains says whether an element is in a set.
func (c *Cache) Contains(m record.Element) bool {
	r := c.tables[m.Column.Table][m.Parent]
	if r == nil {
		return false
	}
	_, ok := r.sets[m.Column][m.Value]
	return ok
}

// Rows are all rows of a table, by UUID, to be read only.
func (c *Cache) Rows(t *schema.Table) map[string]*Row { return c.tables[t] }

// Named finds the row of a table that has a name; nil if there is none. It searches all, unless the table's rows are looked
// up by name.
func (c *Cache) Named(t *schema.Table, name string) *Row {
	if t.ByName {
		return c.names[t][name]
	}
	for _, r := range c.tables[t] {
		if r.Name() == name {
			return r
		}
	}
	return nil
}

// Joined calls f for each set that a row has joined, of those that are joined by the row itself.
func (c *Cache) Joined(uuid string, f func(record.Element)) {
	for m := range c.places[uuid] {
		f(m)
	}
}

// Holders searches all sets for those that keep a row alive.
func (c *Cache) Holders(r *Row, f func(parent *Row, m record.Element)) {
	for t, rows := range c.tables {
		for _, column := range t.Sets {
			if column.Ref != r.Table.Name || !column.Strong {
				continue
			}
			for _, parent := range rows {
				if m := (record.Element{Column: column, Parent: parent.UUID, Value: r.UUID}); c.Contains(m) {
					f(parent, m)
				}
			}
		}
	}
}

// Owners are all that own rows.
func (c *Cache) Owners() []ovs.Owner {
	var out []ovs.Owner
	for name := range c.owners {
		if o, ok := ovs.ParseOwner(name); ok {
			out = append(out, o)
		}
	}
	return out
}

// Counts are the numbers of rows that have an owner.
func (c *Cache) Counts() map[Count]int { return c.counts }

// OwnedRow is a row of an owner and its name.
type OwnedRow struct {
	*Row
	Sym ovs.Sym
}

// Owned are the rows of an owner, sorted by Sym: those that name it, and those anchored in them.
func (c *Cache) Owned(o ovs.Owner) []OwnedRow {
	var out []OwnedRow
	for _, r := range c.owners[o.String()] {
		ids := r.IDs()
		out = append(out, OwnedRow{r, ids.Sym()})
		for _, ref := range ids.With(c.db) {
			if with := c.Row(c.db.Tables[ref.Table], ref.UUID); with != nil {
				out = append(out, OwnedRow{with, ref.Sym})
			}
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Sym < out[j].Sym })
	return out
}
