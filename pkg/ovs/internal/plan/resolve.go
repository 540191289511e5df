package plan

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/internal/record"
	"github.com/woven-cni/woven/pkg/ovs/internal/schema"
)

// Resolved is a Desired with everything looked up.
type Resolved struct {
	db     *schema.Database
	owner  ovs.Owner
	rows   []*resolvedRow
	byUUID map[string]*resolvedRow
	needs  []need
	needed map[string]bool // rows of others, by UUID
	left   map[string]bool // rows that another owner is to take, by UUID
}

// resolvedRow is a Row with everything looked up.
type resolvedRow struct {
	table   *schema.Table
	sym     ovs.Sym
	uuid    string
	model   reflect.Value // the struct
	ids     record.IDs    // all of external_ids that is ours; nil where the table has none
	members []record.Membership
	exact   []*schema.Column // sets of this row that hold nothing but members
	from    ovs.Owner        // who may have the row yet
}

// Owner is whose wishes they are.
func (r *Resolved) Owner() ovs.Owner { return r.owner }

// Empty says that the owner wants nothing.
func (r *Resolved) Empty() bool { return len(r.rows) == 0 }

// Resolve looks everything up. Its errors are all that is wrong with the Desired as such.
func Resolve(db *schema.Database, owner ovs.Owner, want ovs.Desired) (*Resolved, error) {
	var errs []error
	if owner.Feature == "" || owner.Key == "" || strings.Contains(owner.Feature, "/") {
		errs = append(errs, fmt.Errorf("%q is no owner", owner))
	}
	out := &Resolved{db: db, owner: owner, byUUID: make(map[string]*resolvedRow, len(want.Rows)), left: map[string]bool{}}
	for _, sym := range want.Left {
		out.left[sym.UUID()] = true
	}
	for _, r := range want.Rows {
		w, err := resolveRow(db, r)
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
	errs = append(errs, out.resolveNeeds(want.Needs)...)
	errs = append(errs, out.checkChildren()...)
	if len(errs) == 0 {
		errs = append(errs, out.writeIDs()...)
	}
	return out, errors.Join(errs...)
}

func resolveRow(db *schema.Database, r ovs.Row) (*resolvedRow, error) {
	if err := r.Sym.Valid(); err != nil {
		return nil, err
	}
	t, err := db.TableOf(r.Model)
	if err != nil {
		return nil, err
	}
	w := &resolvedRow{table: t, sym: r.Sym, uuid: r.Sym.UUID(), model: reflect.ValueOf(r.Model).Elem(), from: r.From}
	if t.UUID(w.model) != "" {
		return nil, errors.New("its model has a UUID of its own")
	}
	for _, c := range t.Columns {
		if c.Class != schema.Owned && c.Class != schema.Keyed && !c.Of(w.model).IsZero() {
			return nil, fmt.Errorf("its model sets the column %s, which is not one row's to set", c.Name)
		}
	}
	also := r.Also
	if r.In != (ovs.Column{}) {
		also = append([]ovs.Membership{r.In.This()}, r.Also...)
	}
	for _, m := range also {
		found, err := record.Resolve(db, m, r.Sym)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(w.members, func(o record.Membership) bool { return o.Element == found.Element }) {
			w.members = append(w.members, found)
		}
	}
	return w, resolveExact(db, w, r)
}

// resolveExact turns the sets that the row has for itself into memberships of their values.
func resolveExact(db *schema.Database, w *resolvedRow, r ovs.Row) error {
	for _, e := range r.Exact {
		values := slices.Clone(e.Values)
		slices.Sort(values)
		for _, v := range slices.Compact(values) {
			m, err := record.Resolve(db, e.Set.Of(r.Sym).Value(v), r.Sym)
			if err != nil {
				return err
			}
			m.Seen = true
			w.members = append(w.members, m)
		}
		c, err := db.Set(e.Set.Table, e.Set.Column)
		if err != nil {
			return err
		}
		if c.Table != w.table || c.UUIDs {
			return fmt.Errorf("%s is no set of values that the row has", e.Set)
		}
		w.exact = append(w.exact, c)
	}
	return nil
}

// checkChildren looks for rows that would die at once, because nothing refers to them strongly.
func (r *Resolved) checkChildren() []error {
	var errs []error
	var held map[string]bool
	for _, w := range r.rows {
		if w.table.Root || slices.ContainsFunc(w.members, func(m record.Membership) bool {
			return m.Column.Strong && m.Value == w.uuid
		}) {
			continue
		}
		if held == nil {
			held = r.strongReferences()
		}
		if !held[w.uuid] {
			errs = append(errs, fmt.Errorf("row %s: nothing keeps it alive: %s is no root table", w.sym, w.table.Name))
		}
	}
	return errs
}

// strongReferences are the rows that columns of the wanted rows refer to.
func (r *Resolved) strongReferences() map[string]bool {
	held := map[string]bool{}
	for _, w := range r.rows {
		for _, c := range w.table.Owned {
			if c.Strong {
				c.References(w.model, func(id string) { held[id] = true })
			}
		}
		for _, m := range w.members {
			if m.Column.Strong {
				held[m.Value] = true
			}
		}
	}
	return held
}

// writeIDs fills in external_ids. Rows of tables without it are noted in the first row that has it: the anchor.
func (r *Resolved) writeIDs() []error {
	var errs []error
	var anchor *resolvedRow
	for _, w := range r.rows {
		if w.table.ExternalIDs == nil {
			continue
		}
		var err error
		if w.ids, err = record.New(r.owner, w.sym, w.table.IDs(w.model)); err != nil {
			errs = append(errs, fmt.Errorf("row %s: %w", w.sym, err))
		}
		if anchor == nil {
			anchor = w
		}
	}
	extra := map[*resolvedRow][]record.Membership{} // what a row records besides its own memberships
	var together []ovs.Ref
	for _, w := range r.rows {
		if w.ids != nil {
			continue
		}
		if anchor == nil {
			return append(errs, fmt.Errorf("row %s: %s has no external_ids, and no row of the owner that has", w.sym, w.table.Name))
		}
		together = append(together, ovs.Ref{Table: w.table.Name, Sym: w.sym, UUID: w.uuid})
		for _, m := range w.members {
			if m.Value == w.uuid && m.MemberSym == "" {
				m = m.Named(w.sym)
			}
			extra[anchor] = append(extra[anchor], m)
		}
	}
	if anchor != nil {
		anchor.ids.PutWith(together)
	}
	for _, w := range r.rows {
		if w.ids != nil {
			w.ids.PutMemberships(append(slices.Clone(w.members), extra[w]...))
		}
	}
	return errs
}

// RowDigest is a row as its owner wants it.
type RowDigest struct {
	Owner ovs.Owner
	UUID  string
	Sym   ovs.Sym
	Hash  uint64
}

// Digest is what an owner wants in short: enough to tell later whether the rows are as it wanted them.
type Digest struct {
	Rows     []RowDigest
	Elements []record.Element
	Sum      uint64 // differs where the rest does
}

// Digest hashes the rows and lists the elements.
func (r *Resolved) Digest() Digest {
	var a Digest
	for _, w := range r.rows {
		e := RowDigest{Owner: r.owner, UUID: w.uuid, Sym: w.sym, Hash: w.hash()}
		a.Rows = append(a.Rows, e)
		a.Sum += schema.Stir(e.Hash)
		for _, m := range w.members {
			a.Elements = append(a.Elements, m.Element)
			a.Sum += schema.HashPair(m.Parent, m.Value)
		}
	}
	return a
}

// hash is a hash of all that is ours in the row; cache.Row.Hash is its counterpart.
func (w *resolvedRow) hash() uint64 { return w.table.Hash(w.model, w.ids) }

// elements are all elements of sets that the owner wants.
func (r *Resolved) elements() map[record.Element]bool {
	out := map[record.Element]bool{}
	for _, w := range r.rows {
		for _, m := range w.members {
			out[m.Element] = true
		}
	}
	return out
}
