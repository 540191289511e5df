package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/internal/plan"
)

// batch is how much goes in one transaction.
type batch struct{ owners, bytes int }

var (
	// usual is for most changes: 1000 owners are no faster, and hold the server for a third of a second.
	usual = batch{owners: 100, bytes: 256 << 10}
	// topology is for plans that the window has held back: each client of the database pays for each transaction.
	topology = batch{owners: 500, bytes: 4 << 20}
)

// job is a plan on its way.
type job struct {
	feature string // the owner's
	view    *view
	plan    Plan
	done    chan outcome
}

type outcome struct {
	err     error
	version uint64
}

// commit hands the plan to the committer and waits for what becomes of it.
func (d *DB) commit(ctx context.Context, j *job) outcome {
	select {
	case d.queue <- j:
	case <-j.view.Done():
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

// commitAll sends one transaction after the other, each with all that has gathered during the one before. What the window
// holds back goes when it opens.
func (d *DB) commitAll(ctx context.Context) {
	w := d.options.window
	for {
		select {
		case <-ctx.Done():
			return
		case j := <-d.queue:
			d.sendAll(ctx, usual, w.pass(d.gather(j), time.Now()))
		case <-w.opens():
			d.sendAll(ctx, topology, w.open(time.Now()))
		}
	}
}

// gather takes what is waiting.
func (d *DB) gather(first *job) []*job {
	jobs := []*job{first}
	for len(jobs) < usual.owners {
		select {
		case j := <-d.queue:
			jobs = append(jobs, j)
		default:
			return jobs
		}
	}
	return jobs
}

// sendAll sends the plans, as many in one transaction as fit.
func (d *DB) sendAll(ctx context.Context, most batch, jobs []*job) {
	for len(jobs) > 0 {
		n, size := 1, jobs[0].plan.Size()
		for n < min(len(jobs), most.owners) && size < most.bytes {
			size += jobs[n].plan.Size()
			n++
		}
		d.send(ctx, jobs[:n])
		jobs = jobs[n:]
	}
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
