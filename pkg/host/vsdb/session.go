package vsdb

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ovn-kubernetes/libovsdb/cache"
	"github.com/ovn-kubernetes/libovsdb/client"
	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// transactTimeout bounds every transaction: without a deadline, a hung server blocks even the disconnection.
const transactTimeout = 10 * time.Second

// Session is one connection and the cache that belongs to it.
type Session struct {
	client  client.Client
	cache   *cache.TableCache // held: the client forgets its cache when it disconnects
	changed func(Change)

	broken sync.Once
	done   chan struct{}

	mu    sync.Mutex               // protects watch
	watch map[string]chan struct{} // by name of the interface; closed at its next change
}

// Done is closed when the session is over.
func (s *Session) Done() <-chan struct{} { return s.done }

func (s *Session) breakOff() { s.broken.Do(func() { close(s.done) }) }

func (s *Session) event(table string, row model.Model, kind Kind) {
	change := Change{Table: table, Kind: kind}
	switch row := row.(type) {
	case *Bridge:
		change.Name = row.Name
	case *Port:
		change.Name = row.Name
	case *Interface:
		change.Name = row.Name
		s.wake(row.Name)
	}
	s.changed(change)
}

func (s *Session) wake(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ch := s.watch[name]; ch != nil {
		close(ch)
		delete(s.watch, name)
	}
}

func (s *Session) nextChange(name string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	ch := s.watch[name]
	if ch == nil {
		ch = make(chan struct{})
		s.watch[name] = ch
	}
	return ch
}

// AwaitInstalled waits until OVN has installed the flows of an interface. It fails at once if the row goes away: then
// somebody else took the attachment down. When vswitchd has trouble with it, hopeless is asked why there is no use in
// waiting; nil means that there is, or that nobody knows: trouble may pass.
func (s *Session) AwaitInstalled(ctx context.Context, name string, hopeless func() error) error {
	for {
		changed := s.nextChange(name)
		iface := s.Interface(name)
		switch {
		case iface == nil:
			return fmt.Errorf("interface %s was removed from Open vSwitch", name)
		case iface.Installed():
			return nil
		case iface.Troubled() && hopeless != nil:
			if err := hopeless(); err != nil {
				return fmt.Errorf("interface %s%s: %w", name, iface.complaint(), err)
			}
		}
		select {
		case <-changed:
		case <-s.done:
			return ErrOffline
		case <-ctx.Done():
			return fmt.Errorf("waiting for OVN to install the flows of interface %s%s: %w",
				name, iface.complaint(), context.Cause(ctx))
		}
	}
}

func (i *Interface) complaint() string {
	if i.Error == nil {
		return ""
	}
	return fmt.Sprintf(" (vswitchd: %s)", *i.Error)
}

// Root returns the Open_vSwitch row, or nil in a database that has none yet.
func (s *Session) Root() *Root {
	for _, row := range s.cache.Table(TableRoot).RowsShallow() {
		return row.(*Root)
	}
	return nil
}

// Bridge returns the bridge of a name, or nil.
func (s *Session) Bridge(name string) *Bridge {
	_, row, _ := s.cache.Table(TableBridge).RowByModel(&Bridge{Name: name})
	bridge, _ := row.(*Bridge)
	return bridge
}

// Bridges returns all bridges, for reading only.
func (s *Session) Bridges() []*Bridge {
	rows := s.cache.Table(TableBridge).RowsShallow()
	out := make([]*Bridge, 0, len(rows))
	for _, row := range rows {
		out = append(out, row.(*Bridge))
	}
	return out
}

// Port returns the port of a name, or nil.
func (s *Session) Port(name string) *Port {
	_, row, _ := s.cache.Table(TablePort).RowByModel(&Port{Name: name})
	port, _ := row.(*Port)
	return port
}

// Interface returns the interface of a name, or nil.
func (s *Session) Interface(name string) *Interface {
	_, row, _ := s.cache.Table(TableInterface).RowByModel(&Interface{Name: name})
	iface, _ := row.(*Interface)
	return iface
}

// Interfaces returns all interfaces, for reading only.
func (s *Session) Interfaces() []*Interface {
	rows := s.cache.Table(TableInterface).RowsShallow()
	out := make([]*Interface, 0, len(rows))
	for _, row := range rows {
		out = append(out, row.(*Interface))
	}
	return out
}

// Transact commits operations in one transaction. When it returns without an error, the cache has their effect.
func (s *Session) Transact(ctx context.Context, ops ...ovsdb.Operation) error {
	if len(ops) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, transactTimeout)
	defer cancel()
	results, err := s.client.Transact(ctx, ops...)
	if errors.Is(err, client.ErrNotConnected) {
		return ErrOffline
	}
	if err != nil {
		return fmt.Errorf("sending to Open vSwitch: %w", err)
	}
	if _, err := ovsdb.CheckOperationResults(results, ops); err != nil {
		for _, result := range results {
			if result.Error != "" {
				return fmt.Errorf("open vSwitch refused: %s: %s", result.Error, result.Details)
			}
		}
		return fmt.Errorf("open vSwitch refused: %w", err)
	}
	// A mutation of a row that is gone succeeds in silence.
	for i, op := range ops {
		if op.Op == ovsdb.OperationMutate && results[i].Count == 0 {
			return fmt.Errorf("open vSwitch has no %s %v", op.Table, op.Where)
		}
	}
	return nil
}
