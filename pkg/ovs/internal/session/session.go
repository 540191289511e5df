package session

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

const (
	dialTimeout = 5 * time.Second  // to connect, and for the first questions to an endpoint
	fillTimeout = 2 * time.Minute  // to get the whole database; 50,000 ports take seconds
	probeAfter  = 10 * time.Second // of silence, the server is asked whether it lives
)

// ErrLeader ends the session with a member of a cluster that does not lead.
var ErrLeader = errors.New("not the leader of the cluster")

// Session is one connection with one monitor, opened before first use. It ends whole: at the first error of the
// connection, of the replica, or of a deadline. Nothing is sent again.
type Session struct {
	config   Config
	replica  Replica
	endpoint string
	conn     net.Conn

	sending sync.Mutex // held while a message is written

	mu      sync.Mutex // protects following
	next    uint64
	pending map[uint64]waiter
	err     error
	done    chan struct{} // closed when err is set
}

// Config is what all sessions with a database have in common.
type Config struct {
	Database string
	Columns  map[string][]string // to monitor, by table
	Deadline time.Duration       // of a transaction
}

// Replica is what a session keeps up to date. It is called by the goroutine that reads the connection, in the order of
// commits, and before the reply that follows is handed out: who gets a reply sees its own writes.
type Replica interface {
	// Fill takes in the whole database: the result of monitor_cond_since.
	Fill(message []byte) error
	// Update takes in what has changed: the parameters of update3.
	Update(message []byte) error
	// Version is how often either has been called.
	Version() uint64
}

// reply is the answer to a call, and the replica's version when it came.
type reply struct {
	result  json.RawMessage
	err     error
	version uint64
}

// waiter waits for an answer. Its take, if any, runs in the read loop, before the next message is looked at.
type waiter struct {
	ch   chan reply
	take func(result []byte) error
}

// frame is any message from the server.
type frame struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  json.RawMessage `json:"error"`
}

// Open connects to one endpoint and fills the replica.
func Open(ctx context.Context, endpoint string, config Config, replica Replica) (*Session, error) {
	ctx, cancel := context.WithTimeout(ctx, fillTimeout)
	defer cancel()
	dialing, cancelDial := context.WithTimeout(ctx, dialTimeout)
	defer cancelDial()
	conn, err := dial(dialing, endpoint)
	if err != nil {
		return nil, err
	}
	s := &Session{
		config: config, replica: replica, endpoint: endpoint, conn: conn,
		pending: map[uint64]waiter{}, done: make(chan struct{}),
	}
	go s.read()
	if err = s.watchServer(dialing); err == nil {
		err = s.fill(ctx)
	}
	if err != nil {
		s.End(err)
		return nil, err
	}
	return s, nil
}

func dial(ctx context.Context, endpoint string) (net.Conn, error) {
	dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3}}
	kind, address, _ := strings.Cut(endpoint, ":")
	switch kind {
	case "unix", "tcp":
		return dialer.DialContext(ctx, kind, address)
	default:
		return nil, fmt.Errorf("the endpoint %q is not unix:PATH or tcp:HOST:PORT", endpoint)
	}
}

// Endpoint is where the session leads.
func (s *Session) Endpoint() string { return s.endpoint }

// Done is closed when the session has ended.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err is why the session has ended.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// End ends the session; the first error stays.
func (s *Session) End(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return
	}
	s.err = err
	close(s.done)
	s.conn.Close() //nolint:errcheck // it is the end anyway
	for id, w := range s.pending {
		w.ch <- reply{err: err}
		delete(s.pending, id)
	}
}

// call sends a request and waits for the answer. A deadline that passes ends the session, because a late answer would
// find nobody.
func (s *Session) call(ctx context.Context, method string, params []byte) (reply, error) {
	return s.callAndTake(ctx, method, params, nil)
}

func (s *Session) callAndTake(ctx context.Context, method string, params []byte, take func([]byte) error) (reply, error) {
	ch := make(chan reply, 1)
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return reply{}, s.err
	}
	s.next++
	id := s.next
	s.pending[id] = waiter{ch, take}
	s.mu.Unlock()

	b := append([]byte(`{"method":"`+method+`","params":`), params...)
	b = strconv.AppendUint(append(b, `,"id":`...), id, 10)
	if err := s.send(append(b, '}')); err != nil {
		s.End(err)
	}
	select {
	case r := <-ch:
		return r, r.err
	case <-ctx.Done():
		s.End(fmt.Errorf("waiting for %s: %w", method, ctx.Err()))
		return reply{}, ctx.Err()
	}
}

func (s *Session) send(b []byte) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	if err := s.conn.SetWriteDeadline(time.Now().Add(s.config.Deadline)); err != nil {
		return err
	}
	_, err := s.conn.Write(b)
	return err
}

// read takes in what the server sends, in order, until the end.
func (s *Session) read() {
	dec := json.NewDecoder(bufio.NewReaderSize(s.conn, 1<<16))
	for {
		var f frame
		if err := dec.Decode(&f); err != nil {
			s.End(err)
			return
		}
		if err := s.take(f); err != nil {
			s.End(err)
			return
		}
	}
}

