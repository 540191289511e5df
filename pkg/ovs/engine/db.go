package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/internal/cache"
	"github.com/woven-cni/woven/pkg/ovs/internal/plan"
	"github.com/woven-cni/woven/pkg/ovs/internal/schema"
	"github.com/woven-cni/woven/pkg/ovs/internal/session"
)

// Database is a kind of database: ovs.Northbound, ovs.NodeSwitch.
type Database = schema.Database

// Option changes how a DB works.
type Option func(*options)

type options struct {
	log      logr.Logger
	metrics  prometheus.Registerer
	record   func(params []byte)
	observe  func(Change)
	deadline time.Duration
	window   window
}

// WithLogger gives the DB a logger for sessions that begin and end.
func WithLogger(log logr.Logger) Option { return func(o *options) { o.log = log } }

// WithMetrics registers the DB's metrics.
func WithMetrics(r prometheus.Registerer) Option { return func(o *options) { o.metrics = r } }

// WithRecorder has f called with the parameters of each transaction before it is sent; tests count with it.
func WithRecorder(f func(params []byte)) Option { return func(o *options) { o.record = f } }

// WithDeadline says how long a transaction may take before the session is given up; a server that takes longer than the
// 15 seconds it has by default has lost its disk or its quorum.
func WithDeadline(limit time.Duration) Option { return func(o *options) { o.deadline = limit } }

// WithWindow has the plans of some features go together: those whose changes are rare, and dear to whoever reads the database.
// A plan that comes alone does not wait; of several, each waits until none has come for the quiet time, and longest at most.
func WithWindow(quiet, longest time.Duration, features ...string) Option {
	return func(o *options) {
		o.window = window{rare: map[string]bool{}, quiet: quiet, longest: longest}
		for _, f := range features {
			o.window.rare[f] = true
		}
	}
}

// WithObserver has f called when a row came, changed or went, and with the zero Change when a session began or ended. It
// runs between updates: it must return at once, and ask the DB nothing.
func WithObserver(f func(Change)) Option { return func(o *options) { o.observe = f } }

// Change is a row before and after an update: one of them is nil if it came or went. The models are shared: read them only.
type Change struct {
	Table    string
	Old, New ovs.Model
}

// DB is a database, whatever becomes of the connections to it.
type DB struct {
	database *schema.Database
	options  options
	ledger   *ledger
	metrics  *metrics
	queue    chan *job
	ready    chan struct{}
	stopped  <-chan struct{}

	mu        sync.Mutex // protects following
	endpoints []string
	changed   chan struct{} // closed and replaced when the endpoints change
	current   *view         // nil while there is none
	count     uint64
}

// view is a session and the cache that it keeps up to date.
type view struct {
	*session.Session
	cache *cache.Cache
}

const (
	firstBackoff = 20 * time.Millisecond
	lastBackoff  = time.Second
	callTimeout  = 15 * time.Second // for a transaction, if WithDeadline does not say otherwise
)

