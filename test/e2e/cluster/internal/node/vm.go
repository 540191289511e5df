package node

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/agent"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/fabric"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/sandbox"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/spec"
)

// VirtualMachine is a machine with a kernel of its own, Debian's, in QEMU. Its PID 1 is cmd/guest, which sets it up as
// pid1 does the other kind and then runs what it is told over the management network (package agent). Its disk is the
// cache's; what it writes there is forgotten when it ends.
//
// QEMU sits in the fabric's network namespace, where its two taps are, and in the node's cgroup: it ends as everything
// else does.
type VirtualMachine struct {
	name    string
	index   int
	dir     sandbox.Dir
	cluster spec.Cluster
}

// What a virtual machine is made of, below .sandbox: the program of its PID 1, and links to two artefacts, QEMU and VMDir.
const (
	VMGuest = "guest"
	VMQEMU  = "qemu"
	VMDir   = "vm"
)

// The files in VMDir.
const (
	VMKernel = "vmlinuz"
	VMDisk   = "disk.ext4"
	VMModule = guestModule
	VMAccel  = "accel"
)

const (
	vmMemory = "2048" // MiB
	vmCPUs   = "2"
	// vmBoots bounds the way to the agent's first answer. Emulated and alone it takes some 10 s.
	vmBoots = 3 * time.Minute
)

func (m *VirtualMachine) state() string { return m.dir.Path("nodes", m.name) }

func (m *VirtualMachine) secretPath() string { return filepath.Join(m.state(), "secret") }

func (m *VirtualMachine) initrdPath() string { return filepath.Join(m.state(), "initrd") }

func (m *VirtualMachine) consoleLog() string {
	return filepath.Join(m.dir.Log(), m.name, "console.log")
}

// address is where the agent listens.
func (m *VirtualMachine) address() string {
	return net.JoinHostPort(m.cluster.Addrs(spec.Management, m.index)[0].String(), strconv.Itoa(agent.Port))
}

// Boot implements Machine.
func (m *VirtualMachine) Boot(ctx context.Context, files map[string]string) error {
	if err := os.RemoveAll(m.state()); err != nil {
		return fmt.Errorf("clearing the state of a former run: %w", err)
	}
	if err := os.MkdirAll(m.state(), 0o755); err != nil {
		return fmt.Errorf("making the state directory: %w", err)
	}
	if err := createCgroups(m.name); err != nil {
		return err
	}
	secret := rand.Text()
	if err := os.WriteFile(m.secretPath(), []byte(secret), 0o600); err != nil {
		return fmt.Errorf("storing the agent's secret: %w", err)
	}
	if err := m.writeInitrd(files, secret); err != nil {
		return err
	}
	died, err := m.startQEMU()
	if err != nil {
		return err
	}
	return m.awaitAgent(ctx, secret, died)
}

// writeInitrd makes the RAM disk that tells this machine from another: all else is the cache's.
func (m *VirtualMachine) writeInitrd(files map[string]string, secret string) error {
	encoded, err := json.Marshal(files)
	if err != nil {
		return fmt.Errorf("encoding the files: %w", err)
	}
	self, err := json.Marshal(guest{Name: m.name, Index: m.index, Cluster: m.cluster, Secret: secret})
	if err != nil {
		return fmt.Errorf("encoding who this is: %w", err)
	}
	program, err := os.ReadFile(m.dir.Path(VMGuest))
	if err != nil {
		return fmt.Errorf("reading the program of PID 1: %w", err)
	}
	module, err := os.ReadFile(m.dir.Path(VMDir, VMModule))
	if err != nil {
		return fmt.Errorf("reading the disk's module: %w", err)
	}
	f, err := os.OpenFile(m.initrdPath(), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("making the initial RAM disk: %w", err)
	}
	err = writeInitrd(f, []initrdFile{
		{guestInit, 0o755, program}, {guestModule, 0o644, module}, {guestFiles, 0o600, encoded}, {guestSelf, 0o600, self},
	})
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("writing the initial RAM disk: %w", err)
	}
	return nil
}

// startQEMU starts QEMU, which outlives this process, and tells when it has died.
func (m *VirtualMachine) startQEMU() (died <-chan error, err error) {
	args, err := m.qemu()
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(m.dir.Log(), m.name, "qemu.log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the log of QEMU: %w", err)
	}
	defer log.Close()
	cmd := exec.Command("/proc/self/exe", append([]string{helperQEMU, m.name}, args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), "TMPDIR="+m.state()) // for what the machine writes to its disk
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting QEMU: %w", err)
	}
	end := make(chan error, 1)
	go func() { end <- cmd.Wait() }()
	return end, nil
}

// vmKernelArgs: what would fend off attacks is left out, and large pages spare an emulated machine a quarter of its work.
// The clock is QEMU's: a kernel that doubted it would take one that takes a hundred times as long to read.
const vmKernelArgs = "console=ttyS0 loglevel=4 panic=1 random.trust_cpu=on tsc=reliable preempt=none transparent_hugepage=always " +
	"mitigations=off audit=0 lsm=capability init_on_alloc=0 hardened_usercopy=off randomize_kstack_offset=off nokaslr psi=0"

// vmCPU is what QEMU can, but for what it does byte by byte: without these features, programs copy eight at a time.
const vmCPU = "max,la57=off,erms=off,fsrm=off,fsrs=off,fzrm=off,fsrc=off"

