// Command fetch unpacks Debian trixie's OVS 3.5 and OVN 25.03, with the libraries they need, into a directory of their
// own, where package ovstest finds them. Nothing is installed and no service starts; the binaries run with the unpacked
// loader, so any Debian machine will do. It needs apt-get and dpkg-deb.
//
//	go run ./pkg/ovs/ovstest/fetch .sandbox/ovs
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

const (
	suite  = "trixie"
	marker = ".complete"
)

var packages = []string{
	"openvswitch-common", "openvswitch-switch", "ovn-common", "ovn-central", "ovn-host",
	"libc6", "libssl3t64", "libunbound8", "libxdp1", "libbpf1", "libcap-ng0", "libnuma1", "libelf1t64", "zlib1g",
	"libevent-2.1-7t64", "libnettle8t64", "libhogweed6t64", "libgmp10", "libzstd1", "libnghttp2-14",
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: fetch DIRECTORY")
		os.Exit(2)
	}
	if err := fetch(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "fetch:", err)
		os.Exit(1)
	}
}

// fetch does nothing if an earlier run has come to its end.
func fetch(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, marker)); err == nil {
		return nil
	}
	work, err := os.MkdirTemp("", "ovs-fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work) //nolint:errcheck // a temporary directory
	if err := download(work); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	debs, err := filepath.Glob(filepath.Join(work, "*.deb"))
	if err != nil {
		return err
	}
	for _, deb := range debs {
		if err := run(work, "dpkg-deb", "-x", deb, dir); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, marker), nil, 0o644)
}

// download gets the packages with lists and a cache of our own, so that the machine's package sources do not matter.
func download(work string) error {
	mirror := os.Getenv("DEBIAN_MIRROR")
	if mirror == "" {
		mirror = "http://deb.debian.org/debian"
	}
	source := fmt.Sprintf("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n", mirror, suite)
	if err := os.WriteFile(filepath.Join(work, "sources.list"), []byte(source), 0o644); err != nil {
		return err
	}
	for _, d := range []string{"lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(work, d), 0o755); err != nil {
			return err
		}
	}
	options := []string{
		"-q", "-o", "Dir::Etc::sourcelist=" + work + "/sources.list", "-o", "Dir::Etc::sourceparts=-",
		"-o", "Dir::State::lists=" + work + "/lists", "-o", "Dir::Cache=" + work + "/cache",
		"-o", "APT::Sandbox::User=root",
	}
	if err := run(work, "apt-get", append(options, "update")...); err != nil {
		return err
	}
	return run(work, "apt-get", append(append(options, "download"), packages...)...)
}

func run(dir, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("running %s: %w\n%s", name, err, out)
	}
	return nil
}
