package ovs

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

const (
	dialTimeout = 5 * time.Second  // to connect, and for the first questions to an endpoint
	fillTimeout = 2 * time.Minute  // to get the whole database; 50,000 ports take seconds
	callTimeout = 15 * time.Second // for a transaction, if WithDeadline does not say otherwise
	probeAfter  = 10 * time.Second // of silence, the server is asked whether it lives
)

// errLeader ends the session with a member of a cluster that does not lead.
var errLeader = errors.New("not the leader of the cluster")

// session is one connection with one monitor, opened before first use, and the cache it fills. It ends whole: at the first
// error of the connection, of the cache, or of a deadline. The DB then makes another; nothing is sent again.
type session struct {
	sessionConfig
	endpoint string
	conn     net.Conn
	cache    *cache

	sending sync.Mutex // held while a message is written

	mu      sync.Mutex // protects following
	next    uint64
	pending map[uint64]waiter
	err     error
	done    chan struct{} // closed when err is set
}

// sessionConfig is what all sessions of a DB have in common.
type sessionConfig struct {
	database *Database
	changed  func([]delta) // called under the cache's lock for every update after the fill
	deadline time.Duration // of a transaction
}

// reply is the answer to a call, and how many updates came before it.
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

// newSession connects to one endpoint and fills a cache.
func newSession(ctx context.Context, endpoint string, config sessionConfig) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, fillTimeout)
	defer cancel()
	dialing, cancelDial := context.WithTimeout(ctx, dialTimeout)
	defer cancelDial()
	conn, err := dial(dialing, endpoint)
	if err != nil {
		return nil, err
	}
	s := &session{
		sessionConfig: config, endpoint: endpoint, conn: conn, cache: newCache(config.database),
		pending: map[uint64]waiter{}, done: make(chan struct{}),
	}
	go s.read()
	if err = s.watchServer(dialing); err == nil {
		err = s.fill(ctx)
	}
	if err != nil {
		s.end(err)
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

// end ends the session; the first error stays.
func (s *session) end(err error) {
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
func (s *session) call(ctx context.Context, method string, params []byte) (reply, error) {
	return s.callAndTake(ctx, method, params, nil)
}

func (s *session) callAndTake(ctx context.Context, method string, params []byte, take func([]byte) error) (reply, error) {
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
		s.end(err)
	}
	select {
	case r := <-ch:
		return r, r.err
	case <-ctx.Done():
		s.end(fmt.Errorf("waiting for %s: %w", method, ctx.Err()))
		return reply{}, ctx.Err()
	}
}

func (s *session) send(b []byte) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	if err := s.conn.SetWriteDeadline(time.Now().Add(s.deadline)); err != nil {
		return err
	}
	_, err := s.conn.Write(b)
	return err
}

// read takes in what the server sends, in order, until the end.
func (s *session) read() {
	dec := json.NewDecoder(bufio.NewReaderSize(s.conn, 1<<16))
	for {
		var f frame
		if err := dec.Decode(&f); err != nil {
			s.end(err)
			return
		}
		if err := s.take(f); err != nil {
			s.end(err)
			return
		}
	}
}

func (s *session) take(f frame) error {
	switch f.Method {
	case "":
		s.answer(f)
		return nil
	case "echo":
		return s.send(fmt.Appendf(nil, `{"result":%s,"error":null,"id":%s}`, f.Params, f.ID))
	case "update3":
		return s.cache.update(&scanner{b: nth(f.Params, 2)}, s.changed)
	case "update2":
		return s.serverChanged(nth(f.Params, 1))
	default:
		return fmt.Errorf("the server sent %q, which nobody asked for", f.Method)
	}
}

// nth is the text of one element of an array.
func nth(array []byte, n int) []byte {
	s := &scanner{b: array}
	var out []byte
	s.array(func(i int) {
		s.peek()
		start := s.i
		s.skip()
		if i == n && s.err == nil {
			out = array[start:s.i]
		}
	})
	return out
}

