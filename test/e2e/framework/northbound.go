package framework

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	ovsclient "github.com/ovn-kubernetes/libovsdb/client"
	"github.com/ovn-kubernetes/libovsdb/model"
	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/woven-cni/woven/pkg/ovs/nb"
)

// Northbound is a view of OVN's northbound database that sees every change. It is a client of its own: what Woven
// believes about the database is not asked.
type Northbound struct {
	ovs ovsclient.Client

	mu      sync.Mutex // protects the rest
	writes  []Write
	changed chan struct{} // closed and renewed at each change
}

// Write is a change of one row, whoever made it.
type Write struct {
	// Verb is "insert", "update" or "delete".
	Verb, Table, UUID string
	// At is when this machine heard of it.
	At time.Time
	// Row is the row's content, for messages and for looking for names in it.
	Row string
	// Lost and Gained are what an update did to the row; see compared.
	Lost, Gained []string
}

// String is the write in one line.
func (w Write) String() string {
	text := w.Verb + " " + w.Table + " " + w.Row
	if w.Verb == "update" {
		text += fmt.Sprintf(" (-%v +%v)", w.Lost, w.Gained)
	}
	return text
}

// Northbound opens a view for a test. It needs a way to port 6641 of the pod ovn-central.
func (c *Cluster) Northbound(t testing.TB) *Northbound {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	n, err := c.OpenNorthbound(ctx)
	if err != nil {
		t.Fatalf("opening the northbound database: %v", err)
	}
	t.Cleanup(n.Close)
	return n
}

// Close ends the view.
func (n *Northbound) Close() { n.ovs.Close() }

// OpenNorthbound is Northbound for programs that are no tests: who opens the view closes it.
func (c *Cluster) OpenNorthbound(ctx context.Context) (*Northbound, error) {
	endpoints, err := c.northboundEndpoints(ctx)
	if err != nil {
		return nil, err
	}
	return viewNorthbound(ctx, endpoints)
}

// viewNorthbound opens a view of what is served at the endpoints.
func viewNorthbound(ctx context.Context, endpoints []string) (*Northbound, error) {
	known, err := knownTo(ctx, endpoints)
	if err != nil {
		return nil, err
	}
	n := &Northbound{changed: make(chan struct{})}
	if n.ovs, err = connect(ctx, known, endpoints); err != nil {
		return nil, err
	}
	n.ovs.Cache().AddEventHandler((*recorder)(n))
	if _, err := n.ovs.MonitorAll(ctx); err != nil {
		return nil, fmt.Errorf("monitoring: %w", err)
	}
	return n, n.forget(ctx)
}

func connect(ctx context.Context, known model.ClientDBModel, endpoints []string) (ovsclient.Client, error) {
	silent := logr.Discard()
	opts := []ovsclient.Option{ovsclient.WithLogger(&silent)}
	for _, e := range endpoints {
		opts = append(opts, ovsclient.WithEndpoint(e))
	}
	ovs, err := ovsclient.NewOVSDBClient(known, opts...)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	if err := ovs.Connect(ctx); err != nil {
		return nil, fmt.Errorf("connecting to %v: %w", endpoints, err)
	}
	return ovs, nil
}

func (c *Cluster) northboundEndpoints(ctx context.Context) ([]string, error) {
	var list discoveryv1.EndpointSliceList
	err := c.List(ctx, &list, client.InNamespace(System), client.MatchingLabels{discoveryv1.LabelServiceName: "ovn-nb"})
	if err != nil {
		return nil, fmt.Errorf("listing the endpoints of ovn-nb: %w", err)
	}
	var endpoints []string
	for _, slice := range list.Items {
		for _, e := range slice.Endpoints {
			endpoints = append(endpoints, "tcp:"+net.JoinHostPort(e.Addresses[0], strconv.Itoa(int(*slice.Ports[0].Port))))
		}
	}
	return endpoints, nil
}

// forget waits until the rows that were there already are told, and drops them from the record.
func (n *Northbound) forget(ctx context.Context) error {
	rows := 0
	for _, table := range n.ovs.Cache().Tables() {
		rows += n.ovs.Cache().Table(table).Len()
	}
	return n.Await(ctx, func() bool {
		told := len(n.Writes()) >= rows
		if told {
			n.mu.Lock()
			n.writes = nil
			n.mu.Unlock()
		}
		return told
	})
}

// Count is how many rows each table has; tables without rows are left out.
func (n *Northbound) Count() map[string]int {
	rows := map[string]int{}
	for _, table := range n.ovs.Cache().Tables() {
		if count := n.ovs.Cache().Table(table).Len(); count > 0 {
			rows[table] = count
		}
	}
	return rows
}

// Writes are the changes since the view was opened.
func (n *Northbound) Writes() []Write {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.writes)
}

// Await waits until the database is as awaited. It asks again at each change.
func (n *Northbound) Await(ctx context.Context, done func() bool) error {
	for {
		n.mu.Lock()
		changed := n.changed
		n.mu.Unlock()
		if done() {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Ports are the names of the switch ports that stand for pods and nodes.
func (n *Northbound) Ports() []string {
	rows, err := Rows(n, func(p *nb.LogicalSwitchPort) bool { return p.Type == "" })
	if err != nil {
		return nil
	}
	names := make([]string, len(rows))
	for i := range rows {
		names[i] = rows[i].Name
	}
	slices.Sort(names)
	return names
}

// Rows are the rows of a table that match.
func Rows[M any](n *Northbound, matches func(*M) bool) ([]M, error) {
	table, err := tableOf[M]()
	if err != nil {
		return nil, err
	}
	var found []M
	for _, row := range n.ovs.Cache().Table(table).Rows() {
		if m := widened[M](row); matches(m) {
			found = append(found, *m)
		}
	}
	return found, nil
}

// Port is the switch port of a name, or nil.
func (n *Northbound) Port(name string) *nb.LogicalSwitchPort {
	rows, err := Rows(n, func(p *nb.LogicalSwitchPort) bool { return p.Name == name })
	if err != nil || len(rows) == 0 {
		return nil
	}
	return &rows[0]
}

// recorder is Northbound as the client's event handler.
type recorder Northbound

// OnAdd records a new row.
func (r *recorder) OnAdd(table string, m model.Model) {
	r.record(Write{Verb: "insert", Table: table}, m)
}

// OnUpdate records a changed row.
func (r *recorder) OnUpdate(table string, before, m model.Model) {
	w := Write{Verb: "update", Table: table}
	w.Lost, w.Gained = compared(before, m)
	r.record(w, m)
}

// OnDelete records a deleted row.
func (r *recorder) OnDelete(table string, m model.Model) {
	r.record(Write{Verb: "delete", Table: table}, m)
}

func (r *recorder) record(w Write, m model.Model) {
	w.At, w.UUID, w.Row = time.Now(), uuidOf(m), fmt.Sprintf("%+v", m)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writes = append(r.writes, w)
	close(r.changed)
	r.changed = make(chan struct{})
}
