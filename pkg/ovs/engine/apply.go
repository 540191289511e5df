package engine

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/internal/plan"
)

// Plan is the difference between what an owner wants and what it has.
type Plan = plan.Plan

// attempts to bring a plan through that others cross.
const attempts = 3

// Apply makes the rows of the owner what want says, with at most one transaction, which other owners may share: while
// one is under way the next callers gather and go together. With nothing to do it sends nothing. The Plan is what was
// found to be different; it is empty if nothing was sent.
//
// Calls for one owner must not overlap. Errors to tell apart: those of package ovs.
func (d *DB) Apply(ctx context.Context, owner ovs.Owner, want ovs.Desired) (Plan, error) {
	r, err := plan.Resolve(d.database, owner, want)
	if err != nil {
		return Plan{}, fmt.Errorf("checking the rows of %s: %w", owner, err)
	}
	for range attempts {
		todo, v, before, err := d.prepare(r)
		if err != nil || todo.Empty() {
			return Plan{}, err
		}
		out := d.commit(ctx, &job{feature: owner.Feature, view: v, plan: todo, done: make(chan outcome, 1)})
		if out.err == nil {
			d.forgetIfEmpty(r)
			return todo, nil
		}
		if !errors.Is(out.err, ovs.ErrUnknown) {
			d.ledger.restore(owner, before)
		}
		if errors.Is(out.err, plan.ErrCrossed) {
			continue
		}
		d.awaitRelease(v, owner, out)
		return Plan{}, out.err
	}
	if v := d.view(); v != nil {
		v.End(fmt.Errorf("the database refused three plans for %s", owner))
	}
	return Plan{}, &ovs.ErrStale{Details: fmt.Sprintf("refused %d plans for %s", attempts, owner)}
}

// forgetIfEmpty drops an owner from the ledger that wants nothing any more.
func (d *DB) forgetIfEmpty(r *plan.Resolved) {
	if r.Empty() {
		d.ledger.forget(r.Owner())
	}
}

// prepare makes the plan and notes what is expected from now on. Both happen under the cache's lock: what others change
// after it is drift.
func (d *DB) prepare(r *plan.Resolved) (todo Plan, v *view, before *digest, err error) {
	owner := r.Owner()
	if v = d.view(); v == nil {
		d.ledger.know(owner)
		return Plan{}, nil, nil, ovs.ErrOffline
	}
	v.cache.RLock()
	defer v.cache.RUnlock()
	now := digestOf(r)
	todo, missing, err := plan.Diff(r, v.cache, d.ledger.past(owner, now))
	if err != nil { // the only one there is: another owner has the Sym
		d.ledger.know(owner)
		var taken *ovs.ErrTaken
		if errors.As(err, &taken) {
			d.ledger.block(owner, obstacle{taken: taken.Table})
		}
		return Plan{}, nil, nil, err
	}
	if len(missing) > 0 {
		d.ledger.wait(owner, missing)
		return Plan{}, nil, nil, &ovs.ErrWaiting{Refs: missing}
	}
	before = d.ledger.expect(owner, now)
	if todo.Empty() {
		d.forgetIfEmpty(r)
	}
	return todo, v, before, nil
}

// Plan is what Apply would do, without doing it.
func (d *DB) Plan(owner ovs.Owner, want ovs.Desired) (Plan, error) {
	r, err := plan.Resolve(d.database, owner, want)
	if err != nil {
		return Plan{}, fmt.Errorf("checking the rows of %s: %w", owner, err)
	}
	v := d.view()
	if v == nil {
		return Plan{}, ovs.ErrOffline
	}
	v.cache.RLock()
	defer v.cache.RUnlock()
	todo, missing, err := plan.Diff(r, v.cache, d.ledger.past(owner, digestOf(r)))
	if err == nil && len(missing) > 0 {
		err = &ovs.ErrWaiting{Refs: missing}
	}
	return todo, err
}

// awaitRelease has the owner marked dirty when what is in its way may have gone, also if that happened just now.
func (d *DB) awaitRelease(v *view, o ovs.Owner, out outcome) {
	var used *ovs.ErrInUse
	var taken *ovs.ErrTaken
	var by obstacle
	switch {
	case errors.As(out.err, &used):
		by.inUse = used.Table
	case errors.As(out.err, &taken):
		by.taken = taken.Table
	default:
		return
	}
	v.cache.RLock()
	defer v.cache.RUnlock()
	if taken != nil {
		d.identify(v, taken)
	}
	d.ledger.block(o, by)
	if v.cache.Version() != out.version {
		d.ledger.mu.Lock()
		defer d.ledger.mu.Unlock()
		d.ledger.mark(o, CauseAwaited, "what was in the way may have gone")
	}
}

// uuids finds the rows that the database speaks of.
var uuids = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// identify finds out whose the row is that has the name. The refusal of a guard says the name; that of an index says the
// UUIDs of both rows, of which the one that exists has it.
func (d *DB) identify(v *view, taken *ovs.ErrTaken) {
	table := d.database.Tables[taken.Table]
	if table == nil {
		return
	}
	row := v.cache.Named(table, taken.Name)
	if taken.Name == "" {
		row = nil
		for _, id := range uuids.FindAllString(taken.Details, -1) {
			if found := v.cache.Row(table, id); found != nil {
				row = found
			}
		}
	}
	if row == nil {
		return
	}
	taken.Name = row.Name()
	if o, ok := ovs.ParseOwner(row.IDs().Owner()); ok {
		taken.Holder = o
	}
}
