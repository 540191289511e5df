package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"go4.org/netipx"
	"golang.org/x/sys/unix"
)

// Spec is the interface that a pod is to have.
type Spec struct {
	Record    Record
	MAC       net.HardwareAddr
	MTU       int
	Addresses []netip.Prefix
	Routes    []Route
	// ChecksumInSoftware is for datapaths that cannot finish a checksum that the pod's kernel has only begun.
	ChecksumInSoftware bool
}

// Route is one route of a pod.
type Route struct {
	Dst     netip.Prefix
	Gateway netip.Addr
}

// ErrExists says that the container already has an interface of the name.
var ErrExists = errors.New("the interface already exists in the container")

// Create makes the veth, both ends with their final names: one on the host, one inside the namespace. Neither is up.
//
// Moving a link into a namespace takes an RCU grace period under the kernel's global lock, about 19 ms; one that is
// born there takes half a millisecond.
func (n *NetNS) Create(spec Spec) error {
	alias, err := spec.Record.alias()
	if err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = spec.Record.Attachment().HostName(), spec.MTU
	veth := &netlink.Veth{
		LinkAttrs: attrs, PeerName: spec.Record.IfName, PeerHardwareAddr: spec.MAC,
		PeerMTU: uint32(spec.MTU), PeerNamespace: netlink.NsFd(n.fd()),
	}
	err = netlink.LinkAdd(veth)
	if errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("%w: %s", ErrExists, spec.Record.IfName)
	}
	if err != nil {
		return fmt.Errorf("creating veth %s: %w", attrs.Name, err)
	}
	if err := prepareHostEnd(veth, alias); err != nil {
		return errors.Join(err, RemoveHostEnd(attrs.Name))
	}
	return nil
}

func prepareHostEnd(veth *netlink.Veth, alias string) error {
	if err := netlink.LinkSetAlias(veth, alias); err != nil {
		return fmt.Errorf("recording the attachment on %s: %w", veth.Name, err)
	}
	if err := withoutIPv6(veth.Name); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(veth); err != nil {
		return fmt.Errorf("setting %s up: %w", veth.Name, err)
	}
	return nil
}

// withoutIPv6 keeps the kernel from giving the host end an address and a multicast route, which nobody asked for. At a
// change of the node's routes ovs-vswitchd reads them again, and with its userspace tunnels datagrams between nodes were
// seen to be lost when pods came and went; without the route it became less, not nothing. Netlink cannot say it.
func withoutIPv6(link string) error {
	err := os.WriteFile(filepath.Join("/proc/sys/net/ipv6/conf", link, "disable_ipv6"), []byte("1"), 0)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // a kernel without IPv6 has no such file
		return fmt.Errorf("turning off IPv6 on %s: %w", link, err)
	}
	return nil
}

// Configure gives the interface inside the namespace its addresses and routes and sets it up.
func (n *NetNS) Configure(spec Spec) error {
	link, err := n.handle.LinkByName(spec.Record.IfName)
	if err != nil {
		return fmt.Errorf("finding %s in the container: %w", spec.Record.IfName, err)
	}
	if spec.ChecksumInSoftware {
		if err := n.txChecksumOff(spec.Record.IfName); err != nil {
			return err
		}
	}
	if err := n.handle.LinkSetUp(link); err != nil {
		return fmt.Errorf("setting %s up: %w", spec.Record.IfName, err)
	}
	if err := n.probeByMulticast(link.Attrs().Index); err != nil {
		return err
	}
	for _, address := range spec.Addresses {
		// OVN answers for the address and nobody else may use it: probing for a duplicate would only hold it back.
		addr := &netlink.Addr{IPNet: netipx.PrefixIPNet(address), Flags: unix.IFA_F_NODAD}
		if err := n.handle.AddrAdd(link, addr); err != nil {
			return fmt.Errorf("adding address %s: %w", address, err)
		}
	}
	for _, route := range spec.Routes {
		if err := n.handle.RouteAdd(route.netlink(link.Attrs().Index)); err != nil {
			return fmt.Errorf("adding route %s via %s: %w", route.Dst, route.Gateway, err)
		}
	}
	return nil
}

func (r Route) netlink(index int) *netlink.Route {
	return &netlink.Route{LinkIndex: index, Dst: netipx.PrefixIPNet(r.Dst), Gw: r.Gateway.AsSlice()}
}

// Link is the interface as it is.
type Link struct {
	MAC       net.HardwareAddr
	MTU       int
	Up        bool
	Addresses []netip.Prefix
	Routes    []Route
}

// Observe reads an interface inside the namespace, or returns nil if there is none.
func (n *NetNS) Observe(ifname string) (*Link, error) {
	link, err := n.handle.LinkByName(ifname)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("finding %s in the container: %w", ifname, err)
	}
	attrs := link.Attrs()
	out := &Link{MAC: attrs.HardwareAddr, MTU: attrs.MTU, Up: attrs.Flags&net.FlagUp != 0}
	addresses, err := n.handle.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("listing addresses of %s: %w", ifname, err)
	}
	for _, address := range addresses {
		p, _ := netipx.FromStdIPNet(address.IPNet)
		out.Addresses = append(out.Addresses, p)
	}
	routes, err := n.handle.RouteList(link, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("listing routes of %s: %w", ifname, err)
	}
	for _, route := range routes {
		var r Route
		if route.Dst != nil {
			r.Dst, _ = netipx.FromStdIPNet(route.Dst)
		}
		r.Gateway, _ = netipx.FromStdIP(route.Gw)
		out.Routes = append(out.Routes, r)
	}
	return out, nil
}
