package ovs

import (
	"context"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
)

// Option changes how a DB works.
type Option func(*options)

type options struct {
	log     logr.Logger
	metrics prometheus.Registerer
}

// WithLogger gives the DB a logger for sessions that begin and end.
func WithLogger(log logr.Logger) Option { return func(o *options) { o.log = log } }

// WithMetrics registers the DB's metrics.
func WithMetrics(r prometheus.Registerer) Option { return func(o *options) { o.metrics = r } }

// DB is a database, whatever becomes of the connections to it.
type DB struct{}

// Open starts to keep a session with the database that is served at the endpoints ("tcp:10.0.0.1:6641",
// "tcp:[fd00::1]:6641", "unix:/run/ovn/ovnnb_db.sock"; of a cluster any members: the leader is found). It returns at once, also
// with no endpoints yet; Ready tells when the database can be used. The DB ends with the context.
func Open(ctx context.Context, database Database, endpoints []string, opts ...Option) (*DB, error) {
	return nil, ErrOffline
}

// Ready is closed when the first session is filled.
func (d *DB) Ready() <-chan struct{} { return nil }

// Session counts the sessions begun so far; 0 means none yet.
func (d *DB) Session() uint64 { return 0 }

// Connected says whether there is a session now.
func (d *DB) Connected() bool { return false }

// SetEndpoints replaces the endpoints. The current session stays if its endpoint is still among them.
func (d *DB) SetEndpoints(endpoints []string) {}

// Apply makes the rows of the owner what want says, with at most one transaction, which other owners may share: while
// one is under way the next callers gather and go together. With nothing to do it sends nothing. The Plan is what was
// found to be different; it is empty if nothing was sent.
//
// Calls for one owner must not overlap. Errors to tell apart: ErrOffline, ErrUnknown, *ErrWaiting, *ErrInUse, *ErrTaken,
// *ErrStale, *ErrRefused.
func (d *DB) Apply(ctx context.Context, owner Owner, want Desired) (Plan, error) {
	return Plan{}, ErrOffline
}

// Plan is what Apply would do, without doing it.
func (d *DB) Plan(owner Owner, want Desired) (Plan, error) { return Plan{}, ErrOffline }

// Owners lists the owners of a feature that have rows, whether or not their objects still exist.
func (d *DB) Owners(feature string) []Owner { return nil }

// Owned is what the database holds for an owner, sorted by Sym. The models are shared: read them only. Their members columns are
// empty.
func (d *DB) Owned(owner Owner) []ObservedRow { return nil }

// Has says whether the database holds the row.
func (d *DB) Has(table string, sym Sym) bool { return false }

// Contains says whether the database holds the element in the set; value is a row's UUID or a plain value.
func (d *DB) Contains(c Column, value string) bool { return false }

// ObservedRow is a row as it is in the database.
type ObservedRow struct {
	Table string
	Sym   Sym
	Model Model
}

// Dirty is the set of a feature's owners that want a look.
func (d *DB) Dirty(feature string) *DirtySet { return nil }
