package ovs

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// wanted is a Row with everything looked up.
type wanted struct {
	table   *table
	sym     Sym
	uuid    string
	model   reflect.Value     // the struct
	ids     map[string]string // all of external_ids that is ours; nil where the table has none
	members []membership
	exact   []*column // sets of this row that hold nothing but members
}

// resolved is a Desired with everything looked up.
type resolved struct {
	owner  Owner
	rows   []*wanted
	byUUID map[string]*wanted
}

// Check reports everything that is wrong with d as such: programming errors, which tests should find. Apply refuses a
// Desired that does not pass.
func (d Desired) Check(db *Database, owner Owner) error {
	_, err := db.load().resolve(owner, d)
	return err
}

func (d *Database) resolve(owner Owner, want Desired) (*resolved, error) {
	var errs []error
	if owner.Feature == "" || owner.Key == "" || strings.Contains(owner.Feature, "/") {
		errs = append(errs, fmt.Errorf("%q is no owner", owner))
	}
	out := &resolved{owner: owner, byUUID: make(map[string]*wanted, len(want.Rows))}
	for _, r := range want.Rows {
		w, err := d.resolveRow(r)
		if err == nil && out.byUUID[w.uuid] != nil {
			err = errors.New("wanted twice")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("row %s: %w", r.Sym, err))
			continue
		}
		out.rows = append(out.rows, w)
		out.byUUID[w.uuid] = w
	}
	errs = append(errs, out.checkChildren()...)
	if len(errs) == 0 {
		errs = append(errs, out.writeIDs()...)
	}
	return out, errors.Join(errs...)
}

func (d *Database) resolveRow(r Row) (*wanted, error) {
	if err := r.Sym.valid(); err != nil {
		return nil, err
	}
	t, err := d.tableOf(r.Model)
	if err != nil {
		return nil, err
	}
	w := &wanted{table: t, sym: r.Sym, uuid: r.Sym.UUID(), model: reflect.ValueOf(r.Model).Elem()}
	if w.model.Field(t.uuid).String() != "" {
		return nil, errors.New("its model has a UUID of its own")
	}
	for _, c := range t.columns {
		if (c.class == foreign || c.class == members) && !w.model.Field(c.field).IsZero() {
			return nil, fmt.Errorf("its model sets the column %s, which is not one row's to set", c.name)
		}
	}
	also := r.Also
	if r.In != (Column{}) {
		also = append([]Member{r.In.This()}, r.Also...)
	}
	for _, m := range also {
		found, err := d.member(m, r.Sym)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(w.members, func(o membership) bool { return o.claim == found.claim }) {
			w.members = append(w.members, found)
		}
	}
	return w, d.resolveExact(w, r)
}

// resolveExact turns the sets that the row has for itself into memberships of their values.
func (d *Database) resolveExact(w *wanted, r Row) error {
	for _, e := range r.Exact {
		values := slices.Clone(e.Values)
		slices.Sort(values)
		for _, v := range slices.Compact(values) {
			m, err := d.member(e.Set.Of(r.Sym).Value(v), r.Sym)
			if err != nil {
				return err
			}
			m.seen = true
			w.members = append(w.members, m)
		}
		c, err := d.column(e.Set)
		if err != nil {
			return err
		}
		if c.table != w.table || c.uuidKey {
			return fmt.Errorf("%s is no set of values that the row has", e.Set)
		}
		w.exact = append(w.exact, c)
	}
	return nil
}

// checkChildren looks for rows that would die at once, because nothing refers to them strongly.
func (r *resolved) checkChildren() []error {
	var errs []error
	var held map[string]bool
	for _, w := range r.rows {
		if w.table.root || slices.ContainsFunc(w.members, func(m membership) bool {
			return m.column.strong && m.value == w.uuid
		}) {
			continue
		}
		if held == nil {
			held = r.strongReferences()
		}
		if !held[w.uuid] {
			errs = append(errs, fmt.Errorf("row %s: nothing keeps it alive: %s is no root table", w.sym, w.table.name))
		}
	}
	return errs
}

// strongReferences are the rows that columns of the wanted rows refer to.
func (r *resolved) strongReferences() map[string]bool {
	held := map[string]bool{}
	for _, w := range r.rows {
		for _, c := range w.table.owned {
			if c.strong {
				w.references(c, func(id string) { held[id] = true })
			}
		}
		for _, m := range w.members {
			if m.column.strong {
				held[m.value] = true
			}
		}
	}
	return held
}

// references calls f for each UUID in the column.
func (w *wanted) references(c *column, f func(id string)) {
	switch v := w.model.Field(c.field).Interface().(type) {
	case string:
		f(v)
	case *string:
		if v != nil {
			f(*v)
		}
	case []string:
		for _, id := range v {
			f(id)
		}
	case map[string]string:
		for k, id := range v {
			if c.uuidVal {
				f(id)
			}
			if c.uuidKey {
				f(k)
			}
		}
	}
}

// writeIDs fills in external_ids. Rows of tables without it are noted in the first row that has it: the anchor.
func (r *resolved) writeIDs() []error {
	var errs []error
	var anchor *wanted
	for _, w := range r.rows {
		if c := w.table.extIDs; c != nil {
			own, _ := w.model.Field(c.field).Interface().(map[string]string)
			w.ids = make(map[string]string, len(own)+3)
			for k, v := range own {
				if strings.HasPrefix(k, keyPrefix) {
					errs = append(errs, fmt.Errorf("row %s: the key %s is the engine's", w.sym, k))
				}
				w.ids[k] = v
			}
			if len(own) > 0 {
				w.ids[keyKeys] = strings.Join(slices.Sorted(maps.Keys(own)), " ")
			}
			w.ids[keyOwner], w.ids[keyID] = r.owner.String(), string(w.sym)
			if anchor == nil {
				anchor = w
			}
		}
	}
	extra := map[*wanted][]membership{} // what a row records besides its own memberships
	var together []string
	for _, w := range r.rows {
		if w.ids != nil {
			continue
		}
		if anchor == nil {
			return append(errs, fmt.Errorf("row %s: %s has no external_ids, and no row of the owner that has", w.sym, w.table.name))
		}
		together = append(together, with(w.table, w.sym))
		for _, m := range w.members {
			if m.value == w.uuid && m.memberSym == "" {
				m.memberSym, m.text = w.sym, m.text+"@"+string(w.sym)
			}
			extra[anchor] = append(extra[anchor], m)
		}
	}
	if len(together) > 0 {
		slices.Sort(together)
		anchor.ids[keyWith] = strings.Join(together, " ")
	}
	for _, w := range r.rows {
		if text := record(append(slices.Clone(w.members), extra[w]...)); w.ids != nil && text != "" {
			w.ids[keyIn] = text
		}
	}
	return errs
}

// hash is a hash of all that is ours in the row; row.hash is its counterpart.
func (w *wanted) hash() uint64 { return hashRow(w.table, w.model, w.ids) }

func hashRow(t *table, model reflect.Value, ids map[string]string) uint64 {
	var sum uint64
	for i, c := range t.owned {
		sum += bits(hashOf(model.Field(c.field))) * uint64(2*i+1)
	}
	for k, v := range ids {
		sum += hashPair(k, v)
	}
	return sum
}
