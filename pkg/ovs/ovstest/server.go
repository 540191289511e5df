// Package ovstest runs real database servers for tests, and shows rows as text.
//
// The binaries are those that `make deps` lays out in .sandbox/ovn/bin of the repository, or those of PATH.
package ovstest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/engine"
)

// Server is an ovsdb-server with one database on a unix socket of its own.
type Server struct {
	t      testing.TB
	dir    string
	binary string
	args   []string

	mu  sync.Mutex // protects following
	cmd *exec.Cmd
}

// Start runs a server with an empty northbound database until the test ends.
func Start(t testing.TB) *Server { return StartSchema(t, "ovn-nb") }

// StartSchema runs a server with an empty database of a schema that Schema knows.
func StartSchema(t testing.TB, schema string) *Server { return StartFile(t, Schema(t, schema)) }

// StartFile runs a server with an empty database of the schema in a file.
func StartFile(t testing.TB, schema string) *Server {
	t.Helper()
	// Unix socket paths are short, and t.TempDir's are not.
	dir, err := os.MkdirTemp("", "ovs")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) }) //nolint:errcheck // a temporary directory
	s := &Server{t: t, dir: dir, binary: Program(t, "ovsdb-server")}
	s.args = []string{
		"-vconsole:off", "--remote=punix:" + s.Socket(), "--unixctl=" + filepath.Join(dir, "ctl"), "--no-chdir",
		"--log-file=" + filepath.Join(dir, "log"), "-vfile:warn", filepath.Join(dir, "db"),
	}
	s.reset(schema)
	s.Restart()
	t.Cleanup(s.Kill)
	return s
}

func (s *Server) reset(schema string) {
	s.t.Helper()
	db := filepath.Join(s.dir, "db")
	if err := os.RemoveAll(db); err != nil {
		s.t.Fatal(err)
	}
	Run(s.t, "ovsdb-tool", "create", db, schema)
}

// Socket is the path of the server's socket.
func (s *Server) Socket() string { return filepath.Join(s.dir, "sock") }

// Endpoint is what engine.Open wants.
func (s *Server) Endpoint() string { return "unix:" + s.Socket() }

// Kill kills the server at once, as a crash would.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd != nil {
		s.cmd.Process.Kill() //nolint:errcheck // it may have died by itself
		s.cmd.Wait()         //nolint:errcheck // killed
		s.cmd = nil
	}
}

// Pause stops the server without ending it, as a machine does that hangs; Resume lets it go on.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume ends a Pause.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(sig os.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Error(err)
	}
}

// Empty replaces the database by an empty one, as a lost disk does. The server must have been killed.
func (s *Server) Empty() { s.reset(Schema(s.t, "ovn-nb")) }

// Convert gives the database the schema that comes with the programs, as ovn-central does when its image is a newer one.
// The server must have been killed.
func (s *Server) Convert() {
	s.t.Helper()
	Run(s.t, "ovsdb-tool", "convert", filepath.Join(s.dir, "db"), Schema(s.t, "ovn-nb"))
}

// Restart starts the server after Kill, and waits until it listens.
func (s *Server) Restart() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	os.Remove(s.Socket()) //nolint:errcheck // it may not be there
	s.cmd = start(s.t, s.binary, s.args...)
	awaitSocket(s.t, s.Socket())
}

// DB opens the database until the test ends, and waits until it is ready.
func (s *Server) DB(opts ...engine.Option) *engine.DB {
	s.t.Helper()
	return s.Open(ovs.Northbound, opts...)
}

// Open is DB for a server of another schema.
func (s *Server) Open(database *engine.Database, opts ...engine.Option) *engine.DB {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s.t.Cleanup(cancel)
	db, err := engine.Open(ctx, database, []string{s.Endpoint()}, opts...)
	if err != nil {
		s.t.Fatal(err)
	}
	select {
	case <-db.Ready():
	case <-time.After(30 * time.Second):
		s.t.Fatal("the database does not get ready")
	}
	return db
}

// Ctl runs ovn-nbctl on the database, as somebody does who edits rows by hand, and returns what it prints.
func (s *Server) Ctl(args ...string) string {
	s.t.Helper()
	return Run(s.t, "ovn-nbctl", append([]string{"--db=" + s.Endpoint(), "--no-leader-only"}, args...)...)
}

// Schema is the file of a schema, "ovn-nb", "ovn-sb" or "vswitch": the one that comes with the programs, which may be newer
// than what our models are made of, else that.
func Schema(t testing.TB, name string) string {
	t.Helper()
	share := "ovn"
	if name == "vswitch" {
		share = "openvswitch"
	}
	if path := filepath.Join(repository(t), ".sandbox/ovn/root/usr/share", share, name+".ovsschema"); readable(path) {
		return path
	}
	return filepath.Join(repository(t), "pkg/ovs/schema", name+".ovsschema")
}

// Oldest is the file of the northbound schema of the oldest OVN that Woven runs with.
func Oldest(t testing.TB) string {
	t.Helper()
	return filepath.Join(repository(t), "pkg/ovs/schema/ovn-nb-25.03.ovsschema")
}

func readable(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Program finds a program of OVS or OVN: where `make deps` puts those of the images, else in PATH.
func Program(t testing.TB, name string) string {
	t.Helper()
	if path := filepath.Join(repository(t), ".sandbox/ovn/bin", name); executable(path) {
		return path
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is neither in .sandbox/ovn/bin nor in PATH: run make deps", name)
	}
	return path
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&0o111 != 0
}

// Run runs a program of OVS or OVN to its end and returns what it prints.
func Run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(Program(t, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// start runs a program in the background. It dies with the test binary, however that dies.
func start(t testing.TB, program string, args ...string) *exec.Cmd {
	t.Helper()
	return startIn(t, nil, program, args...)
}

// startIn is start in an environment; nil is the test's own.
func startIn(t testing.TB, env []string, program string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = env
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// awaitSocket waits until a server listens.
func awaitSocket(t testing.TB, path string) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		conn, err := net.Dial("unix", path)
		if err == nil {
			conn.Close() //nolint:errcheck // only a probe
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(fmt.Errorf("waiting for the server: %w", err))
		}
		time.Sleep(2 * time.Millisecond) // there is nothing to wait on before the socket exists
	}
}

// repository is the directory of go.mod.
func repository(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
	}
	t.Fatal("there is no go.mod above the test")
	return ""
}