func (s *session) answer(f frame) {
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
	r := reply{result: f.Result, version: s.cache.version} // only this goroutine writes version
	if len(f.Error) > 0 && string(f.Error) != "null" {
		r.err = fmt.Errorf("the server says %s", f.Error)
	} else if w.take != nil {
		r.err = w.take(f.Result)
	}
	w.ch <- r
}

// watchServer monitors the server's view of the database, so that a member that stops leading is left.
func (s *session) watchServer(ctx context.Context) error {
	const params = `["_Server","server",{"Database":{"columns":["name","model","connected","leader"],"where":[["name","==",%q]]}}]`
	r, err := s.call(ctx, "monitor_cond", fmt.Appendf(nil, params, s.cache.db.name))
	if err != nil {
		return fmt.Errorf("asking who leads: %w", err)
	}
	return s.serverChanged(r.result)
}

// serverChanged reads an update of the server's view. It has one row: the database.
func (s *session) serverChanged(updates []byte) error {
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
				return errLeader
			case kind == "initial" && st.Model == "clustered" && (st.Leader == nil || !*st.Leader || st.Connected == nil || !*st.Connected):
				return errLeader // columns with default values are left out
			}
		}
	}
	return nil
}

// fill opens the one monitor and takes in the whole database. Columns that this server does not know are not asked for.
func (s *session) fill(ctx context.Context) error {
	name := s.cache.db.name
	r, err := s.call(ctx, "get_schema", fmt.Appendf(nil, "[%q]", name))
	if err != nil {
		return fmt.Errorf("getting the schema of %s: %w", name, err)
	}
	var schema ovsdb.DatabaseSchema
	if err := json.Unmarshal(r.result, &schema); err != nil {
		return fmt.Errorf("reading the schema of %s: %w", name, err)
	}
	requests := map[string]ovsdb.MonitorRequest{}
	for _, t := range s.cache.db.tables {
		var columns []string
		for _, c := range t.columns {
			if there := schema.Tables[t.name].Columns[c.name]; there != nil && c.class != foreign {
				columns = append(columns, c.name)
			}
		}
		if len(columns) > 0 {
			requests[t.name] = ovsdb.MonitorRequest{Columns: columns}
		}
	}
	params, err := json.Marshal(ovsdb.NewMonitorCondSinceArgs(name, "rows", requests, "00000000-0000-0000-0000-000000000000"))
	if err != nil {
		return fmt.Errorf("monitoring %s: %w", name, err)
	}
	_, err = s.callAndTake(ctx, "monitor_cond_since", params, func(result []byte) error {
		return s.cache.update(&scanner{b: nth(result, 2)}, nil)
	})
	if err != nil {
		return fmt.Errorf("monitoring %s: %w", name, err)
	}
	return nil
}

// result is the outcome of one operation.
type result struct {
	Error   string `json:"error"`
	Details string `json:"details"`
}

// transact sends operations. The error is the connection's; what the server thinks is in the results.
func (s *session) transact(ctx context.Context, ops []operation) ([]result, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, s.deadline)
	defer cancel()
	r, err := s.call(ctx, "transact", params(s.cache.db.name, ops))
	if err != nil {
		return nil, 0, err
	}
	var results []result
	if err := json.Unmarshal(r.result, &results); err != nil {
		err = fmt.Errorf("reading the results of a transaction: %w", err)
		s.end(err)
		return nil, 0, err
	}
	return results, r.version, nil
}

// probe asks a silent server now and then whether it lives, until the session ends.
func (s *session) probe(ctx context.Context) {
	tick := time.NewTicker(probeAfter)
	defer tick.Stop()
	for {
		select {
		case <-s.done:
			return
		case <-tick.C:
			probing, cancel := context.WithTimeout(ctx, s.deadline)
			if _, err := s.call(probing, "echo", []byte("[]")); err != nil {
				s.end(fmt.Errorf("probing the server: %w", err))
			}
			cancel()
		}
	}
}
