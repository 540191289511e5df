// Package hosttest gives tests a host of their own: a process in fresh network and mount namespaces, pods' namespaces
// beside it, and a real ovsdb-server.
package hosttest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/woven-cni/woven/pkg/ovs/ovstest"
)

const inNamespaces = "WOVEN_TEST_IN_NAMESPACES"

// Main runs a package's tests in namespaces of their own, by starting the test binary again; without root, in a user
// namespace where the caller is root. Whole processes need it: goroutines do not stay on a thread.
func Main(m *testing.M) {
	if os.Getenv(inNamespaces) != "" {
		os.Exit(runInside(m))
	}
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	again := exec.Command(self, os.Args[1:]...)
	again.Stdin, again.Stdout, again.Stderr = os.Stdin, os.Stdout, os.Stderr
	again.Env = append(os.Environ(), inNamespaces+"=1")
	again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	if os.Geteuid() != 0 {
		again.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		again.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		again.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	err = again.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		os.Exit(0)
	case errors.As(err, &exit):
		os.Exit(exit.ExitCode())
	}
	fmt.Fprintln(os.Stderr, "no namespaces for the tests:", err)
	os.Exit(1)
}

func runInside(m *testing.M) int {
	// Mounts made here stay here, and /proc/sys/net shows this network namespace by itself.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		panic(fmt.Errorf("making mounts private: %w", err))
	}
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		panic(fmt.Errorf("setting lo up: %w", err))
	}
	return m.Run()
}

// Must ends the test on an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// NetNS makes a network namespace, as a runtime makes one for a pod, and returns its path. End ends it early.
func NetNS(t testing.TB) (path string, end func()) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "netns")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		host, err := netns.Get()
		if err != nil {
			done <- err
			return
		}
		defer host.Close()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		self := fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid())
		err = errors.Join(unix.Mount(self, path, "none", unix.MS_BIND, ""), netns.Set(host))
		runtime.UnlockOSThread()
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatalf("making a network namespace: %v", err)
	}
	end = func() {
		_ = unix.Unmount(path, unix.MNT_DETACH)
		_ = os.Remove(path)
	}
	t.Cleanup(end)
	return path, end
}

// MoveLink moves a link into a network namespace.
func MoveLink(link netlink.Link, path string) error {
	ns, err := netns.GetFromPath(path)
	if err != nil {
		return err
	}
	defer ns.Close()
	return netlink.LinkSetNsFd(link, int(ns))
}

// OVSDB is a real ovsdb-server with an Open_vSwitch database.
type OVSDB struct {
	t    testing.TB
	dir  string
	proc *exec.Cmd
}

// NewOVSDB starts one with an empty bridge br-int.
func NewOVSDB(t testing.TB) *OVSDB {
	t.Helper()
	db := &OVSDB{t: t, dir: t.TempDir()}
	db.Recreate()
	t.Cleanup(db.Stop)
	return db
}

// Endpoint is where it listens.
func (db *OVSDB) Endpoint() string { return "unix:" + filepath.Join(db.dir, "db.sock") }

// Recreate starts the server on a new database, as after the loss of conf.db.
func (db *OVSDB) Recreate() {
	db.t.Helper()
	conf := filepath.Join(db.dir, "conf.db")
	_ = os.Remove(conf)
	db.run("ovsdb-tool", "create", conf, ovstest.Schema(db.t, "vswitch"))
	db.Start()
	db.VSCtl("init")
	db.VSCtl("add-br", "br-int", "--", "set", "Bridge", "br-int", "datapath_type=netdev")
}

// Start starts the server and returns when it listens.
func (db *OVSDB) Start() {
	db.t.Helper()
	db.proc = exec.Command(ovstest.Program(db.t, "ovsdb-server"), filepath.Join(db.dir, "conf.db"), "--remote=p"+db.Endpoint(),
		"--unixctl="+filepath.Join(db.dir, "ctl"), "--no-chdir", "-vconsole:off")
	db.proc.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := db.proc.Start(); err != nil {
		db.t.Fatal(err)
	}
	// ovsdb-client tries again until the server listens.
	db.run("ovsdb-client", "--timeout=10", "wait", db.Endpoint(), "Open_vSwitch", "connected")
}

// Stop kills the server.
func (db *OVSDB) Stop() {
	if db.proc != nil {
		_ = db.proc.Process.Kill()
		_ = db.proc.Wait()
		db.proc = nil
	}
}

// Pause stops the server without ending it, as a machine does that hangs, until resume is called.
func (db *OVSDB) Pause() (resume func()) {
	db.t.Helper()
	Must(db.t, db.proc.Process.Signal(unix.SIGSTOP))
	return func() { Must(db.t, db.proc.Process.Signal(unix.SIGCONT)) }
}

// VSCtl runs ovs-vsctl on the database and returns what it prints.
func (db *OVSDB) VSCtl(args ...string) string {
	db.t.Helper()
	return db.run("ovs-vsctl", append([]string{"--db=" + db.Endpoint(), "--no-wait", "--timeout=10"}, args...)...)
}

// Transact sends operations, as JSON with commas between, by a connection of its own, and returns when they are committed.
// It is what others do to the database; the server may be away.
func (db *OVSDB) Transact(operations string) {
	conn, err := net.Dial("unix", strings.TrimPrefix(db.Endpoint(), "unix:"))
	if err != nil {
		return
	}
	defer conn.Close()
	var answer any
	if _, err := fmt.Fprintf(conn, `{"id":1,"method":"transact","params":["Open_vSwitch",%s]}`, operations); err == nil {
		_ = json.NewDecoder(conn).Decode(&answer)
	}
}

func (db *OVSDB) run(name string, args ...string) string {
	db.t.Helper()
	return ovstest.Run(db.t, name, args...)
}

// VSwitchd starts a real ovs-vswitchd on the database, with its userspace datapath only, and returns what ends it.
func (db *OVSDB) VSwitchd(flags ...string) (stop func()) {
	db.t.Helper()
	proc := exec.Command(ovstest.Program(db.t, "ovs-vswitchd"), append(flags, db.Endpoint(), "--disable-system", "--no-chdir",
		"--unixctl="+filepath.Join(db.dir, "vswitchd.ctl"), "-vconsole:off")...)
	proc.Env = append(os.Environ(), "OVS_RUNDIR="+db.dir)
	proc.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := proc.Start(); err != nil {
		db.t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			_ = proc.Process.Kill()
			_ = proc.Wait()
		}
	}
	db.t.Cleanup(func() {
		stop()
		removeTaps() // vswitchd makes its devices last longer than itself
	})
	return stop
}

func removeTaps() {
	links, _ := netlink.LinkList()
	for _, link := range links {
		if link.Type() == "tuntap" || link.Type() == "tun" {
			_ = netlink.LinkDel(link)
		}
	}
}

// Eventually fails the test unless a condition comes true, also on a machine that keeps processes waiting.
func Eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("never came true: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Inside runs something on a thread that is in a network namespace. Sockets that it opens stay there.
func Inside(t testing.TB, path string, do func() error) error {
	t.Helper()
	done := make(chan error)
	go func() {
		// The thread has to come back: its end would end the processes that it once started (Pdeathsig).
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		done <- inside(path, do)
	}()
	return <-done
}

func inside(path string, do func() error) error {
	host, err := netns.Get()
	if err != nil {
		return err
	}
	defer host.Close()
	pod, err := netns.GetFromPath(path)
	if err != nil {
		return err
	}
	defer pod.Close()
	if err := netns.Set(pod); err != nil {
		return err
	}
	return errors.Join(do(), netns.Set(host))
}