// qemu is the command line.
func (m *VirtualMachine) qemu() ([]string, error) {
	accel, err := os.ReadFile(m.dir.Path(VMDir, VMAccel))
	if err != nil {
		return nil, fmt.Errorf("reading how to run virtual machines: %w", err)
	}
	args := append(BareQEMU(m.dir.Path(VMQEMU), strings.TrimSpace(string(accel))), "-name", "woven-"+m.name, "-smp", vmCPUs, "-m", vmMemory,
		"-kernel", m.dir.Path(VMDir, VMKernel), "-initrd", m.initrdPath(),
		"-append", vmKernelArgs,
		"-serial", "file:"+m.consoleLog(),
		"-drive", "if=virtio,format=raw,snapshot=on,cache=unsafe,file="+m.dir.Path(VMDir, VMDisk),
		"-device", "virtio-rng-pci")
	taps := fabric.Taps(m.index)
	for i, net := range []string{"31", "30"} {
		nic := fmt.Sprintf("virtio-net-pci,romfile=,netdev=net%d,mac=52:54:00:%s:00:%02x", i, net, m.index)
		if i == 1 {
			// The tunnels' card sends finished checksums only, as real ones do: the userspace datapath at the other
			// end reads packets as they are, and between two pieces of virtual cable nobody would fill them in.
			nic += ",csum=off,gso=off,host_tso4=off,host_tso6=off,host_ecn=off,host_ufo=off"
		}
		args = append(args, "-netdev", fmt.Sprintf("tap,id=net%d,ifname=%s,script=no,downscript=no", i, taps[i]), "-device", nic)
	}
	return args, nil
}

// BareQEMU is the beginning of every command line: the program, an accelerator, and nothing that was not asked for.
func BareQEMU(artefact, accel string) []string {
	return []string{
		filepath.Join(artefact, "bin", "qemu-system-x86_64"), "-L", filepath.Join(artefact, "root/usr/share/qemu"),
		"-L", filepath.Join(artefact, "root/usr/share/seabios"), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-machine", "pc,usb=off", "-accel", accel, "-cpu", vmCPU,
	}
}

// becomeQEMU goes where a member of the cluster belongs and becomes QEMU.
func becomeQEMU(member string, argv []string) error {
	if err := joinCgroups(member); err != nil {
		return err
	}
	return fabric.Within(fabric.NS, func() error {
		return unix.Exec(argv[0], argv, os.Environ()) // keeps the network namespace of this thread
	})
}

// awaitAgent returns when the machine answers, or tells why it never will.
func (m *VirtualMachine) awaitAgent(ctx context.Context, secret string, died <-chan error) error {
	ctx, cancel := context.WithTimeout(ctx, vmBoots)
	defer cancel()
	hello := agent.Request{Secret: secret, Argv: []string{"true"}}
	for {
		try, stop := context.WithTimeout(ctx, 5*time.Second)
		code, err := agent.Run(try, m.address(), hello, agent.Streams{})
		stop()
		if err == nil && code == 0 {
			return nil
		}
		select {
		case <-died:
			return fmt.Errorf("the virtual machine died: %s", lastLines(m.consoleLog(), filepath.Join(m.dir.Log(), m.name, "qemu.log")))
		case <-ctx.Done():
			return fmt.Errorf("the virtual machine does not answer: %w; its console: %s", err, lastLines(m.consoleLog()))
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// lastLines are the ends of logs, for an error.
func lastLines(paths ...string) string {
	var ends []string
	for _, p := range paths {
		b, _ := os.ReadFile(p) // no log: nothing to tell
		const enough = 1000
		ends = append(ends, strings.TrimSpace(string(b[max(0, len(b)-enough):])))
	}
	return strings.Join(ends, "\n")
}

// Command implements Machine.
func (m *VirtualMachine) Command(ctx context.Context, argv ...string) *exec.Cmd {
	return m.remote(ctx, "run", argv)
}

// Spawn implements Machine. The helper stays as long as the program does, and carries its output here.
func (m *VirtualMachine) Spawn(ctx context.Context, log string, argv ...string) error {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("opening the log: %w", err)
	}
	defer out.Close()
	running, runningEnd, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("making a pipe: %w", err)
	}
	defer running.Close()
	cmd := m.remote(context.WithoutCancel(ctx), "spawn", argv)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.ExtraFiles = []*os.File{runningEnd}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	runningEnd.Close()
	if err != nil {
		return fmt.Errorf("starting a helper: %w", err)
	}
	if n, _ := running.Read(make([]byte, 1)); n == 0 {
		return fmt.Errorf("%w (see %s)", errors.Join(errors.New("it did not start"), cmd.Wait()), log)
	}
	return cmd.Process.Release()
}

func (m *VirtualMachine) remote(ctx context.Context, how string, argv []string) *exec.Cmd {
	return exec.CommandContext(ctx, "/proc/self/exe", append([]string{helperRemote, m.name, m.address() + " " + m.secretPath(), how}, argv...)...)
}

// remote runs a command in a virtual machine. A spawned one has no input, says when it runs, and stays.
func remote(member, where, how string, argv []string) (int, error) {
	address, secretPath, _ := strings.Cut(where, " ")
	secret, err := os.ReadFile(secretPath)
	if err != nil {
		return 0, fmt.Errorf("the node is not running: %w", err)
	}
	request := agent.Request{Secret: string(secret), Argv: argv, Env: append(nodeEnv(), "GOGC=400")} // memory is cheaper there than work
	streams := agent.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
	if how == "spawn" {
		// What stays belongs to the node, and ends with it.
		if err := joinCgroups(member); err != nil {
			return 0, err
		}
		running := os.NewFile(3, "running")
		request.Stays = true
		streams.In = nil
		streams.Started = func() {
			_, _ = running.WriteString("1") // the starter has given up waiting
			running.Close()
		}
	}
	return agent.Run(context.Background(), address, request, streams)
}
