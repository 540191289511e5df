package ovs

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
)

// Option changes how a DB works.
type Option func(*options)

type options struct {
	log      logr.Logger
	metrics  prometheus.Registerer
	record   func(params []byte)
	deadline time.Duration
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

// DB is a database, whatever becomes of the connections to it.
type DB struct {
	database *Database
	options  options
	ledger   *ledger
	metrics  *metrics
	queue    chan *job
	ready    chan struct{}
	stopped  <-chan struct{}

	mu        sync.Mutex // protects following
	endpoints []string
	changed   chan struct{} // closed and replaced when the endpoints change
	current   *session      // nil while there is none
	count     uint64
}

const (
	firstBackoff = 20 * time.Millisecond
	lastBackoff  = time.Second
)

// Open starts to keep a session with the database that is served at the endpoints ("tcp:10.0.0.1:6641",
// "tcp:[fd00::1]:6641", "unix:/run/ovn/ovnnb_db.sock"; of a cluster any members: the leader is found). It returns at
// once, also with no endpoints yet; Ready tells when the database can be used. The DB ends with the context.
func Open(ctx context.Context, database *Database, endpoints []string, opts ...Option) (*DB, error) {
	d := &DB{
		database: database.load(), endpoints: slices.Clone(endpoints),
		ready: make(chan struct{}), changed: make(chan struct{}), queue: make(chan *job, maxOwners),
		stopped: ctx.Done(), options: options{deadline: callTimeout},
	}
	for _, o := range opts {
		o(&d.options)
	}
	var err error
	if d.metrics, err = newMetrics(d.database.name, d.options.metrics); err != nil {
		return nil, err
	}
	if r := d.options.metrics; r != nil {
		if err := r.Register(newRowsCollector(d)); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	d.ledger = newLedger(func(feature string) { d.metrics.drift.WithLabelValues(d.database.name, feature).Inc() })
	go d.keepSession(ctx)
	go d.commitAll(ctx)
	return d, nil
}

// keepSession makes one session after the other. Waiting between attempts ends at once when the endpoints change.
func (d *DB) keepSession(ctx context.Context) {
	log := d.options.log.WithValues("database", d.database.name)
	wait, quiet := firstBackoff, false
	for ctx.Err() == nil {
		d.mu.Lock()
		endpoints, changed := d.endpoints, d.changed
		d.mu.Unlock()
		s, err := d.connect(ctx, endpoints)
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
		d.begin(ctx, s)
		log.Info("session begun", "endpoint", s.endpoint, "session", d.Session())
		select {
		case <-s.done:
		case <-ctx.Done():
			s.end(ctx.Err())
		}
		d.mu.Lock()
		d.current = nil
		d.mu.Unlock()
		log.Info("session ended", "endpoint", s.endpoint, "cause", s.err.Error())
		if errors.Is(s.err, errLeader) {
			d.demote(s.endpoint)
		}
	}
}

// connect tries one endpoint after the other.
func (d *DB) connect(ctx context.Context, endpoints []string) (*session, error) {
	if len(endpoints) == 0 {
		return nil, errors.New("no endpoints yet")
	}
	var errs []error
	for _, e := range endpoints {
		s, err := newSession(ctx, e, sessionConfig{d.database, d.ledger.observe, d.options.deadline})
		if err == nil {
			return s, nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", e, err))
	}
	return nil, errors.Join(errs...)
}

// demote tries an endpoint last from now on.
func (d *DB) demote(endpoint string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if i := slices.Index(d.endpoints, endpoint); i >= 0 {
		d.endpoints = append(slices.Delete(slices.Clone(d.endpoints), i, i+1), endpoint)
	}
}

func (d *DB) begin(ctx context.Context, s *session) {
	d.mu.Lock()
	d.current = s
	d.count++
	first := d.count == 1
	gone := !slices.Contains(d.endpoints, s.endpoint)
	d.mu.Unlock()
	d.metrics.sessions.WithLabelValues(d.database.name).Inc()
	s.cache.mu.RLock()
	var owners []Owner
	for name := range s.cache.owners {
		if o, ok := ParseOwner(name); ok {
			owners = append(owners, o)
		}
	}
	s.cache.mu.RUnlock()
	d.ledger.begin(owners)
	if first {
		close(d.ready)
	}
	go s.probe(ctx)
	if gone {
		s.end(errors.New("its endpoint has gone"))
	}
}

// session is the current one, or nil.
func (d *DB) session() *session {
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
func (d *DB) Connected() bool { return d.session() != nil }

// SetEndpoints replaces the endpoints. The current session stays if its endpoint is still among them.
func (d *DB) SetEndpoints(endpoints []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if slices.Equal(d.endpoints, endpoints) {
		return
	}
	d.endpoints = slices.Clone(endpoints)
	close(d.changed)
	d.changed = make(chan struct{})
	if s := d.current; s != nil && !slices.Contains(endpoints, s.endpoint) {
		go s.end(errors.New("its endpoint has gone"))
	}
}

// Dirty is the set of a feature's owners that want a look.
func (d *DB) Dirty(feature string) *DirtySet {
	d.ledger.mu.Lock()
	defer d.ledger.mu.Unlock()
	return d.ledger.set(feature)
}

// Owners lists the owners of a feature that have rows, whether or not their objects still exist.
func (d *DB) Owners(feature string) []Owner {
	s := d.session()
	if s == nil {
		return nil
	}
	s.cache.mu.RLock()
	defer s.cache.mu.RUnlock()
	var out []Owner
	for name := range s.cache.owners {
		if o, ok := ParseOwner(name); ok && o.Feature == feature {
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(a, b Owner) int { return cmp.Compare(a.Key, b.Key) })
	return out
}

// ObservedRow is a row as it is in the database.
type ObservedRow struct {
	Table string
	Sym   Sym
	Model Model
}

// Owned is what the database holds for an owner, sorted by Sym. The models are shared: read them only. Their members
// columns are empty.
func (d *DB) Owned(owner Owner) []ObservedRow {
	s := d.session()
	if s == nil {
		return nil
	}
	s.cache.mu.RLock()
	defer s.cache.mu.RUnlock()
	var out []ObservedRow
	for _, r := range s.cache.owned(owner) {
		out = append(out, ObservedRow{Table: r.table.name, Sym: r.sym, Model: r.model})
	}
	return out
}

// Has says whether the database holds the row.
func (d *DB) Has(table string, sym Sym) bool {
	s := d.session()
	if s == nil {
		return false
	}
	s.cache.mu.RLock()
	defer s.cache.mu.RUnlock()
	return s.cache.has(table, sym.UUID())
}

// Contains says whether the database holds the element in the set; value is a row's UUID or a plain value.
func (d *DB) Contains(in Column, value string) bool {
	s := d.session()
	if s == nil {
		return false
	}
	c, err := d.database.column(in.Set)
	if err != nil {
		return false
	}
	s.cache.mu.RLock()
	defer s.cache.mu.RUnlock()
	return s.cache.contains(claim{c, in.Of.UUID(), value})
}
