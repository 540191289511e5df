package ovs

import (
	"fmt"
	"reflect"
	"sort"
	"sync"
)

// cache is the database as one session sees it. The session's read loop alone changes it, in the order of commits, and
// before it hands out the reply of a transaction whose effects came first: who gets a reply sees its own writes.
type cache struct {
	db *Database

	mu      sync.RWMutex // protects following; held for look-ups and for one update, never across I/O
	tables  map[*table]map[string]*row
	owners  map[string][]*row // by external_ids:woven/owner
	counts  map[rowCount]int
	places  map[string]map[claim]struct{} // by an element of a joined column: the sets it is in
	version uint64                        // number of updates taken in
}

// rowCount is what rows are counted by.
type rowCount struct{ table, feature string }

// delta is one thing that happened to the cache: a row came, went or changed in columns of ours, or an element left a
// set.
type delta struct {
	old, new *row
	left     claim
}

func newCache(db *Database) *cache {
	c := &cache{
		db: db, tables: map[*table]map[string]*row{}, owners: map[string][]*row{},
		counts: map[rowCount]int{}, places: map[string]map[claim]struct{}{},
	}
	for _, t := range db.tables {
		c.tables[t] = map[string]*row{}
	}
	return c
}

// row finds a row; nil if there is none.
func (c *cache) row(t *table, uuid string) *row { return c.tables[t][uuid] }

func (c *cache) has(table, uuid string) bool {
	t := c.db.tables[table]
	return t != nil && c.tables[t][uuid] != nil
}

func (c *cache) contains(m claim) bool {
	r := c.tables[m.column.table][m.parent]
	if r == nil {
		return false
	}
	_, ok := r.sets[m.column][m.value]
	return ok
}

// owned are the rows of an owner, sorted by Sym: those that name it, and those anchored in them.
func (c *cache) owned(o Owner) []ownedRow {
	var out []ownedRow
	for _, r := range c.owners[o.String()] {
		out = append(out, ownedRow{r, r.sym()})
		for _, ref := range c.db.anchored(r) {
			if with := c.row(c.db.tables[ref.Table], ref.UUID); with != nil {
				out = append(out, ownedRow{with, ref.Sym})
			}
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].sym < out[j].sym })
	return out
}

// ownedRow is a row of an owner and its name.
type ownedRow struct {
	*row
	sym Sym
}

// update takes in the table-updates of one update2 or update3, and calls then, still locked, with what happened.
func (c *cache) update(s *scanner, then func([]delta)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var deltas []delta
	var err error
	s.object(func(name string) {
		t := c.db.tables[name]
		if t == nil {
			s.skip()
			return
		}
		s.object(func(uuid string) {
			s.object(func(kind string) {
				d, e := c.updateRow(s, t, uuid, kind)
				deltas = append(deltas, d...)
				if e != nil && err == nil {
					err = e
				}
			})
		})
	})
	c.version++
	if s.err != nil {
		return s.err
	}
	if err == nil && then != nil {
		then(deltas)
	}
	return err
}

func (c *cache) updateRow(s *scanner, t *table, uuid, kind string) ([]delta, error) {
	old := c.tables[t][uuid]
	switch kind {
	case "initial", "insert":
		r := &row{table: t, uuid: uuid, model: reflect.New(t.typ).Interface()}
		r.value().Field(t.uuid).SetString(uuid)
		c.readColumns(s, r, false)
		if old != nil {
			return nil, fmt.Errorf("%s %s came twice", t.name, uuid)
		}
		c.tables[t][uuid] = r
		c.index(r, 1)
		return []delta{{new: r}}, nil
	case "delete":
		s.skip()
		if old == nil {
			return nil, fmt.Errorf("%s %s, which is unknown, was deleted", t.name, uuid)
		}
		c.forget(old)
		return []delta{{old: old}}, nil
	case "modify":
		if old == nil {
			s.skip()
			return nil, fmt.Errorf("%s %s, which is unknown, was changed", t.name, uuid)
		}
		return c.modify(s, old), nil
	default:
		s.skip()
		return nil, fmt.Errorf("unknown kind of update %q", kind)
	}
}

// modify replaces the row if a column of ours has changed; sets it changes in place.
func (c *cache) modify(s *scanner, old *row) []delta {
	r := &row{table: old.table, uuid: old.uuid, sets: old.sets}
	model := reflect.New(old.table.typ)
	model.Elem().Set(old.value())
	r.model = model.Interface()
	left, touched := c.readColumns(s, r, true)
	if !touched {
		old.sets = r.sets
		return left
	}
	c.index(old, -1)
	c.tables[r.table][r.uuid] = r
	c.index(r, 1)
	return append(left, delta{old: old, new: r})
}

// readColumns reads a row, or the difference of one, and says what left its sets and whether another column changed.
func (c *cache) readColumns(s *scanner, r *row, update bool) (left []delta, touched bool) {
	v := r.value()
	s.object(func(name string) {
		col := r.table.columns[name]
		if col == nil {
			s.skip()
			return
		}
		if col.class != members {
			touched = true
			col.read(s, v.Field(col.field), update)
			return
		}
		elements(s, func() {
			value := text(s)
			if _, had := r.sets[col][value]; had && update {
				c.leave(r, col, value)
				left = append(left, delta{left: claim{col, r.uuid, value}})
				return
			}
			c.join(r, col, value)
		})
	})
	return left, touched
}

// join puts an element into a set of a row.
func (c *cache) join(r *row, col *column, value string) {
	if r.sets == nil {
		r.sets = map[*column]map[string]struct{}{}
	}
	if r.sets[col] == nil {
		r.sets[col] = map[string]struct{}{}
	}
	r.sets[col][value] = struct{}{}
	if !col.joined {
		return
	}
	if c.places[value] == nil {
		c.places[value] = map[claim]struct{}{}
	}
	c.places[value][claim{col, r.uuid, value}] = struct{}{}
}

// leave takes an element out of a set of a row.
func (c *cache) leave(r *row, col *column, value string) {
	delete(r.sets[col], value)
	if col.joined {
		c.unplace(claim{col, r.uuid, value})
	}
}

func (c *cache) unplace(m claim) {
	delete(c.places[m.value], m)
	if len(c.places[m.value]) == 0 {
		delete(c.places, m.value)
	}
}

// forget drops a row. The row itself keeps its sets, for those who want to know who was in them.
func (c *cache) forget(r *row) {
	delete(c.tables[r.table], r.uuid)
	c.index(r, -1)
	for col, set := range r.sets {
		for value := range set {
			if col.joined {
				c.unplace(claim{col, r.uuid, value})
			}
		}
	}
}

// index adds the row to the index of owners, or takes it out.
func (c *cache) index(r *row, n int) {
	name := r.owner()
	if name == "" {
		return
	}
	o, _ := ParseOwner(name)
	c.counts[rowCount{r.table.name, o.Feature}] += n
	if n > 0 {
		c.owners[name] = append(c.owners[name], r)
		return
	}
	rows := c.owners[name]
	for i := range rows {
		if rows[i] == r {
			rows[i] = rows[len(rows)-1]
			rows[len(rows)-1] = nil
			rows = rows[:len(rows)-1]
			break
		}
	}
	if len(rows) == 0 {
		delete(c.owners, name)
		return
	}
	c.owners[name] = rows
}
