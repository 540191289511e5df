package plan

import (
	"fmt"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/internal/record"
)

// need is a Need with everything looked up.
type need struct {
	row     *resolvedRow // with the external_ids that its own owner gives it
	members []record.Membership
}

func (r *Resolved) resolveNeeds(needs []ovs.Need) []error {
	var errs []error
	for _, n := range needs {
		found, err := r.resolveNeed(n)
		if err != nil {
			errs = append(errs, fmt.Errorf("row %s of %s: %w", n.Sym, n.Owner, err))
			continue
		}
		r.needs = append(r.needs, found)
		if r.needed == nil {
			r.needed = map[string]bool{}
		}
		r.needed[found.row.uuid] = true
	}
	return errs
}

func (r *Resolved) resolveNeed(n ovs.Need) (need, error) {
	others, err := Resolve(r.db, n.Owner, ovs.Desired{Rows: []ovs.Row{{Sym: n.Sym, Model: n.Model}}})
	if err != nil {
		return need{}, err
	}
	out := need{row: others.rows[0]}
	for _, member := range n.Members {
		m, err := record.Resolve(r.db, n.Set.Of(n.Sym).This(), member)
		if err != nil {
			return need{}, err
		}
		if !m.Column.Joined {
			return need{}, fmt.Errorf("%s is not joined by its members themselves", n.Set)
		}
		out.members = append(out.members, m.Named(member))
	}
	return out, nil
}

// brings says whether a row is there once the transaction has come through.
func (r *Resolved) brings(uuid string) bool { return r.byUUID[uuid] != nil || r.needed[uuid] }

// supply adds what is missing of a row that others have to make.
func (d *differ) supply(n need) {
	w := n.row
	missing := !d.have.Has(w.table.Name, w.uuid)
	if missing {
		d.add(change{kind: insert, table: w.table, uuid: w.uuid, sym: w.sym, model: w.model, set: w.ids})
	}
	for _, m := range n.members {
		if d.have.Has(m.Column.Ref, m.Value) && (missing || !d.have.Contains(m.Element)) {
			d.member(join, m, w.sym)
		}
	}
}
