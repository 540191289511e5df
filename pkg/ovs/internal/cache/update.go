package cache

import (
	"fmt"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/internal/record"
	"github.com/woven-cni/woven/pkg/ovs/internal/schema"
)

// Fill takes in the whole database: the result of monitor_cond_since, whose third element are the rows.
func (c *Cache) Fill(message []byte) error {
	return c.update(schema.NewScanner(schema.Element(message, 2)), nil)
}

// Update takes in what has changed: the parameters of update3, whose third element are the changes.
func (c *Cache) Update(message []byte) error {
	return c.update(schema.NewScanner(schema.Element(message, 2)), c.observe)
}

// update takes in the table-updates of one update2 or update3, and calls then, still locked, with what happened.
func (c *Cache) update(s *schema.Scanner, then func([]Delta)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var deltas []Delta
	var err error
	s.Object(func(name string) {
		t := c.db.Tables[name]
		if t == nil {
			s.Skip()
			return
		}
		s.Object(func(uuid string) {
			s.Object(func(kind string) {
				d, e := c.updateRow(s, t, uuid, kind)
				deltas = append(deltas, d...)
				if e != nil && err == nil {
					err = e
				}
			})
		})
	})
	c.version++
	if s.Err() != nil {
		return s.Err()
	}
	if err == nil && then != nil {
		then(deltas)
	}
	return err
}

func (c *Cache) updateRow(s *schema.Scanner, t *schema.Table, uuid, kind string) ([]Delta, error) {
	old := c.tables[t][uuid]
	switch kind {
	case "initial", "insert":
		r := &Row{Table: t, UUID: uuid, model: t.New(uuid).Addr().Interface()}
		c.readColumns(s, r, false)
		if old != nil {
			return nil, fmt.Errorf("%s %s came twice", t.Name, uuid)
		}
		c.tables[t][uuid] = r
		c.index(r, 1)
		return []Delta{{New: r}}, nil
	case "delete":
		s.Skip()
		if old == nil {
			return nil, fmt.Errorf("%s %s, which is unknown, was deleted", t.Name, uuid)
		}
		c.forget(old)
		return []Delta{{Old: old}}, nil
	case "modify":
		if old == nil {
			s.Skip()
			return nil, fmt.Errorf("%s %s, which is unknown, was changed", t.Name, uuid)
		}
		return c.modify(s, old), nil
	default:
		s.Skip()
		return nil, fmt.Errorf("unknown kind of update %q", kind)
	}
}

// modify replaces the row if a column of ours has changed; sets it changes in place.
func (c *Cache) modify(s *schema.Scanner, old *Row) []Delta {
	r := &Row{Table: old.Table, UUID: old.UUID, model: old.Table.Copy(old.Value()).Addr().Interface(), sets: old.sets}
	left, touched := c.readColumns(s, r, true)
	if !touched {
		old.sets = r.sets
		return left
	}
	c.index(old, -1)
	c.tables[r.Table][r.UUID] = r
	c.index(r, 1)
	return append(left, Delta{Old: old, New: r})
}

// readColumns reads a row, or the difference of one, and says what left its sets and whether another column changed.
func (c *Cache) readColumns(s *schema.Scanner, r *Row, update bool) (left []Delta, touched bool) {
	v := r.Value()
	s.Object(func(name string) {
		col := r.Table.Columns[name]
		if col == nil {
			s.Skip()
			return
		}
		if col.Class != schema.Members {
			touched = true
			col.Read(s, v, update)
			return
		}
		s.Elements(func(value string) {
			if _, had := r.sets[col][value]; had && update {
				c.leave(r, col, value)
				left = append(left, Delta{Left: record.Element{Column: col, Parent: r.UUID, Value: value}})
				return
			}
			c.join(r, col, value)
		})
	})
	return left, touched
}

// join puts an element into a set of a row.
func (c *Cache) join(r *Row, col *schema.Column, value string) {
	if r.sets == nil {
		r.sets = map[*schema.Column]map[string]struct{}{}
	}
	if r.sets[col] == nil {
		r.sets[col] = map[string]struct{}{}
	}
	r.sets[col][value] = struct{}{}
	if !col.Joined {
		return
	}
	if c.places[value] == nil {
		c.places[value] = map[record.Element]struct{}{}
	}
	c.places[value][record.Element{Column: col, Parent: r.UUID, Value: value}] = struct{}{}
}

// leave takes an element out of a set of a row.
func (c *Cache) leave(r *Row, col *schema.Column, value string) {
	delete(r.sets[col], value)
	if col.Joined {
		c.unplace(record.Element{Column: col, Parent: r.UUID, Value: value})
	}
}

func (c *Cache) unplace(m record.Element) {
	delete(c.places[m.Value], m)
	if len(c.places[m.Value]) == 0 {
		delete(c.places, m.Value)
	}
}

// forget drops a row. The row itself keeps its sets, for those who want to know who was in them.
func (c *Cache) forget(r *Row) {
	delete(c.tables[r.Table], r.UUID)
	c.index(r, -1)
	r.Elements(func(m record.Element) {
		if m.Column.Joined {
			c.unplace(m)
		}
	})
}

// index adds the row to the indexes of names and owners, or takes it out.
func (c *Cache) index(r *Row, n int) {
	c.indexName(r, n)
	name := r.IDs().Owner()
	if name == "" {
		return
	}
	o, _ := ovs.ParseOwner(name)
	c.counts[Count{r.Table.Name, o.Feature}] += n
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

// indexName does nothing for a row whose successor has its name already: one update may bring both, in any order.
func (c *Cache) indexName(r *Row, n int) {
	switch names := c.names[r.Table]; {
	case !r.Table.ByName:
	case n > 0:
		names[r.Name()] = r
	case names[r.Name()] == r:
		delete(names, r.Name())
	}
}
