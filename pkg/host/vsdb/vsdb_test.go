package vsdb

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/woven-cni/woven/pkg/host/hosttest"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/vswitch"
)

func open(t *testing.T, ovsdb *hosttest.OVSDB) *DB {
	t.Helper()
	db, err := Open(t.Context(), ovsdb.Endpoint())
	hosttest.Must(t, err)
	hosttest.Must(t, db.Await(t.Context()))
	return db
}

func port(db *DB, name string) (want ovs.Desired) {
	p, i := ovs.Sym("port/"+name), ovs.Sym("interface/"+name)
	want.Add(p, &vswitch.Port{Name: name, Interfaces: []string{i.UUID()}}).In(ovs.BridgePorts.Of(ovs.FoundRow(db.Bridge("br-int").UUID)))
	want.Add(i, &vswitch.Interface{Name: name})
	return want
}

var owner = ovs.Owner{Feature: "cni", Key: "web.shop"}

// TestOutlivesTheServer: what is under way when ovsdb-server goes away is done when it is back, and who waits for OVN goes on.
func TestOutlivesTheServer(t *testing.T) {
	ovsdb := hosttest.NewOVSDB(t)
	db := open(t, ovsdb)
	want := port(db, "veth1")
	hosttest.Must(t, db.Apply(t.Context(), owner, want))
	installed, applied := make(chan error, 1), make(chan error, 1)
	go func() { installed <- db.AwaitInstalled(t.Context(), "veth1", nil) }()
	ovsdb.Stop()
	hosttest.Eventually(t, "the session is over", func() bool { return !db.Connected() })
	late, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := db.Apply(late, owner, ovs.Desired{}); !errors.Is(err, ErrOffline) {
		t.Errorf("without a server: %v", err)
	}
	other := ovs.Owner{Feature: "cni", Key: "db.shop"}
	wantOther := ovs.Desired{Rows: nil}
	wantOther.Add("port/veth2", &vswitch.Port{Name: "veth2", Interfaces: []string{ovs.Sym("interface/veth2").UUID()}}).In(want.Rows[0].In)
	wantOther.Add("interface/veth2", &vswitch.Interface{Name: "veth2"})
	go func() { applied <- db.Apply(t.Context(), other, wantOther) }()
	ovsdb.Start()
	hosttest.Must(t, <-applied)
	if db.Port("veth2") == nil {
		t.Error("the port is not there")
	}
	ovsdb.VSCtl("set", "Interface", "veth1", "external_ids:ovn-installed=true")
	hosttest.Must(t, <-installed)
}

// TestAwaitInstalledFailsWhenTheRowGoes, also while nobody looked.
func TestAwaitInstalledFailsWhenTheRowGoes(t *testing.T) {
	ovsdb := hosttest.NewOVSDB(t)
	db := open(t, ovsdb)
	hosttest.Must(t, db.Apply(t.Context(), owner, port(db, "veth1")))
	installed := make(chan error, 1)
	go func() { installed <- db.AwaitInstalled(t.Context(), "veth1", nil) }()
	ovsdb.Stop()
	hosttest.Eventually(t, "the session is over", func() bool { return !db.Connected() })
	ovsdb.Recreate()
	if err := <-installed; err == nil {
		t.Error("a row that is gone is installed")
	}
}