// Open starts to keep a session with the database that is served at the endpoints ("tcp:10.0.0.1:6641",
// "tcp:[fd00::1]:6641", "unix:/run/ovn/ovnnb_db.sock"; of a cluster any members: the leader is found). It returns at
// once, also with no endpoints yet; Ready tells when the database can be used. The DB ends with the context.
func Open(ctx context.Context, database *schema.Database, endpoints []string, opts ...Option) (*DB, error) {
	d := &DB{
		database: database.Load(), endpoints: slices.Clone(endpoints),
		ready: make(chan struct{}), changed: make(chan struct{}), queue: make(chan *job, usual.owners),
		stopped: ctx.Done(), options: options{deadline: callTimeout, observe: func(Change) {}},
	}
	for _, o := range opts {
		o(&d.options)
	}
	var err error
	if d.metrics, err = newMetrics(d.database.Name, d.options.metrics); err != nil {
		return nil, err
	}
	if r := d.options.metrics; r != nil {
		if err := r.Register(newRowsCollector(d)); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	d.ledger = newLedger(func(feature string) { d.metrics.drift.WithLabelValues(d.database.Name, feature).Inc() })
	go d.keepSession(ctx)
	go d.commitAll(ctx)
	return d, nil
}

// keepSession makes one session after the other. Waiting between attempts ends at once when the endpoints change.
func (d *DB) keepSession(ctx context.Context) {
	log := d.options.log.WithValues("database", d.database.Name)
	wait, quiet := firstBackoff, false
	for ctx.Err() == nil {
		d.mu.Lock()
		endpoints, changed := d.endpoints, d.changed
		d.mu.Unlock()
		v, err := d.connect(ctx, endpoints)
		if err != nil {
			if !quiet && len(endpoints) > 0 {
				log.Info("cannot connect, and keep trying", "endpoints", endpoints, "error", err.Error())
				quiet = true
			}
			select {
			case <-ctx.Done():
			case <-changed:
				wait = firstBackoff
			case <-time.After(wait):
				wait = min(2*wait, lastBackoff)
			}
			continue
		}
		wait, quiet = firstBackoff, false
		d.begin(ctx, v)
		log.Info("session begun", "endpoint", v.Endpoint(), "session", d.Session())
		select {
		case <-v.Done():
		case <-ctx.Done():
			v.End(ctx.Err())
		}
		d.mu.Lock()
		d.current = nil
		d.mu.Unlock()
		d.options.observe(Change{})
		log.Info("session ended", "endpoint", v.Endpoint(), "cause", v.Err().Error())
		if errors.Is(v.Err(), session.ErrLeader) {
			d.demote(v.Endpoint())
		}
	}
}

// connect tries one endpoint after the other.
func (d *DB) connect(ctx context.Context, endpoints []string) (*view, error) {
	if len(endpoints) == 0 {
		return nil, errors.New("no endpoints yet")
	}
	config := session.Config{Database: d.database.Name, Columns: d.database.Monitored(), Deadline: d.options.deadline}
	var errs []error
	for _, e := range endpoints {
		filled := cache.New(d.database, d.observe)
		s, err := session.Open(ctx, e, config, filled)
		if err == nil {
			return &view{s, filled}, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", e, err))
	}
	return nil, errors.Join(errs...)
}

// observe passes on what has happened. The cache's lock is held.
func (d *DB) observe(deltas []cache.Delta) {
	d.ledger.observe(deltas)
	for _, delta := range deltas {
		var c Change
		if delta.Old != nil {
			c.Table, c.Old = delta.Old.Table.Name, delta.Old.Model()
		}
		if delta.New != nil {
			c.Table, c.New = delta.New.Table.Name, delta.New.Model()
		}
		if c.Table != "" {
			d.options.observe(c)
		}
	}
}

// demote tries an endpoint last from now on.
func (d *DB) demote(endpoint string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if i := slices.Index(d.endpoints, endpoint); i >= 0 {
		d.endpoints = append(slices.Delete(slices.Clone(d.endpoints), i, i+1), endpoint)
	}
}

func (d *DB) begin(ctx context.Context, v *view) {
	d.mu.Lock()
	d.current = v
	d.count++
	first := d.count == 1
	gone := !slices.Contains(d.endpoints, v.Endpoint())
	d.mu.Unlock()
	d.metrics.sessions.WithLabelValues(d.database.Name).Inc()
	v.cache.RLock()
	owners := v.cache.Owners()
	v.cache.RUnlock()
	d.ledger.begin(owners)
	if first {
		close(d.ready)
	}
	d.options.observe(Change{})
	go v.Probe(ctx)
	if gone {
		v.End(errors.New("its endpoint has gone"))
	}
}

// view is the current one, or nil.
func (d *DB) view() *view {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.current
}

// Ready is closed when the first session is filled.
func (d *DB) Ready() <-chan struct{} { return d.ready }

// Session counts the sessions begun so far; 0 means none yet.
func (d *DB) Session() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.count
}

// Connected says whether there is a session now.
func (d *DB) Connected() bool { return d.view() != nil }

// SetEndpoints replaces the endpoints. The current session stays if its endpoint is still among them. Without any, those
// before stay: a Service whose endpoints are all unready for a moment is no reason to end a session that is well.
func (d *DB) SetEndpoints(endpoints []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(endpoints) == 0 || slices.Equal(d.endpoints, endpoints) {
		return
	}
	d.endpoints = slices.Clone(endpoints)
	close(d.changed)
	d.changed = make(chan struct{})
	if v := d.current; v != nil && !slices.Contains(endpoints, v.Endpoint()) {
		go v.End(errors.New("its endpoint has gone"))
	}
}

// Dirty is the set of a feature's owners that want a look.
func (d *DB) Dirty(feature string) *DirtySet {
	d.ledger.mu.Lock()
	defer d.ledger.mu.Unlock()
	return d.ledger.set(feature)
}

// Owners lists the owners of a feature that have rows, whether or not their objects still exist.
func (d *DB) Owners(feature string) []ovs.Owner {
	v := d.view()
	if v == nil {
		return nil
	}
	v.cache.RLock()
	defer v.cache.RUnlock()
	out := slices.DeleteFunc(v.cache.Owners(), func(o ovs.Owner) bool { return o.Feature != feature })
	slices.SortFunc(out, func(a, b ovs.Owner) int { return cmp.Compare(a.Key, b.Key) })
	return out
}

// Check reports everything that is wrong with a Desired as such: programming errors, which tests should find. Apply
// refuses one that does not pass.
func Check(database *schema.Database, owner ovs.Owner, want ovs.Desired) error {
	_, err := plan.Resolve(database.Load(), owner, want)
	return err
}
