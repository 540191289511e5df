package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"go4.org/netipx"
	"golang.org/x/sys/unix"

	"github.com/woven-cni/woven/pkg/host/device"
)

// Seen is what the kernel has of links, addresses and routes, whoever made them.
type Seen struct {
	Devices []Device
	Routes  []Route // of the main table
}

// Device is a link that is there.
type Device struct {
	Name      string
	Index     int
	MTU       int
	MAC       net.HardwareAddr
	Up        bool
	Addresses []netip.Prefix // all but link-local ones, which the kernel gives by itself
}

// Device finds a link by its name; nil if there is none.
func (s Seen) Device(name string) *Device {
	i := slices.IndexFunc(s.Devices, func(d Device) bool { return d.Name == name })
	if i < 0 {
		return nil
	}
	return &s.Devices[i]
}

// RoutesOver are the routes over a link, but for those that the kernel makes by itself.
func (s Seen) RoutesOver(name string) []Route {
	var out []Route
	for _, r := range s.Routes {
		if r.Link == name && r.Protocol != unix.RTPROT_KERNEL {
			out = append(out, r)
		}
	}
	return out
}

// Dump reads links, addresses and routes, each in one dump of the kernel's.
func Dump() (Seen, error) {
	var seen Seen
	links, err := whole(netlink.LinkList)
	if err != nil {
		return seen, fmt.Errorf("listing links: %w", err)
	}
	addresses, err := whole(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return seen, fmt.Errorf("listing addresses: %w", err)
	}
	byLink := map[int][]netip.Prefix{}
	for _, address := range addresses {
		if p, _ := netipx.FromStdIPNet(address.IPNet); p.Addr().IsGlobalUnicast() {
			byLink[address.LinkIndex] = append(byLink[address.LinkIndex], p)
		}
	}
	names := map[int]string{}
	for _, link := range links {
		attrs := link.Attrs()
		names[attrs.Index] = attrs.Name
		seen.Devices = append(seen.Devices, Device{
			Name: attrs.Name, Index: attrs.Index, MTU: attrs.MTU, MAC: attrs.HardwareAddr,
			Up: attrs.Flags&net.FlagUp != 0, Addresses: byLink[attrs.Index],
		})
	}
	routes, err := whole(func() ([]netlink.Route, error) {
		return netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return seen, fmt.Errorf("listing routes: %w", err)
	}
	for _, route := range routes {
		if route.Dst != nil && route.Type == unix.RTN_UNICAST {
			seen.Routes = append(seen.Routes, routeOf(route, names))
		}
	}
	return seen, nil
}

// dumps is how often a dump is tried that changes of what it lists interrupt.
const dumps = 5

// whole repeats a dump that was interrupted: what it left out would pass for gone. On a node where links come and go without
// end, the last is taken as it is, and the events of those changes bring the next look.
func whole[T any](dump func() ([]T, error)) ([]T, error) {
	for range dumps {
		list, err := dump()
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			return list, err
		}
	}
	list, err := dump()
	if errors.Is(err, netlink.ErrDumpInterrupted) {
		err = nil
	}
	return list, err
}

func routeOf(route netlink.Route, names map[int]string) Route {
	out := Route{Link: names[route.LinkIndex], Metric: route.Priority, Protocol: int(route.Protocol)}
	out.Dst, _ = netipx.FromStdIPNet(route.Dst)
	out.Gateway, _ = netipx.FromStdIP(route.Gw)
	out.Source, _ = netipx.FromStdIP(route.Src)
	if out.Dst.Addr().Is6() && out.Metric == defaultMetric6 {
		out.Metric = 0
	}
	return out
}

// Observe reads the state that a wanted state speaks of.
func Observe(want State) (State, error) {
	seen, err := Dump()
	if err != nil {
		return State{}, err
	}
	return seen.Observe(want)
}

// Observe reads the rest of the state that a wanted state speaks of.
func (s Seen) Observe(want State) (State, error) {
	have := State{Links: map[string]Link{}, Addresses: map[string][]netip.Prefix{}}
	var err error
	if have.Sysctls, err = observeSysctls(want.Sysctls); err != nil {
		return have, err
	}
	if forwarding, exists := have.Sysctls[Forwarding6]; exists && forwarding != want.Sysctls[Forwarding6] {
		if have.Learning, err = learningLinks(); err != nil {
			return have, err
		}
	}
	for name := range want.Links {
		d := s.Device(name)
		if d == nil {
			continue
		}
		offloaded, err := device.TxChecksum(name)
		have.Links[name] = Link{Index: d.Index, Up: d.Up, MTU: d.MTU, SoftChecksum: err == nil && !offloaded}
		have.Addresses[name] = d.Addresses
	}
	for _, r := range s.Routes {
		if _, speaks := want.Links[r.Link]; speaks || r.Protocol == Protocol {
			have.Routes = append(have.Routes, r)
		}
	}
	have.Netfilter, err = observeNetfilter()
	return have, err
}

func observeSysctls(want map[string]string) (map[string]string, error) {
	have := map[string]string{}
	for key := range want {
		value, exists, err := readSysctl(key)
		if err != nil {
			return nil, err
		}
		if exists {
			have[key] = value
		}
	}
	return have, nil
}

// defaultMetric6 is what the kernel gives an IPv6 route without a metric.
const defaultMetric6 = 1024

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
