package ovstest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Cluster is a northbound database of three raft members on unix sockets.
type Cluster struct {
	t       testing.TB
	members []*Server
}

// StartCluster runs three members until the test ends.
func StartCluster(t testing.TB) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	dir, err := os.MkdirTemp("", "raft")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) }) //nolint:errcheck // a temporary directory
	raft := func(i int) string { return fmt.Sprintf("unix:%s/%d.raft", dir, i) }
	for i := range 3 {
		home := filepath.Join(dir, fmt.Sprint(i))
		if err := os.Mkdir(home, 0o755); err != nil {
			t.Fatal(err)
		}
		s := &Server{t: t, dir: home, binary: Program(t, "ovsdb-server")}
		db := filepath.Join(home, "db")
		if i == 0 {
			Run(t, "ovsdb-tool", "create-cluster", db, Schema(t, "ovn-nb"), raft(0))
		} else {
			Run(t, "ovsdb-tool", "join-cluster", db, "OVN_Northbound", raft(i), raft(0))
		}
		s.args = []string{
			"-vconsole:off", "--remote=punix:" + s.Socket(), "--unixctl=" + s.ctl(), "--no-chdir",
			"--log-file=" + filepath.Join(home, "log"), "-vfile:warn", db,
		}
		s.Restart()
		t.Cleanup(s.Kill)
		c.members = append(c.members, s)
	}
	return c
}

func (s *Server) ctl() string { return filepath.Join(s.dir, "ctl") }

// Endpoints are what engine.Open wants.
func (c *Cluster) Endpoints() []string {
	out := make([]string, len(c.members))
	for i, s := range c.members {
		out[i] = s.Endpoint()
	}
	return out
}

// Leader is the member that leads, or nil while none does.
func (c *Cluster) Leader() *Server {
	c.t.Helper()
	for _, s := range c.members {
		s.mu.Lock()
		running := s.cmd != nil
		s.mu.Unlock()
		if !running {
			continue
		}
		// A member that is just starting does not answer yet.
		status, err := exec.Command(Program(c.t, "ovs-appctl"), "-t", s.ctl(), "cluster/status", "OVN_Northbound").Output()
		if err == nil && strings.Contains(string(status), "Role: leader") {
			return s
		}
	}
	return nil
}
