package engine_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/engine"
	"github.com/woven-cni/woven/pkg/ovs/ovstest"
	"github.com/woven-cni/woven/pkg/ovs/vswitch"
)

// node is the database of a node's Open vSwitch, with a bridge that somebody else has made.
type node struct {
	*testing.T
	server *ovstest.Server
	db     *engine.DB
	sent   atomic.Int64
}

var (
	settingsOwner = ovs.Owner{Feature: "host", Key: "settings"}
	webOwner      = ovs.Owner{Feature: "cni", Key: "web.shop"}
)

func newNode(t *testing.T) *node {
	t.Helper()
	n := &node{T: t, server: ovstest.StartSchema(t, "vswitch")}
	n.ctl("init")
	n.ctl("add-br", "br-int", "--", "add-port", "br-int", "foreign", "--", "set", "Open_vSwitch", ".", "external_ids:theirs=1")
	n.db = n.open()
	return n
}

func (n *node) open() *engine.DB {
	return n.server.Open(ovs.NodeSwitch, engine.WithRecorder(func([]byte) { n.sent.Add(1) }))
}

func (n *node) ctl(args ...string) string {
	n.Helper()
	return ovstest.Run(n, "ovs-vsctl", append([]string{"--db=" + n.server.Endpoint(), "--no-wait"}, args...)...)
}

func (n *node) apply(owner ovs.Owner, want ovs.Desired) {
	n.Helper()
	if _, err := n.db.Apply(n.Context(), owner, want); err != nil {
		n.Fatal(err)
	}
}

func (n *node) root() ovs.Sym {
	return ovs.FoundRow(n.db.Rows("Open_vSwitch")[0].(*vswitch.OpenvSwitch).UUID)
}

func (n *node) bridge() ovs.Sym {
	return ovs.FoundRow(n.db.Named("Bridge", "br-int").(*vswitch.Bridge).UUID)
}

func (n *node) settings(ids map[string]string) (want ovs.Desired) {
	want.Add(n.root(), &vswitch.OpenvSwitch{ExternalIDs: ids})
	return want
}

func nodePort(name string, bridge ovs.Sym) (want ovs.Desired) {
	port, iface := ovs.Sym("port/"+name), ovs.Sym("interface/"+name)
	want.Add(port, &vswitch.Port{Name: name, Interfaces: []string{iface.UUID()}}).In(ovs.BridgePorts.Of(bridge))
	want.Add(iface, &vswitch.Interface{Name: name, ExternalIDs: map[string]string{"iface-id": "web.shop"}})
	return want
}

// An owner has keys of its own in a row that others make: it takes these away again and nothing else, least of all the row.
func TestKeysOfAGivenRow(t *testing.T) {
	n := newNode(t)
	n.apply(settingsOwner, n.settings(map[string]string{"ovn-encap-ip": "172.30.0.1", "ovn-encap-type": "geneve"}))
	n.apply(settingsOwner, n.settings(map[string]string{"ovn-encap-ip": "172.30.0.2"}))
	ids := n.ctl("get", "Open_vSwitch", ".", "external_ids")
	if !strings.Contains(ids, `ovn-encap-ip="172.30.0.2"`) || strings.Contains(ids, "geneve") || !strings.Contains(ids, "theirs") {
		t.Errorf("external_ids are %s", ids)
	}
	n.apply(settingsOwner, ovs.Desired{})
	if ids := strings.TrimSpace(n.ctl("get", "Open_vSwitch", ".", "external_ids")); ids != `{theirs="1"}` {
		t.Errorf("after all, external_ids are %s", ids)
	}
	var gone ovs.Desired
	gone.Add(ovs.FoundRow("00000000-0000-4000-8000-000000000000"), &vswitch.OpenvSwitch{})
	var waiting *ovs.ErrWaiting
	if _, err := n.db.Apply(t.Context(), settingsOwner, gone); !errors.As(err, &waiting) {
		t.Errorf("a row that is not there: %v", err)
	}
}

