package ovs

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"
)

const (
	maxOwners = 100       // to a transaction; 1000 are no faster, and hold the server for a third of a second
	maxBytes  = 256 << 10 // to a transaction
	attempts  = 3         // to bring a plan through that others cross
)

// job is a plan on its way.
type job struct {
	session *session
	plan    Plan
	done    chan outcome
}

type outcome struct {
	err     error
	version uint64
}

// errCrossed says that the database had changed since the plan was made; the change is in the cache by now.
var errCrossed = errors.New("crossed by another change")

// Apply makes the rows of the owner what want says, with at most one transaction, which other owners may share: while
// one is under way the next callers gather and go together. With nothing to do it sends nothing. The Plan is what was
// found to be different; it is empty if nothing was sent.
//
// Calls for one owner must not overlap. Errors to tell apart: ErrOffline, ErrUnknown, *ErrWaiting, *ErrInUse, *ErrTaken,
// *ErrStale, *ErrRefused.
func (d *DB) Apply(ctx context.Context, owner Owner, want Desired) (Plan, error) {
	r, err := d.database.resolve(owner, want)
	if err != nil {
		return Plan{}, fmt.Errorf("checking the rows of %s: %w", owner, err)
	}
	for range attempts {
		plan, s, before, err := d.prepare(r)
		if err != nil || plan.Empty() {
			return Plan{}, err
		}
		out := d.commit(ctx, s, plan)
		if out.err == nil {
			d.settle(r)
			return plan, nil
		}
		if !errors.Is(out.err, ErrUnknown) {
			d.ledger.restore(owner, before)
		}
		if errors.Is(out.err, errCrossed) {
			continue
		}
		d.awaitRelease(s, owner, out)
		return Plan{}, out.err
	}
	if s := d.session(); s != nil {
		s.end(fmt.Errorf("the database refused three plans for %s", owner))
	}
	return Plan{}, &ErrStale{Details: fmt.Sprintf("refused %d plans for %s", attempts, owner)}
}

// settle forgets an owner that wants nothing any more.
func (d *DB) settle(r *resolved) {
	if len(r.rows) == 0 {
		d.ledger.forget(r.owner)
	}
}

// prepare makes the plan and notes what is expected from now on. Both happen under the cache's lock: what others change
// after it is drift.
func (d *DB) prepare(r *resolved) (plan Plan, s *session, before *account, err error) {
	if s = d.session(); s == nil {
		d.ledger.know(r.owner)
		return Plan{}, nil, nil, ErrOffline
	}
	s.cache.mu.RLock()
	defer s.cache.mu.RUnlock()
	wanted := accountOf(r)
	plan, missing, err := diff(r, s.cache, d.ledger.memory(r.owner, wanted))
	if err != nil { // the only one there is: another owner has the Sym
		d.ledger.know(r.owner)
		var taken *ErrTaken
		if errors.As(err, &taken) {
			d.ledger.block(r.owner, obstacle{taken: taken.Table})
		}
		return Plan{}, nil, nil, err
	}
	if len(missing) > 0 {
		d.ledger.wait(r.owner, missing)
		return Plan{}, nil, nil, &ErrWaiting{Refs: missing}
	}
	before = d.ledger.expect(r.owner, wanted)
	if plan.Empty() {
		d.settle(r)
	}
	return plan, s, before, nil
}

// Plan is what Apply would do, without doing it.
func (d *DB) Plan(owner Owner, want Desired) (Plan, error) {
	r, err := d.database.resolve(owner, want)
	if err != nil {
		return Plan{}, fmt.Errorf("checking the rows of %s: %w", owner, err)
	}
	s := d.session()
	if s == nil {
		return Plan{}, ErrOffline
	}
	s.cache.mu.RLock()
	defer s.cache.mu.RUnlock()
	plan, missing, err := diff(r, s.cache, d.ledger.memory(owner, accountOf(r)))
	if err == nil && len(missing) > 0 {
		err = &ErrWaiting{Refs: missing}
	}
	return plan, err
}

// awaitRelease has the owner marked dirty when what is in its way may have gone, also if that happened just now.
func (d *DB) awaitRelease(s *session, o Owner, out outcome) {
	var used *ErrInUse
	var taken *ErrTaken
	var by obstacle
	switch {
	case errors.As(out.err, &used):
		by.inUse = used.Table
	case errors.As(out.err, &taken):
		by.taken = taken.Table
	default:
		return
	}
	s.cache.mu.RLock()
	defer s.cache.mu.RUnlock()
	d.ledger.block(o, by)
	if s.cache.version != out.version {
		d.ledger.mu.Lock()
		defer d.ledger.mu.Unlock()
		d.ledger.mark(o, CauseAwaited, "what was in the way may have gone")
	}
}

