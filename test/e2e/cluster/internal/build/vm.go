package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/node"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/spec"
)

// Guest compiles the program of a virtual machine's PID 1 to a path.
func Guest(ctx context.Context, module, path string) error {
	cmd := goCommand(ctx, "build", "-ldflags=-s -w", "-o", path, "./cmd/guest")
	cmd.Dir = module
	return Run(cmd)
}

// QEMU runs virtual machines. It is that of the nodes' suite, whatever this machine's own is: version 7 emulates too
// slowly, and crashed Debian's kernel.
func QEMU() Artefact {
	packages := []string{"qemu-system-x86", "libc6"}
	return Artefact{
		Name:   "qemu",
		Recipe: append([]string{spec.Suite, wrapper}, packages...),
		Slow:   "unpacking Debian " + spec.Suite + "'s QEMU (about 1 minute)",
		Make: func(ctx context.Context, dir string) error {
			root := filepath.Join(dir, "root")
			if err := debian(ctx, spec.Suite, root, "extract", packages); err != nil {
				return err
			}
			return wrap(dir, root, "usr/bin/qemu-system-x86_64")
		},
	}
}

// kernelPackage is Debian's kernel for virtual machines. It has what a machine of a provider might lack: openvswitch
// with Geneve, SCTP, netem and HTB, VLANs, WireGuard, VRFs, as modules.
const kernelPackage = "linux-image-cloud-amd64"

// vmDiskSize is what the machine sees. What it does not use takes no room here.
const vmDiskSize = "12G"

// VMParts are the directories of the artefacts that virtual machines are made of, and the images that they have from the
// beginning: to load one there takes a minute.
type VMParts struct {
	QEMU, NodeRoot, Kubernetes, Containerd, Runc, Plugins string
	Archives                                              []string
}

// recipe: the directories' names are hashes of recipes, so that they stand for their content.
func (p VMParts) recipe() []string {
	out := []string{"v2", spec.Suite, kernelPackage, vmDiskSize}
	for _, dir := range []string{p.QEMU, p.NodeRoot, p.Kubernetes, p.Containerd, p.Runc, p.Plugins} {
		out = append(out, filepath.Base(dir))
	}
	for _, a := range p.Archives {
		out = append(out, filepath.Base(filepath.Dir(a)))
	}
	return out
}

// VM is what package node starts virtual machines from, under the names that it knows: a kernel, and a disk with the root
// file system of the other nodes, the kernel's modules, the programs that those see mounted, and images.
func VM(p VMParts) Artefact {
	return Artefact{
		Name: "vm", Recipe: p.recipe(),
		Slow: "making the disk of virtual machines, with Debian's kernel (about 2 minutes)",
		Make: func(ctx context.Context, dir string) error {
			kernel, root := filepath.Join(dir, "kernel"), filepath.Join(dir, "root")
			if err := debian(ctx, spec.Suite, kernel, "extract", []string{kernelPackage}); err != nil {
				return err
			}
			if err := vmRoot(ctx, root, kernel, p); err != nil {
				return err
			}
			if err := vmImages(ctx, dir, root, p.Archives); err != nil {
				return err
			}
			if err := vmKernel(ctx, dir, kernel, root); err != nil {
				return err
			}
			if err := vmAccel(ctx, dir, p.QEMU); err != nil {
				return err
			}
			// No journal: what a machine writes is forgotten when it ends.
			err := Run(exec.CommandContext(ctx, "mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", root,
				filepath.Join(dir, node.VMDisk), vmDiskSize))
			return errors.Join(err, os.RemoveAll(kernel), os.RemoveAll(root))
		},
	}
}