// A port on a bridge of others comes and goes with one transaction each, and leaves the others' ports alone. What
// vswitchd writes into its row is no drift; what anybody else does is.
func TestPortsOnOthersBridge(t *testing.T) {
	n := newNode(t)
	n.apply(webOwner, nodePort("veth1", n.bridge()))
	if sent := n.sent.Load(); sent != 1 {
		t.Errorf("%d transactions for one port", sent)
	}
	n.ctl("set", "Interface", "veth1", "ofport=7", "external_ids:ovn-installed=true", "error=trouble")
	n.apply(webOwner, nodePort("veth1", n.bridge()))
	if sent := n.sent.Load(); sent != 1 || n.db.Dirty("cni").Len() > 1 { // one is the session's
		t.Errorf("%d transactions and %d dirty owners for vswitchd's answers", sent, n.db.Dirty("cni").Len())
	}
	n.ctl("set", "Interface", "veth1", "external_ids:iface-id=other")
	n.awaitDrift("changed")
	n.apply(webOwner, nodePort("veth1", n.bridge()))
	if id := strings.TrimSpace(n.ctl("get", "Interface", "veth1", "external_ids:iface-id")); id != "web.shop" {
		t.Errorf("iface-id is %s", id)
	}
	n.apply(webOwner, nodePort("veth2", n.bridge())) // another sandbox takes the place of the first
	if ports := strings.Fields(n.ctl("list-ports", "br-int")); strings.Join(ports, " ") != "foreign veth2" {
		t.Errorf("ports are %v", ports)
	}
	n.apply(webOwner, ovs.Desired{})
	if ports := strings.Fields(n.ctl("list-ports", "br-int")); strings.Join(ports, " ") != "foreign" {
		t.Errorf("in the end ports are %v", ports)
	}
}

func (n *node) awaitDrift(what string) {
	n.Helper()
	deadline := time.After(time.Minute)
	for {
		found := make(chan engine.Dirty, 1)
		go func() {
			if d, err := n.db.Dirty("cni").Get(n.Context()); err == nil {
				found <- d
			}
		}()
		select {
		case d := <-found:
			if d.Cause == engine.CauseDrift && strings.Contains(d.Details, what) {
				return
			}
		case <-deadline:
			n.Fatalf("nobody hears that %s", what)
		}
	}
}

// A process that has just started and has applied nothing yet hears that a row of ours was deleted.
func TestDeletedBeforeAnythingWasApplied(t *testing.T) {
	n := newNode(t)
	n.apply(webOwner, nodePort("veth1", n.bridge()))
	n.db = n.open()
	if d, err := n.db.Dirty("cni").Get(t.Context()); err != nil || d.Cause != engine.CauseSession {
		t.Fatalf("%v, %v", d, err)
	}
	n.ctl("del-port", "veth1")
	n.awaitDrift("deleted")
}

// Rows that are there already are taken over as they are, with the UUIDs that they have.
func TestFoundRowsAreTakenOver(t *testing.T) {
	n := newNode(t)
	port := n.db.Named("Port", "foreign").(*vswitch.Port)
	iface := n.db.Named("Interface", "foreign").(*vswitch.Interface)
	var want ovs.Desired
	want.Add(ovs.FoundRow(port.UUID), &vswitch.Port{Name: "foreign", Interfaces: port.Interfaces}).In(ovs.BridgePorts.Of(n.bridge()))
	want.Add(ovs.FoundRow(iface.UUID), &vswitch.Interface{Name: "foreign"})
	n.apply(webOwner, want)
	if owner, sym, ok := engine.OwnerOf(n.db.Named("Port", "foreign").(*vswitch.Port).ExternalIDs); owner != webOwner || !sym.Found() || !ok {
		t.Errorf("owner %v, %s, %t", owner, sym, ok)
	}
	n.apply(webOwner, ovs.Desired{})
	if n.db.Named("Port", "foreign") != nil || n.db.Named("Interface", "foreign") != nil {
		t.Error("what was taken over did not go")
	}
}