// commit hands the plan to the committer and waits for what becomes of it.
func (d *DB) commit(ctx context.Context, s *session, plan Plan) outcome {
	j := &job{session: s, plan: plan, done: make(chan outcome, 1)}
	select {
	case d.queue <- j:
	case <-s.done:
		return outcome{err: ErrOffline}
	case <-d.stopped:
		return outcome{err: ErrOffline}
	case <-ctx.Done():
		return outcome{err: ctx.Err()}
	}
	select {
	case out := <-j.done:
		return out
	case <-d.stopped:
		return outcome{err: ErrUnknown}
	case <-ctx.Done():
		return outcome{err: fmt.Errorf("%w: %w", ErrUnknown, ctx.Err())}
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
	jobs, size := []*job{first}, first.plan.size()
	for len(jobs) < maxOwners && size < maxBytes {
		select {
		case j := <-d.queue:
			jobs = append(jobs, j)
			size += j.plan.size()
		default:
			return jobs
		}
	}
	return jobs
}

// size estimates the bytes of a plan's operations.
func (p Plan) size() int { return 600 * len(p.changes) }

// send sends the plans as one transaction; if the server refuses it, each by itself.
func (d *DB) send(ctx context.Context, jobs []*job) {
	s := d.session()
	live := jobs[:0]
	for _, j := range jobs {
		if j.session != s || s == nil {
			j.done <- outcome{err: ErrOffline} // made from a cache that is gone
			continue
		}
		live = append(live, j)
	}
	if len(live) == 0 {
		return
	}
	out := d.transact(ctx, s, live)
	if out.err != nil && len(live) > 1 && !errors.Is(out.err, ErrUnknown) {
		for _, j := range live {
			j.done <- d.transact(ctx, s, []*job{j})
		}
		return
	}
	for _, j := range live {
		j.done <- out
	}
}

func (d *DB) transact(ctx context.Context, s *session, jobs []*job) outcome {
	t := newTxn()
	for _, j := range jobs {
		t.add(j.plan)
	}
	ops := t.operations()
	if d.options.record != nil {
		d.options.record(params(d.database.name, ops))
	}
	start := time.Now()
	results, version, err := s.transact(ctx, ops)
	d.metrics.transact.WithLabelValues(d.database.name).Observe(time.Since(start).Seconds())
	d.metrics.owners.WithLabelValues(d.database.name).Observe(float64(len(jobs)))
	if err != nil {
		return outcome{err: fmt.Errorf("%w: %w", ErrUnknown, err)}
	}
	if err := refusal(ops, results); err != nil {
		d.metrics.refusals.WithLabelValues(d.database.name).Inc()
		return outcome{err: err, version: version}
	}
	return outcome{version: version}
}

var (
	inUse     = regexp.MustCompile(`cannot delete (\w+) row`)
	taken     = regexp.MustCompile(`multiple rows in "?(\w+)"? table to have identical values`)
	vanished  = regexp.MustCompile(`references? (to )?nonexistent row|reference to nonexistent`)
	duplicate = regexp.MustCompile(`duplicate uuid`)
)

// refusal turns the results of a transaction into an error; nil if it was committed.
func refusal(ops []operation, results []result) error {
	for i, r := range results {
		if r.Error == "" {
			continue
		}
		text := r.Error
		if r.Details != "" {
			text += ": " + r.Details
		}
		switch {
		case r.Error == "timed out" && i < len(ops) && ops[i].guard == guardName:
			return &ErrTaken{Table: ops[i].table.name, Details: "another row has the name"}
		case r.Error == "timed out", r.Error == "duplicate uuid", duplicate.MatchString(text), vanished.MatchString(text):
			return errCrossed
		case r.Error == "not owner", r.Error == "resources exhausted", r.Error == "I/O error":
			return fmt.Errorf("the database could not commit: %s", text)
		}
		if m := inUse.FindStringSubmatch(text); m != nil {
			return &ErrInUse{Table: m[1], Details: text}
		}
		if m := taken.FindStringSubmatch(text); m != nil {
			return &ErrTaken{Table: m[1], Details: text}
		}
		return &ErrRefused{Details: text}
	}
	return nil
}
