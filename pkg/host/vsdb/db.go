// Package vsdb is the daemon's view of its node's own Open_vSwitch database: one session over the local socket, one
// monitor, and the few transactions that attach, detach and configure.
package vsdb

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/ovn-kubernetes/libovsdb/cache"
	"github.com/ovn-kubernetes/libovsdb/client"
	"github.com/ovn-kubernetes/libovsdb/model"
)

// DefaultEndpoint is where ovsdb-server listens on a node.
const DefaultEndpoint = "unix:/run/openvswitch/db.sock"

// ErrOffline says that there is no session: ovsdb-server is not there, or the session broke.
var ErrOffline = errors.New("no session with the local Open vSwitch database")

const (
	connectTimeout = 10 * time.Second
	retryFirst     = 100 * time.Millisecond
	retryMost      = 2 * time.Second
)

// DB outlives sessions. Its zero value is not usable: see New.
type DB struct {
	endpoint string
	log      logr.Logger

	mu       sync.Mutex    // protects the fields below; never held across I/O
	session  *Session      // nil while there is none
	began    chan struct{} // closed when session becomes non-nil, replaced when it ends
	watchers []func(Change)
}

// Change says which row changed. A zero Change is the beginning or the end of a session.
type Change struct {
	Table string
	Name  string // of a bridge, port or interface
	Kind  Kind
}

// Kind is what happened to a row.
type Kind int

// The kinds.
const (
	Added Kind = iota
	Updated
	Deleted
)

// New makes a DB that has no session until Run.
func New(endpoint string, log logr.Logger) *DB {
	return &DB{endpoint: endpoint, log: log, began: make(chan struct{})}
}

// OnChange has a function called whenever a row changed or a session began or ended. It runs on the session's own
// goroutine and must return at once. Call it before Run.
func (d *DB) OnChange(f func(Change)) { d.watchers = append(d.watchers, f) }

// Session returns the present session, or nil.
func (d *DB) Session() *Session {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.session
}

// Await returns the present session, or waits for the next one.
func (d *DB) Await(ctx context.Context) (*Session, error) {
	for {
		d.mu.Lock()
		session, began := d.session, d.began
		d.mu.Unlock()
		if session != nil {
			return session, nil
		}
		select {
		case <-began:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ErrOffline, context.Cause(ctx))
		}
	}
}

// Run keeps a session until the context ends. A broken session is replaced whole: a cache that missed an update cannot
// be told from one that did not.
func (d *DB) Run(ctx context.Context) error {
	wait := retryFirst
	for ctx.Err() == nil {
		session, err := d.open(ctx)
		if err == nil {
			wait = retryFirst
			d.log.Info("connected to Open vSwitch", "endpoint", d.endpoint)
			d.publish(session)
			select {
			case <-session.done:
			case <-ctx.Done():
			}
			session.client.Close()
			d.publish(nil)
			d.log.Info("disconnected from Open vSwitch", "endpoint", d.endpoint)
			continue
		}
		d.log.V(1).Info("connecting to Open vSwitch failed", "endpoint", d.endpoint, "error", err.Error())
		select {
		case <-time.After(wait):
			wait = min(2*wait, retryMost)
		case <-ctx.Done():
		}
	}
	return nil
}

func (d *DB) publish(session *Session) {
	d.mu.Lock()
	d.session = session
	if session != nil {
		close(d.began)
	} else {
		d.began = make(chan struct{})
	}
	d.mu.Unlock()
	d.changed(Change{})
}

func (d *DB) changed(c Change) {
	for _, f := range d.watchers {
		f(c)
	}
}

func (d *DB) open(ctx context.Context) (*Session, error) {
	models, err := databaseModel()
	if err != nil {
		return nil, fmt.Errorf("making the database model: %w", err)
	}
	session := &Session{done: make(chan struct{}), watch: map[string]chan struct{}{}, changed: d.changed}
	// libovsdb only logs an update that it could not apply; from then on its cache is wrong while it stays connected.
	log := logr.New(&breaker{LogSink: d.log.GetSink(), broken: session.breakOff})
	session.client, err = client.NewOVSDBClient(models, client.WithEndpoint(d.endpoint), client.WithLogger(&log))
	if err != nil {
		return nil, fmt.Errorf("making the client: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := session.client.Connect(ctx); err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	go func() {
		<-session.client.DisconnectNotify()
		session.breakOff()
	}()
	session.cache = session.client.Cache()
	session.cache.AddEventHandler(&cache.EventHandlerFuncs{
		AddFunc:    func(table string, row model.Model) { session.event(table, row, Added) },
		UpdateFunc: func(table string, _, row model.Model) { session.event(table, row, Updated) },
		DeleteFunc: func(table string, row model.Model) { session.event(table, row, Deleted) },
	})
	if _, err := session.client.Monitor(ctx, monitor(session.client)); err != nil {
		session.client.Close()
		return nil, fmt.Errorf("monitoring: %w", err)
	}
	return session, nil
}

// breaker is a log sink that ends the session on any error that libovsdb logs.
type breaker struct {
	logr.LogSink
	broken func()
}

// Init does nothing: the sink inside belongs to others, who may be using it now.
func (b *breaker) Init(logr.RuntimeInfo) {}

func (b *breaker) Error(err error, msg string, keysAndValues ...any) {
	b.LogSink.Error(err, msg, keysAndValues...)
	b.broken()
}

func (b *breaker) WithValues(keysAndValues ...any) logr.LogSink {
	return &breaker{LogSink: b.LogSink.WithValues(keysAndValues...), broken: b.broken}
}

func (b *breaker) WithName(name string) logr.LogSink {
	return &breaker{LogSink: b.LogSink.WithName(name), broken: b.broken}
}
