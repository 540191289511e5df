// Package vsdb is the node's own Open vSwitch: the row engine (pkg/ovs/engine) on its Open_vSwitch database, with its rows by
// name, also those that Woven has not made, and the wait until OVN has a port.
package vsdb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/engine"
	"github.com/woven-cni/woven/pkg/ovs/vswitch"
)

// DefaultEndpoint is where ovsdb-server listens on a node.
const DefaultEndpoint = "unix:/run/openvswitch/db.sock"

// transactTimeout bounds every transaction: a server that hangs is left.
const transactTimeout = 10 * time.Second

// DB is the database of a node's Open vSwitch, whatever becomes of the connections to it.
type DB struct {
	engine *engine.DB

	mu       sync.Mutex               // protects the fields below; never held across I/O
	watchers []func(Change)           // see OnChange
	turned   chan struct{}            // closed, and replaced, when a session begins or ends
	waiting  map[string]chan struct{} // by name of the interface; closed at its next change, or the session's
}

// Change says what changed. A zero Change is the beginning or the end of a session.
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

// Open keeps a session with the database until the context ends, and returns at once.
func Open(ctx context.Context, endpoint string, options ...engine.Option) (*DB, error) {
	d := &DB{turned: make(chan struct{}), waiting: map[string]chan struct{}{}}
	options = append(slices.Clone(options), engine.WithObserver(d.observe), engine.WithDeadline(transactTimeout))
	d.mu.Lock() // until engine is set, nothing is to be observed
	defer d.mu.Unlock()
	var err error
	d.engine, err = engine.Open(ctx, ovs.NodeSwitch, []string{endpoint}, options...)
	return d, err
}

// OnChange has a function called whenever a row changed or a session began or ended. It runs between updates: it must
// return at once and ask the DB nothing.
func (d *DB) OnChange(f func(Change)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.watchers = append(d.watchers, f)
}

func (d *DB) observe(c engine.Change) {
	change := Change{Table: c.Table, Kind: Updated}
	row := c.New
	switch {
	case c.New == nil:
		row, change.Kind = c.Old, Deleted
	case c.Old == nil:
		change.Kind = Added
	}
	switch row := row.(type) {
	case *vswitch.Bridge:
		change.Name = row.Name
	case *vswitch.Port:
		change.Name = row.Name
	case *vswitch.Interface:
		change.Name = row.Name
	}
	d.mu.Lock()
	switch change.Table {
	case "":
		change.Kind = Added
		close(d.turned)
		d.turned = make(chan struct{})
		for name := range d.waiting {
			d.wake(name)
		}
	case vswitch.InterfaceTable:
		d.wake(change.Name)
	}
	watchers := d.watchers
	d.mu.Unlock()
	for _, f := range watchers {
		f(change)
	}
}

// wake tells those who wait for an interface; mu is held.
func (d *DB) wake(name string) {
	if ch := d.waiting[name]; ch != nil {
		close(ch)
		delete(d.waiting, name)
	}
}

// Connected says whether there is a session.
func (d *DB) Connected() bool { return d.engine.Connected() }

// Await waits for a session.
func (d *DB) Await(ctx context.Context) error {
	for {
		d.mu.Lock()
		turned := d.turned
		d.mu.Unlock()
		if d.Connected() {
			return nil
		}
		select {
		case <-turned:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrOffline, context.Cause(ctx))
		}
	}
}

// ErrOffline says that there is no session: ovsdb-server is not there, or the session broke.
var ErrOffline = fmt.Errorf("open vSwitch on this node: %w", ovs.ErrOffline)

// Dirty takes the owners of a feature that want a look, one by one, until the context ends.
func (d *DB) Dirty(ctx context.Context, feature string, look func(engine.Dirty)) {
	dirty := d.engine.Dirty(feature)
	for {
		owner, err := dirty.Get(ctx)
		if err != nil {
			return
		}
		look(owner)
	}
}

// Session counts the sessions begun so far.
func (d *DB) Session() uint64 { return d.engine.Session() }

// ApplyIn is Apply for rows that follow from what was read in a session, and are none that the next should have: it fails
// with ovs.ErrOffline or ovs.ErrUnknown when the session is over.
func (d *DB) ApplyIn(ctx context.Context, session uint64, owner ovs.Owner, want ovs.Desired) error {
	if d.Session() != session || !d.Connected() {
		return ErrOffline
	}
	if _, err := d.engine.Apply(ctx, owner, want); err != nil {
		return fmt.Errorf("applying %s to Open vSwitch: %w", owner, err)
	}
	return nil
}

// Apply makes the rows of an owner what want says, in one transaction; with nothing to do it sends nothing. When the
// session ends meanwhile it goes on with the next: the engine finds out what became of the transaction. The cache has the
// effect when it returns without an error. Calls for one owner must not overlap.
//
// The end of the context ends the wait for a session, and not that for a transaction under way: whoever takes back what
// failed would find nothing yet, and the rows would come after it. A server that does not answer in time loses the session.
func (d *DB) Apply(ctx context.Context, owner ovs.Owner, want ovs.Desired) error {
	for {
		if err := d.Await(ctx); err != nil {
			return err
		}
		_, err := d.engine.Apply(context.WithoutCancel(ctx), owner, want)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("applying %s to Open vSwitch: %w", owner, context.Cause(ctx))
		case !errors.Is(err, ovs.ErrOffline) && !errors.Is(err, ovs.ErrUnknown):
			return fmt.Errorf("applying %s to Open vSwitch: %w", owner, err)
		}
	}
}
