package fabric

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/spec"
)

// nodad spares an IPv6 address the second of duplicate detection; IPv4 ignores the flag.
const nodad = unix.IFA_F_NODAD

// Within runs a function in a named network namespace; the empty name is the machine's own.
func Within(name string, run func() error) error {
	if name == "" {
		return run()
	}
	runtime.LockOSThread()
	home, err := netns.Get()
	if err != nil {
		return fmt.Errorf("opening the current network namespace: %w", err)
	}
	defer home.Close()
	there, err := netns.GetFromName(name)
	if err != nil {
		return fmt.Errorf("opening network namespace %s: %w", name, err)
	}
	defer there.Close()
	if err := netns.Set(there); err != nil {
		return fmt.Errorf("entering network namespace %s: %w", name, err)
	}
	err = run()
	if back := netns.Set(home); back != nil {
		// The thread stays locked, so that Go throws it away with its wrong namespace.
		return errors.Join(err, fmt.Errorf("leaving network namespace %s: %w", name, back))
	}
	runtime.UnlockOSThread()
	return err
}

// createNamespace makes a named network namespace with its loopback up.
func createNamespace(name string) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := netns.Get()
	if err != nil {
		return fmt.Errorf("opening the current network namespace: %w", err)
	}
	defer home.Close()
	made, err := netns.NewNamed(name) // enters it as well
	if err != nil {
		return fmt.Errorf("making network namespace %s: %w", name, err)
	}
	made.Close()
	if err := netns.Set(home); err != nil {
		return fmt.Errorf("leaving network namespace %s: %w", name, err)
	}
	return Within(name, func() error { return address("lo", nil, 0) })
}

func openNamespace(name string) (netns.NsHandle, error) {
	if name == "" {
		return netns.Get()
	}
	h, err := netns.GetFromName(name)
	if err != nil {
		return h, fmt.Errorf("opening network namespace %s: %w", name, err)
	}
	return h, nil
}

// addBridge makes a bridge, on which the fabric has an address in the given prefixes.
func addBridge(name string, prefixes []netip.Prefix) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
		return fmt.Errorf("adding bridge %s: %w", name, err)
	}
	return address(name, prefixes, spec.FabricHost)
}

func joinBridge(name, bridge string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("finding %s: %w", name, err)
	}
	master, err := netlink.LinkByName(bridge)
	if err != nil {
		return fmt.Errorf("finding bridge %s: %w", bridge, err)
	}
	if err := netlink.LinkSetMaster(link, master); err != nil {
		return fmt.Errorf("putting %s on bridge %s: %w", name, bridge, err)
	}
	return netlink.LinkSetUp(link)
}

// sysctls sets kernel parameters ("net.ipv4.ip_forward=1") in the current network namespace. /proc/sys/net shows the
// namespace of the thread that opens it.
func sysctls(settings ...string) error {
	for _, s := range settings {
		key, value, _ := strings.Cut(s, "=")
		path := filepath.Join("/proc/sys", strings.ReplaceAll(key, ".", "/"))
		if err := os.WriteFile(path, []byte(value), 0o644); err != nil {
			return fmt.Errorf("setting %s: %w", s, err)
		}
	}
	return nil
}

// Machine sets what the machine itself must allow: more inotify instances than three kubelets use, and room for bursts
// in the packet sockets of the userspace datapath, whose default drops them.
func Machine() error {
	return sysctls(
		"fs.inotify.max_user_instances=8192",
		"fs.inotify.max_user_watches=1048576",
		"net.core.rmem_max=16777216",
		"net.core.rmem_default=8388608",
	)
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
