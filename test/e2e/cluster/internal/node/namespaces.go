package node

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/fabric"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/sandbox"
)

// Namespaces is a machine made of this machine's namespaces: network (the fabric's), mount, PID, UTS, IPC and cgroup.
// Its PID 1 is this program again; when that dies, the kernel kills all other processes of the machine and drops its
// mounts.
//
// Namespaces are entered in helper processes (this program again, see Main), never in the caller: a thread that has
// changed its namespaces is of no other use.
type Namespaces struct {
	name string
	dir  sandbox.Dir
}

// RootFS is where the root file system that all nodes share is linked to, below .sandbox.
const RootFS = "rootfs"

// state is the directory with the node's writable parts.
func (m *Namespaces) state() string { return m.dir.Path("nodes", m.name) }

func (m *Namespaces) filesPath() string { return filepath.Join(m.state(), "files.json") }

func (m *Namespaces) pidFile() string { return filepath.Join(m.state(), "pid") }

// Boot implements Machine.
func (m *Namespaces) Boot(ctx context.Context, files map[string]string) error {
	if err := os.RemoveAll(m.state()); err != nil {
		return fmt.Errorf("clearing the state of a former run: %w", err)
	}
	if err := os.MkdirAll(m.state(), 0o755); err != nil {
		return fmt.Errorf("making the state directory: %w", err)
	}
	if err := createCgroups(m.name); err != nil {
		return err
	}
	b, err := json.Marshal(files)
	if err != nil {
		return fmt.Errorf("encoding the files: %w", err)
	}
	if err := os.WriteFile(m.filesPath(), b, 0o600); err != nil {
		return fmt.Errorf("storing the files: %w", err)
	}
	ready, readyEnd, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("making a pipe: %w", err)
	}
	defer ready.Close()
	cmd := exec.CommandContext(ctx, "/proc/self/exe", helperBoot, m.name, m.dir.Checkout)
	cmd.ExtraFiles = []*os.File{readyEnd}
	out, err := cmd.CombinedOutput()
	readyEnd.Close()
	if err != nil {
		return fmt.Errorf("starting PID 1: %w: %s", err, strings.TrimSpace(string(out)))
	}
	// PID 1 holds the other end: it writes when it is up, or dies and closes it.
	if n, _ := ready.Read(make([]byte, 1)); n == 0 {
		log, _ := os.ReadFile(m.initLog())
		return fmt.Errorf("PID 1 died: %s", strings.TrimSpace(string(log)))
	}
	return nil
}

func (m *Namespaces) initLog() string { return filepath.Join(m.dir.Log(), m.name, "init.log") }

// Command implements Machine.
func (m *Namespaces) Command(ctx context.Context, argv ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "/proc/self/exe", append([]string{helperEnter, m.name, m.pidFile(), "run"}, argv...)...)
}

// Spawn implements Machine.
func (m *Namespaces) Spawn(ctx context.Context, log string, argv ...string) error {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", append([]string{helperEnter, m.name, m.pidFile(), "spawn"}, argv...)...)
	return spawn(cmd, log)
}

// SpawnOutside starts a program that outlives this process on the test host outside, which is a network namespace
// only.
func SpawnOutside(ctx context.Context, log string, argv ...string) error {
	const member = "outside"
	if err := createCgroups(member); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe", append([]string{helperEnter, member, "", "spawn"}, argv...)...)
	return spawn(cmd, log)
}

// spawn runs a helper that starts a program in the background, with its output in a log file.
func spawn(cmd *exec.Cmd, log string) error {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%w (see %s)", err, log)
	}
	return nil
}

// boot starts PID 1 in new namespaces below the node's cgroup, and ends: the node belongs to nobody. It has to sit in
// the cgroup first, since a new cgroup namespace shows its maker's cgroup as the root.
func boot(name, checkout string) error {
	runtime.LockOSThread()
	dir, err := sandbox.Open(checkout)
	if err != nil {
		return err
	}
	m := &Namespaces{name: name, dir: dir}
	if err := joinCgroups(name); err != nil {
		return err
	}
	if err := setns(fabric.NamespacePath(fabric.NodeNS(name)), unix.CLONE_NEWNET); err != nil {
		return err
	}
	log, err := os.OpenFile(m.initLog(), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return fmt.Errorf("opening the log of PID 1: %w", err)
	}
	cmd := exec.Command("/proc/self/exe", helperInit, name, checkout)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{os.NewFile(3, "ready")}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWCGROUP,
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting PID 1: %w", err)
	}
	return os.WriteFile(m.pidFile(), []byte(strconv.Itoa(cmd.Process.Pid)), 0o644)
}

// enter runs a command in a node's namespaces and cgroups, or on the test host outside if there is no file with the
// PID of a PID 1. A spawned command is left to itself: its parent becomes the node's PID 1.
func enter(member, pidFile string, spawned bool, argv []string) (int, error) {
	runtime.LockOSThread()
	if err := joinCgroups(member); err != nil {
		return 0, err
	}
	if err := enterNamespaces(pidFile); err != nil {
		return 0, err
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	if pidFile != "" {
		cmd.Env = nodeEnv()
		cmd.Dir = "/"
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if spawned {
		cmd.Stdin = nil
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			return 0, fmt.Errorf("starting %s: %w", argv[0], err)
		}
		return 0, nil
	}
	// No Pdeathsig: Go would take the parent, which has no PID in the node, for dead already.
	err := cmd.Run()
	if cmd.ProcessState != nil {
		return cmd.ProcessState.ExitCode(), nil // the command has told its own story
	}
	return 0, err
}

// nodePath is where a node has its programs: ours come first.
const nodePath = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// nodeEnv is the environment of commands in a node.
func nodeEnv() []string {
	return []string{"HOME=/root", "LANG=C.UTF-8", "TERM=" + os.Getenv("TERM"), "PATH=" + nodePath}
}

func enterNamespaces(pidFile string) error {
	if pidFile == "" {
		return setns(fabric.NamespacePath(fabric.OutsideNS), unix.CLONE_NEWNET)
	}
	b, err := os.ReadFile(pidFile)
	if err != nil {
		return fmt.Errorf("the node is not running: %w", err)
	}
	// A mount namespace cannot be entered while other threads share this one's root and working directory.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("unsharing the working directory: %w", err)
	}
	pidfd, err := strconv.Atoi(string(b))
	if err != nil {
		return fmt.Errorf("reading the PID of PID 1: %w", err)
	}
	fd, err := unix.PidfdOpen(pidfd, 0)
	if err != nil {
		return fmt.Errorf("the node is not running: %w", err)
	}
	defer unix.Close(fd)
	const all = unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWCGROUP
	if err := unix.Setns(fd, all); err != nil {
		return fmt.Errorf("entering the node's namespaces: %w", err)
	}
	// exec.Command looks a program up with the variable of this process.
	return os.Setenv("PATH", nodePath)
}

func setns(path string, kind int) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("opening a namespace: %w", err)
	}
	defer f.Close()
	if err := unix.Setns(int(f.Fd()), kind); err != nil {
		return fmt.Errorf("entering namespace %s: %w", path, err)
	}
	return nil
}
