package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/agent"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/fabric"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/spec"
)

// What the initial RAM disk of a virtual machine holds.
const (
	guestInit   = "init"
	guestModule = "virtio_blk.ko.xz" // what the kernel needs to see its disk
	guestFiles  = "files.json"
	guestSelf   = "guest.json"
)

// guest is what a virtual machine is told about itself.
type guest struct {
	Name    string
	Index   int
	Cluster spec.Cluster
	Secret  string
}

// Guest is the first process of a virtual machine: what pid1 is to the other kind of node. It makes the disk the root,
// mounts what a machine has, sets up the network, and lets the agent in. It returns only when it fails, and then the
// kernel ends the machine.
func Guest() error {
	if len(os.Args) > 1 && os.Args[1] == guestAgent {
		return serveAgent()
	}
	files, err := os.ReadFile("/" + guestFiles)
	if err != nil {
		return fmt.Errorf("reading the node's files: %w", err)
	}
	self, err := readSelf("/" + guestSelf)
	if err != nil {
		return err
	}
	if err := diskRoot(); err != nil {
		return err
	}
	if err := mountAll("/", guestMounts); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("sharing mounts: %w", err)
	}
	if err := writeFiles("/", files); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(self.Name)); err != nil {
		return fmt.Errorf("setting the host name: %w", err)
	}
	if err := settle(); err != nil {
		return err
	}
	if err := fabric.Guest(self.Cluster, self.Index); err != nil {
		return fmt.Errorf("setting up the network: %w", err)
	}
	return startAgent(self)
}

func readSelf(path string) (guest, error) {
	var self guest
	b, err := os.ReadFile(path)
	if err != nil {
		return self, fmt.Errorf("reading who this is: %w", err)
	}
	if err := json.Unmarshal(b, &self); err != nil {
		return self, fmt.Errorf("reading who this is: %w", err)
	}
	return self, nil
}

const disk = "/dev/vda"

// diskRoot makes the disk the root. The kernel's first root cannot be pivoted away: it is covered and left.
func diskRoot() error {
	if err := mountAll("/", []mount{{"devtmpfs", "/dev", "devtmpfs", 0, ""}}); err != nil {
		return err
	}
	module, err := os.Open("/" + guestModule)
	if err != nil {
		return fmt.Errorf("opening the disk's module: %w", err)
	}
	defer module.Close()
	if err := unix.FinitModule(int(module.Fd()), "", unix.MODULE_INIT_COMPRESSED_FILE); err != nil {
		return fmt.Errorf("loading the disk's module: %w", err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(disk); err == nil {
			break
		} else if !errors.Is(err, fs.ErrNotExist) || time.Now().After(deadline) {
			return fmt.Errorf("awaiting the disk: %w", err)
		}
	}
	if err := mountAll("/", []mount{{disk, "/new", "ext4", unix.MS_NOATIME, ""}}); err != nil {
		return err
	}
	if err := unix.Chdir("/new"); err != nil {
		return fmt.Errorf("entering the new root: %w", err)
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("moving the new root over the first: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("changing the root: %w", err)
	}
	return unix.Chdir("/")
}

var guestMounts = []mount{
	{"devtmpfs", "/dev", "devtmpfs", 0, ""},
	{"devpts", "/dev/pts", "devpts", 0, "gid=5,mode=620,ptmxmode=666"},
	{"tmpfs", "/dev/shm", "tmpfs", 0, "mode=1777"},
	{"proc", "/proc", "proc", 0, ""},
	{"sysfs", "/sys", "sysfs", 0, ""},
	{"tmpfs", "/run", "tmpfs", 0, "mode=755"},
	{"tmpfs", "/tmp", "tmpfs", 0, "mode=1777"},
	{"cgroup2", cgroupMount, "cgroup2", 0, ""},
}

// settle loads the modules that nothing asks the kernel for by itself, and lifts limits that a distribution's own first
// process lifts.
func settle() error {
	if err := os.Setenv("PATH", nodePath); err != nil {
		return fmt.Errorf("setting PATH: %w", err)
	}
	if out, err := exec.Command("modprobe", "--all", "virtio_net", "overlay", "virtio_rng").CombinedOutput(); err != nil {
		return fmt.Errorf("loading modules: %w: %s", err, out)
	}
	const files = 1 << 20
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: files, Max: files}); err != nil {
		return fmt.Errorf("allowing open files: %w", err)
	}
	return fabric.Machine()
}

// guestAgent is the first argument of this program as the agent.
const guestAgent = "agent"

// agentSecret is where the agent finds its secret, out of sight of pods.
const agentSecret = "WOVEN_AGENT_SECRET"

// startAgent runs the agent in a process of its own: the first process waits for whoever dies, and would take the exit
// codes of the agent's commands away from it.
func startAgent(self guest) error {
	address := net.JoinHostPort(self.Cluster.Addrs(spec.Management, self.Index)[0].String(), strconv.Itoa(agent.Port))
	// The root that this program was started from is covered: it is there under its own name in /proc only.
	cmd := exec.Command("/proc/self/exe", guestAgent, address)
	cmd.Env = append(nodeEnv(), agentSecret+"="+self.Secret)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the agent: %w", err)
	}
	reap(cmd.Process.Pid)
	return errors.New("the agent died")
}

func serveAgent() error {
	secret := os.Getenv(agentSecret)
	if len(os.Args) < 3 || secret == "" {
		return errors.New("usage: agent ADDRESS, with a secret")
	}
	listener, err := net.Listen("tcp", os.Args[2])
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	fmt.Println(strings.Repeat("-", 20), "the agent listens at", os.Args[2])
	return agent.Serve(listener, secret)
}
