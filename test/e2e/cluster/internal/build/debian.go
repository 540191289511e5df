package build

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/spec"
)

// Mirror is where Debian packages come from.
func Mirror() string {
	if m := os.Getenv("DEBIAN_MIRROR"); m != "" {
		return m
	}
	return "http://deb.debian.org/debian"
}

// nodePackages are the tools of a node, which are at the same time those that Kubernetes' own tests expect in the image
// agnhost: the node's root and the image's first layer are one file.
var nodePackages = []string{
	"ca-certificates", "curl", "wget", "dnsutils", "netcat-openbsd", "iproute2", "iperf3", "iperf",
	"busybox-static", "nginx-light", "ethtool", "procps", "iputils-ping", "iptables", "nftables", "tcpdump", "conntrack",
	"socat", "bash", "python3-minimal", "mount", "kmod", "libseccomp2",
}

// lean leaves out what no program reads.
var lean = []string{
	"--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
	"--dpkgopt=path-exclude=/usr/share/locale/*",
}

// NodeRoot is a Debian root file system with the tools of a node: root.tar, and unpacked in root.
func NodeRoot() Artefact {
	return Artefact{
		Name:   "node-root",
		Recipe: append([]string{spec.Suite, "minbase"}, append(nodePackages, lean...)...),
		Slow:   "installing Debian " + spec.Suite + " with the tools of a node (about 2 minutes)",
		Make: func(ctx context.Context, dir string) error {
			tar := filepath.Join(dir, "root.tar")
			if err := debian(ctx, spec.Suite, tar, "minbase", nodePackages); err != nil {
				return err
			}
			root := filepath.Join(dir, "root")
			if err := os.Mkdir(root, 0o755); err != nil {
				return fmt.Errorf("making the root: %w", err)
			}
			// Device files are the machine's: nodes see its /dev.
			return Run(exec.CommandContext(ctx, "tar", "-C", root, "--numeric-owner", "--exclude=./dev/*", "-xf", tar))
		},
	}
}

// DebianBase is Debian as the images' Dockerfiles start from it, root.tar.
func DebianBase() Artefact {
	return Artefact{
		Name:   "debian-base",
		Recipe: append([]string{spec.Suite, "minbase"}, lean...),
		Slow:   "installing Debian " + spec.Suite + " as the base of images (about 1 minute)",
		Make: func(ctx context.Context, dir string) error {
			return debian(ctx, spec.Suite, filepath.Join(dir, "root.tar"), "minbase", []string{"ca-certificates"})
		},
	}
}

// debian runs mmdebstrap, which takes what starts with a dash for an option, wherever it stands, and what follows the
// mirror for further sources.
func debian(ctx context.Context, suite, target, variant string, packages []string, more ...string) error {
	args := append([]string{"--variant=" + variant, "--include=" + strings.Join(packages, ",")}, lean...)
	return Run(exec.CommandContext(ctx, "mmdebstrap", slices.Concat(args, []string{suite, target, Mirror()}, more)...))
}

const wrapper = `#!/bin/sh
here=$(dirname "$(readlink -f "$0")")/../root
lib=$here/usr/lib/x86_64-linux-gnu
exec "$lib/ld-linux-x86-64.so.2" --library-path "$lib" "$here/%s" "$@"
`

// wrap writes a wrapper for each of the programs that patterns match in a root.
func wrap(dir, root string, patterns ...string) error {
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		return fmt.Errorf("making the directory of wrappers: %w", err)
	}
	for _, pattern := range patterns {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			return fmt.Errorf("listing programs: %w", err)
		}
		for _, p := range paths {
			if !elf(p) {
				continue
			}
			inRoot, err := filepath.Rel(root, p)
			if err != nil {
				return fmt.Errorf("naming %s: %w", p, err)
			}
			script := fmt.Sprintf(wrapper, inRoot)
			if err := os.WriteFile(filepath.Join(bin, filepath.Base(p)), []byte(script), 0o755); err != nil {
				return fmt.Errorf("writing a wrapper: %w", err)
			}
		}
	}
	return nil
}

// elf says whether a file is a compiled program: OVN also ships scripts.
func elf(path string) bool {
	b, err := os.ReadFile(path)
	return err == nil && strings.HasPrefix(string(b), "\x7fELF")
}

// HostPackages are what this machine needs beside Go for the cluster and for the tests, by the file that shows that it is
// there.
var HostPackages = map[string]string{
	"/usr/bin/mmdebstrap":                "mmdebstrap",
	"/usr/sbin/mke2fs":                   "e2fsprogs",
	"/usr/bin/buildah":                   "buildah",
	"/usr/bin/gcc":                       "gcc",
	"/usr/bin/pkg-config":                "pkg-config",
	"/usr/include/seccomp.h":             "libseccomp-dev",
	"/usr/include/stdlib.h":              "libc6-dev",
	"/etc/ssl/certs/ca-certificates.crt": "ca-certificates",
	"/usr/bin/ip":                        "iproute2",
	"/usr/bin/ping":                      "iputils-ping",
	"/usr/sbin/nft":                      "nftables",
	"/usr/bin/cpio":                      "cpio",
}

// InstallHostPackages installs what is missing of them with apt.
func InstallHostPackages(ctx context.Context, say func(string, ...any)) error {
	var missing []string
	for file, pkg := range HostPackages {
		if _, err := os.Stat(file); err != nil {
			missing = append(missing, pkg)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	say("installing with apt-get: %s", strings.Join(missing, " "))
	for _, args := range [][]string{{"update"}, append([]string{"install", "-y", "--no-install-recommends"}, missing...)} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if err := Run(cmd); err != nil {
			return err
		}
	}
	return nil
}
