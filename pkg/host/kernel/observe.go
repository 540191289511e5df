package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/woven-cni/woven/pkg/host/device"
)

// Observe reads the state that a wanted state speaks of.
func Observe(want State) (State, error) {
	have := State{Links: map[string]Link{}, Addresses: map[string][]netip.Prefix{}, Sysctls: map[string]string{}}
	for key := range want.Sysctls {
		value, exists, err := readSysctl(key)
		if err != nil {
			return have, err
		}
		if exists {
			have.Sysctls[key] = value
		}
	}
	if forwarding, exists := have.Sysctls[Forwarding6]; exists && forwarding != want.Sysctls[Forwarding6] {
		learning, err := learningLinks()
		if err != nil {
			return have, err
		}
		have.Learning = learning
	}
	names := map[int]string{}
	for name := range want.Links {
		link, err := netlink.LinkByName(name)
		if errors.As(err, &netlink.LinkNotFoundError{}) {
			continue
		}
		if err != nil {
			return have, fmt.Errorf("looking at link %s: %w", name, err)
		}
		attrs := link.Attrs()
		names[attrs.Index] = name
		offloaded, err := device.TxChecksum(name)
		have.Links[name] = Link{
			Index: attrs.Index, Up: attrs.Flags&net.FlagUp != 0, MTU: attrs.MTU, SoftChecksum: err == nil && !offloaded,
		}
		if have.Addresses[name], err = Addresses(link); err != nil {
			return have, err
		}
	}
	var err error
	if have.Routes, err = routes(names, true); err != nil {
		return have, err
	}
	have.Netfilter, err = observeNetfilter()
	return have, err
}

// Addresses lists a link's addresses but the link-local ones, which the kernel gives by itself.
func Addresses(link netlink.Link) ([]netip.Prefix, error) {
	list, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("listing addresses of %s: %w", link.Attrs().Name, err)
	}
	var out []netip.Prefix
	for _, address := range list {
		if p := prefixOf(address.IPNet); p.Addr().IsGlobalUnicast() {
			out = append(out, p)
		}
	}
	return out, nil
}

// Routes lists the routes of the main table that are ours or that lead over some links, but for those that the kernel
// makes by itself.
func Routes(names map[int]string) ([]Route, error) { return routes(names, false) }

func routes(names map[int]string, connected bool) ([]Route, error) {
	list, err := netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("listing routes: %w", err)
	}
	var out []Route
	for _, route := range list {
		name, known := names[route.LinkIndex]
		ours := route.Protocol == Protocol
		if !known && !ours || route.Protocol == unix.RTPROT_KERNEL && !connected || route.Dst == nil || route.Type != unix.RTN_UNICAST {
			continue
		}
		entry := Route{
			Dst: prefixOf(route.Dst), Gateway: addrOf(route.Gw), Link: name, Source: addrOf(route.Src),
			Metric: route.Priority, Protocol: int(route.Protocol),
		}
		if entry.Dst.Addr().Is6() && entry.Metric == defaultMetric6 {
			entry.Metric = 0
		}
		out = append(out, entry)
	}
	return out, nil
}

// defaultMetric6 is what the kernel gives an IPv6 route without a metric.
const defaultMetric6 = 1024

func prefixOf(n *net.IPNet) netip.Prefix {
	addr := addrOf(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(addr, bits)
}

func addrOf(ip net.IP) netip.Addr {
	addr, _ := netip.AddrFromSlice(ip)
	return addr.Unmap()
}

func ipNetOf(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

const sysctlRoot = "/proc/sys"

func readSysctl(key string) (value string, exists bool, err error) {
	text, err := os.ReadFile(filepath.Join(sysctlRoot, key))
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("reading sysctl %s: %w", key, err)
	}
	return strings.TrimSpace(string(text)), true, nil
}

func writeSysctl(key, value string) error {
	err := os.WriteFile(filepath.Join(sysctlRoot, key), []byte(value), 0o644)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // of a link that went away just now
	}
	if err != nil {
		return fmt.Errorf("setting sysctl %s: %w", key, err)
	}
	return nil
}
