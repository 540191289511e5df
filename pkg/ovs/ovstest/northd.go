package ovstest

import (
	"path/filepath"
	"strings"
	"testing"
)

// Northd is a northbound and a southbound database with a real ovn-northd between them: the oracle that tells whether
// rows mean what we think.
type Northd struct {
	// NB and SB are the databases.
	NB, SB *Server
	t      testing.TB
	ctl    string
}

// StartNorthd runs all three until the test ends.
func StartNorthd(t testing.TB) *Northd {
	t.Helper()
	n := &Northd{NB: Start(t), SB: StartSchema(t, "ovn-sb"), t: t}
	n.ctl = filepath.Join(n.NB.dir, "northd.ctl")
	cmd := start(t, Program(t, "ovn-northd"),
		"-vconsole:off", "--ovnnb-db="+n.NB.Endpoint(), "--ovnsb-db="+n.SB.Endpoint(), "--unixctl="+n.ctl)
	t.Cleanup(func() {
		cmd.Process.Kill() //nolint:errcheck // it may have died by itself
		cmd.Wait()         //nolint:errcheck // killed
	})
	awaitSocket(t, n.ctl)
	return n
}

// Sync waits until northd has turned all of NB into SB.
func (n *Northd) Sync() {
	n.t.Helper()
	n.NB.Ctl("--timeout=30", "--wait=sb", "sync")
}

// Trace runs ovn-trace for a packet that enters the datapath (a switch or router), and returns the short form:
// what is done in the end. The packet is an expression of ovn-trace(8).
func (n *Northd) Trace(datapath, packet string) string {
	n.t.Helper()
	n.Sync()
	return strings.TrimSpace(Run(n.t, "ovn-trace", "--db="+n.SB.Endpoint(), "--no-leader-only", "--minimal", datapath, packet))
}

// Recomputes asks northd how often it has started over instead of working incrementally.
func (n *Northd) Recomputes(node string) string {
	n.t.Helper()
	return strings.TrimSpace(Run(n.t, "ovs-appctl", "-t", n.ctl, "inc-engine/show-stats", node, "recompute"))
}