// vmRoot lays the root file system out. Files of the cache are linked, not copied.
func vmRoot(ctx context.Context, root, kernel string, p VMParts) error {
	bin, cni, modules := filepath.Join(root, "usr/local/bin"), filepath.Join(root, "mnt/cni"), filepath.Join(root, "usr/lib/modules")
	for _, s := range [][]string{
		{"cp", "-al", filepath.Join(p.NodeRoot, "root"), root},
		{"mv", filepath.Join(kernel, "usr/lib/modules"), modules},
	} {
		if err := Run(exec.CommandContext(ctx, s[0], s[1:]...)); err != nil {
			return err
		}
	}
	for _, from := range []string{p.Kubernetes, p.Containerd, p.Runc} {
		if err := Link(from, bin); err != nil {
			return err
		}
	}
	if err := Link(p.Plugins, cni); err != nil {
		return err
	}
	for _, name := range KubePrograms {
		if err := os.Symlink("kube", filepath.Join(bin, name)); err != nil {
			return fmt.Errorf("naming Kubernetes' programs: %w", err)
		}
	}
	versions, err := os.ReadDir(modules)
	if err != nil || len(versions) != 1 {
		return fmt.Errorf("finding the kernel's version: %v, %w", versions, err)
	}
	return Run(exec.CommandContext(ctx, "chroot", root, "depmod", versions[0].Name()))
}

// importConfig keeps the plugins out that only serve a kubelet.
const importConfig = `version = 3
root = %q
state = %q
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime"]
[grpc]
  address = %q
`

// vmImages loads images with the root's own containerd, here, where it takes seconds.
func vmImages(ctx context.Context, dir, root string, archives []string) error {
	work, err := os.MkdirTemp("", "woven-vm-") // a socket's path must be short
	if err != nil {
		return fmt.Errorf("making a directory: %w", err)
	}
	defer os.RemoveAll(work)
	config, socket := filepath.Join(work, "config.toml"), filepath.Join(work, "sock")
	text := fmt.Sprintf(importConfig, filepath.Join(root, "var/lib/containerd"), filepath.Join(work, "state"), socket)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return fmt.Errorf("configuring containerd: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	bin := filepath.Join(root, "usr/local/bin")
	server := exec.CommandContext(ctx, filepath.Join(bin, "containerd"), "--config="+config)
	server.Cancel = func() error { return server.Process.Signal(os.Interrupt) } // it has to close its database
	log, err := os.Create(filepath.Join(dir, "import.log"))
	if err != nil {
		return fmt.Errorf("making a log: %w", err)
	}
	defer log.Close()
	server.Stderr = log
	if err := server.Start(); err != nil {
		return fmt.Errorf("starting containerd: %w", err)
	}
	defer func() {
		stop()
		_ = server.Wait() // it was interrupted
	}()
	ctr := func(args ...string) error {
		return Run(exec.CommandContext(ctx, filepath.Join(bin, "ctr"), append([]string{"--address=" + socket, "--namespace=k8s.io"}, args...)...))
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if err := ctr("version"); err == nil {
			break
		} else if time.Now().After(deadline) {
			return fmt.Errorf("containerd does not start: %w", err)
		}
	}
	for _, a := range archives {
		if err := ctr("image", "import", "--local", a); err != nil {
			return err
		}
	}
	return nil
}

// vmKernel puts what QEMU gives the machine beside its disk: the kernel, and the module that lets it see the disk.
func vmKernel(ctx context.Context, dir, kernel, root string) error {
	for pattern, name := range map[string]string{
		filepath.Join(kernel, "boot/vmlinuz-*"):                                      node.VMKernel,
		filepath.Join(root, "usr/lib/modules/*/kernel/drivers/block", node.VMModule): node.VMModule,
	} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) != 1 {
			return fmt.Errorf("finding %s: %v, %w", name, found, err)
		}
		if err := Run(exec.CommandContext(ctx, "cp", found[0], filepath.Join(dir, name))); err != nil {
			return err
		}
	}
	return nil
}

// vmAccel finds out how this machine runs others, once. That /dev/kvm is there says little on a machine that is a virtual
// one itself: a kernel that comes as far as to miss its root file system has come through what goes wrong then.
func vmAccel(ctx context.Context, dir, qemu string) error {
	accel := "tcg"
	if _, err := os.Stat("/dev/kvm"); err == nil {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		argv := append(node.BareQEMU(qemu, "kvm"), "-m", "256", "-kernel", filepath.Join(dir, node.VMKernel),
			"-append", "console=ttyS0 panic=-1", "-serial", "stdio")
		out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).Output()
		if err == nil && strings.Contains(string(out), "Unable to mount root fs") {
			accel = "kvm"
		}
	}
	return os.WriteFile(filepath.Join(dir, node.VMAccel), []byte(accel+"\n"), 0o644)
}
