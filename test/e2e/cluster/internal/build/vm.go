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
)

// VMPackages are what virtual machines need of this machine, as HostPackages.
var VMPackages = map[string]string{
	"/usr/bin/" + node.QEMU: "qemu-system-x86",
	"/usr/sbin/mke2fs":      "e2fsprogs",
}

// kernelPackage is Debian's kernel for virtual machines. It has what a machine of a provider might lack: openvswitch
// with Geneve, SCTP, netem and HTB, VLANs, WireGuard, VRFs, as modules.
const kernelPackage = "linux-image-cloud-amd64"

// vmDiskSize is what the machine sees. What it does not use takes no room here.
const vmDiskSize = "12G"

// Programs are the directories of the artefacts with the programs of a node.
type Programs struct{ NodeRoot, Kubernetes, Containerd, Runc, Plugins string }

// VM is what virtual machines are made of, under the names that package node knows: a kernel, and a disk with the root
// file system of the other nodes, the kernel's modules and the programs that those see mounted.
func VM(p Programs) Artefact {
	return Artefact{
		Name: "vm",
		// The directories' names are hashes of recipes: they stand for their content.
		Recipe: []string{"v1", Suite, kernelPackage, vmDiskSize, filepath.Base(p.NodeRoot), filepath.Base(p.Kubernetes),
			filepath.Base(p.Containerd), filepath.Base(p.Runc), filepath.Base(p.Plugins)},
		Slow: "making the disk of virtual machines, with Debian's kernel (about 1 minute)",
		Make: func(ctx context.Context, dir string) error {
			kernel, root := filepath.Join(dir, "kernel"), filepath.Join(dir, "root")
			if err := debian(ctx, kernel, "extract", []string{kernelPackage}); err != nil {
				return err
			}
			if err := vmRoot(ctx, root, kernel, p); err != nil {
				return err
			}
			if err := vmKernel(ctx, dir, kernel, root); err != nil {
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
func vmRoot(ctx context.Context, root, kernel string, p Programs) error {
	steps := [][]string{
		{"cp", "-al", filepath.Join(p.NodeRoot, "root"), root},
		{"mv", filepath.Join(kernel, "usr/lib/modules"), filepath.Join(root, "usr/lib/modules")},
		{"mkdir", "-p", filepath.Join(root, "mnt/cni"), filepath.Join(root, "usr/local/bin")},
	}
	for _, s := range steps {
		if err := Run(exec.CommandContext(ctx, s[0], s[1:]...)); err != nil {
			return err
		}
	}
	bin := filepath.Join(root, "usr/local/bin")
	for from, to := range map[string]string{p.Kubernetes: bin, p.Containerd: bin, p.Runc: bin, p.Plugins: filepath.Join(root, "mnt/cni")} {
		if err := Link(from, to); err != nil {
			return err
		}
	}
	for _, name := range KubePrograms {
		if err := os.Symlink("kube", filepath.Join(bin, name)); err != nil {
			return fmt.Errorf("naming Kubernetes' programs: %w", err)
		}
	}
	versions, err := os.ReadDir(filepath.Join(root, "usr/lib/modules"))
	if err != nil || len(versions) != 1 {
		return fmt.Errorf("finding the kernel's version: %v, %w", versions, err)
	}
	return Run(exec.CommandContext(ctx, "chroot", root, "depmod", versions[0].Name()))
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
	accel := "tcg"
	if kvmWorks(ctx, filepath.Join(dir, node.VMKernel)) {
		accel = "kvm"
	}
	return os.WriteFile(filepath.Join(dir, node.VMAccel), []byte(accel+"\n"), 0o644)
}

// kvmWorks says whether the kernel boots under KVM: that /dev/kvm is there says little on a machine that is a virtual
// one itself. A kernel that speaks at all has come through what goes wrong then.
func kvmWorks(ctx context.Context, kernel string) bool {
	if _, err := os.Stat("/dev/kvm"); err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	argv := append(node.BareQEMU("kvm"), "-m", "256", "-kernel", kernel, "-append", "console=ttyS0 panic=-1", "-serial", "stdio")
	// Without a root file system it panics, and QEMU ends.
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).Output()
	return err == nil && strings.Contains(string(out), "Kernel panic")
}
