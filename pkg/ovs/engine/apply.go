package engine

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/internal/plan"
)

// Plan is the difference between what an owner wants and what it has.
type Plan = plan.Plan

const (
	maxOwners = 100       // to a transaction; 1000 are no faster, and hold the server for a third of a second
	maxBytes  = 256 << 10 // to a transaction
	attempts  = 3         // to bring a plan through that others cross
)

// job is a plan on its way.
type job struct {
	view *view
	plan Plan
	done chan outcome
}

type outcome struct {
	err     error
	version uint64
}

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
		out := d.commit(ctx, v, todo)
		if out.err == nil {
			d.settle(r)
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

// settle forgets an owner that wants nothing any more.
func (d *DB) settle(r *plan.Want) {
	if r.Empty() {
		d.ledger.forget(r.Owner())
	}
}

// prepare makes the plan and notes what is expected from now on. Both happen under the cache's lock: what others change
// after it is drift.
func (d *DB) prepare(r *plan.Want) (todo Plan, v *view, before *account, err error) {
	owner := r.Owner()
	if v = d.view(); v == nil {
		d.ledger.know(owner)
		return Plan{}, nil, nil, ovs.ErrOffline
	}
	v.cache.RLock()
	defer v.cache.RUnlock()
	wanted := accountOf(r)
	todo, missing, err := plan.Diff(r, v.cache, d.ledger.memory(owner, wanted))
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
	before = d.ledger.expect(owner, wanted)
	if todo.Empty() {
		d.settle(r)
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
	todo, missing, err := plan.Diff(r, v.cache, d.ledger.memory(owner, accountOf(r)))
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

// commit hands the plan to the committer and waits for what becomes of it.
func (d *DB) commit(ctx context.Context, v *view, todo Plan) outcome {
	j := &job{view: v, plan: todo, done: make(chan outcome, 1)}
	select {
	case d.queue <- j:
	case <-v.Done():
		return outcome{err: ovs.ErrOffline}
	case <-d.stopped:
		return outcome{err: ovs.ErrOffline}
	case <-ctx.Done():
		return outcome{err: ctx.Err()}
	}
	select {
	case out := <-j.done:
		return out
	case <-d.stopped:
		return outcome{err: ovs.ErrUnknown}
	case <-ctx.Done():
		return outcome{err: fmt.Errorf("%w: %w", ovs.ErrUnknown, ctx.Err())}
	}
}

// commitAll sends one transaction after the other, each with all that has gathered during the one before.
func (d *DB) commitAll(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case j := <-d.queue:
			d.send(ctx, d.gather(j))
		}
	}
}

// gather takes what is waiting, as far as it fits.
func (d *DB) gather(first *job) []*job {
	jobs, size := []*job{first}, first.plan.Size()
	for len(jobs) < maxOwners && size < maxBytes {
		select {
		case j := <-d.queue:
			jobs = append(jobs, j)
			size += j.plan.Size()
		default:
			return jobs
		}
	}
	return jobs
}

// send sends the plans as one transaction; if the server refuses it, each by itself.
func (d *DB) send(ctx context.Context, jobs []*job) {
	v := d.view()
	live := jobs[:0]
	for _, j := range jobs {
		if j.view != v || v == nil {
			j.done <- outcome{err: ovs.ErrOffline} // made from a cache that is gone
			continue
		}
		live = append(live, j)
	}
	if len(live) == 0 {
		return
	}
	out := d.transact(ctx, v, live)
	if out.err != nil && len(live) > 1 && !errors.Is(out.err, ovs.ErrUnknown) {
		for _, j := range live {
			j.done <- d.transact(ctx, v, []*job{j})
		}
		return
	}
	for _, j := range live {
		j.done <- out
	}
}

func (d *DB) transact(ctx context.Context, v *view, jobs []*job) outcome {
	plans := make([]Plan, len(jobs))
	for i, j := range jobs {
		plans[i] = j.plan
	}
	t := plan.NewTransaction(plans...)
	params := t.Params(d.database.Name)
	if d.options.record != nil {
		d.options.record(params)
	}
	start := time.Now()
	results, version, err := v.Transact(ctx, params)
	d.metrics.transact.WithLabelValues(d.database.Name).Observe(time.Since(start).Seconds())
	d.metrics.owners.WithLabelValues(d.database.Name).Observe(float64(len(jobs)))
	if err != nil {
		return outcome{err: fmt.Errorf("%w: %w", ovs.ErrUnknown, err)}
	}
	if err := t.Refusal(results); err != nil {
		d.metrics.refusals.WithLabelValues(d.database.Name).Inc()
		return outcome{err: err, version: version}
	}
	return outcome{version: version}
}