func (s *Session) take(f frame) error {
	switch f.Method {
	case "":
		s.answer(f)
		return nil
	case "echo":
		return s.send(fmt.Appendf(nil, `{"result":%s,"error":null,"id":%s}`, f.Params, f.ID))
	case "update3":
		return s.replica.Update(f.Params)
	case "update2":
		var params [2]json.RawMessage // the monitor's name, the updates
		if err := json.Unmarshal(f.Params, &params); err != nil {
			return fmt.Errorf("reading who leads: %w", err)
		}
		return s.serverChanged(params[1])
	default:
		return fmt.Errorf("the server sent %q, which nobody asked for", f.Method)
	}
}

func (s *Session) answer(f frame) {
	id, err := strconv.ParseUint(string(f.ID), 10, 64)
	if err != nil {
		return // not an answer to us
	}
	s.mu.Lock()
	w, ok := s.pending[id]
	delete(s.pending, id)
	s.mu.Unlock()
	if !ok {
		return
	}
	r := reply{result: f.Result, version: s.replica.Version()}
	if len(f.Error) > 0 && string(f.Error) != "null" {
		r.err = fmt.Errorf("the server says %s", f.Error)
	} else if w.take != nil {
		r.err = w.take(f.Result)
	}
	w.ch <- r
}

// watchServer monitors the server's view of the database, so that a member that stops leading is left.
func (s *Session) watchServer(ctx context.Context) error {
	const params = `["_Server","server",{"Database":{"columns":["name","model","connected","leader"],"where":[["name","==",%q]]}}]`
	r, err := s.call(ctx, "monitor_cond", fmt.Appendf(nil, params, s.config.Database))
	if err != nil {
		return fmt.Errorf("asking who leads: %w", err)
	}
	return s.serverChanged(r.result)
}

// serverChanged reads an update of the server's view. It has one row: the database.
func (s *Session) serverChanged(updates []byte) error {
	type state struct {
		Model     string
		Connected *bool
		Leader    *bool
	}
	var tables map[string]map[string]map[string]*state
	if err := json.Unmarshal(updates, &tables); err != nil {
		return fmt.Errorf("reading who leads: %w", err)
	}
	for _, kinds := range tables["Database"] {
		for kind, st := range kinds {
			switch {
			case kind == "delete":
				return errors.New("the server has closed the database")
			case st == nil:
			case kind == "modify" && (st.Leader != nil && !*st.Leader || st.Connected != nil && !*st.Connected):
				return ErrLeader
			case kind == "initial" && st.Model == "clustered" && (st.Leader == nil || !*st.Leader || st.Connected == nil || !*st.Connected):
				return ErrLeader // columns with default values are left out
			}
		}
	}
	return nil
}

// fill opens the one monitor and takes in the whole database. Columns that this server does not know are not asked for.
func (s *Session) fill(ctx context.Context) error {
	name := s.config.Database
	r, err := s.call(ctx, "get_schema", fmt.Appendf(nil, "[%q]", name))
	if err != nil {
		return fmt.Errorf("getting the schema of %s: %w", name, err)
	}
	var schema ovsdb.DatabaseSchema
	if err := json.Unmarshal(r.result, &schema); err != nil {
		return fmt.Errorf("reading the schema of %s: %w", name, err)
	}
	requests := map[string]ovsdb.MonitorRequest{}
	for table, columns := range s.config.Columns {
		known := slices.DeleteFunc(slices.Clone(columns), func(c string) bool { return schema.Tables[table].Columns[c] == nil })
		if len(known) > 0 {
			requests[table] = ovsdb.MonitorRequest{Columns: known}
		}
	}
	params, err := json.Marshal(ovsdb.NewMonitorCondSinceArgs(name, "rows", requests, "00000000-0000-0000-0000-000000000000"))
	if err != nil {
		return fmt.Errorf("monitoring %s: %w", name, err)
	}
	if _, err = s.callAndTake(ctx, "monitor_cond_since", params, s.replica.Fill); err != nil {
		return fmt.Errorf("monitoring %s: %w", name, err)
	}
	return nil
}

// Result is the outcome of one operation.
type Result struct {
	Error   string `json:"error"`
	Details string `json:"details"`
}

// Transact sends a transaction: the parameters of "transact". It returns what the server thinks of each operation, and
// the version that the replica had then; the error is the connection's.
func (s *Session) Transact(ctx context.Context, params []byte) ([]Result, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.Deadline)
	defer cancel()
	r, err := s.call(ctx, "transact", params)
	if err != nil {
		return nil, 0, err
	}
	var results []Result
	if err := json.Unmarshal(r.result, &results); err != nil {
		err = fmt.Errorf("reading the results of a transaction: %w", err)
		s.End(err)
		return nil, 0, err
	}
	return results, r.version, nil
}

// Probe asks a silent server now and then whether it lives, until the session ends.
func (s *Session) Probe(ctx context.Context) {
	tick := time.NewTicker(probeAfter)
	defer tick.Stop()
	for {
		select {
		case <-s.done:
			return
		case <-tick.C:
			probing, cancel := context.WithTimeout(ctx, s.config.Deadline)
			if _, err := s.call(probing, "echo", []byte("[]")); err != nil {
				s.End(fmt.Errorf("probing the server: %w", err))
			}
			cancel()
		}
	}
}
