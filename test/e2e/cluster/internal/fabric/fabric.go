// Package fabric is the wire between the machines of the cluster: a network namespace with two bridges, which also
// routes to a test host outside, and for every node its end of the cables: a network namespace, or two taps for a
// virtual machine, which has its end inside.
//
//	this machine            woven-fabric                        woven-nodeN
//	woven0 172.31.0.254 --- br-mgmt 172.31.0.0/24 (.253 routes) --- eth0 172.31.0.N
//	                        br-tun  172.30.0.0/24               --- eth1 172.30.0.N
//	                           |           virtual machine M: mM --- eth0 172.31.0.M
//	                           |                              tM --- eth1 172.30.0.M
//	                        out0 172.29.0.253
//	                           |
//	                        woven-outside: eth0 172.29.0.1, which has no route to pods
package fabric

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/spec"
)

// Names of what the fabric puts into the machine. They are fixed, so that any checkout can clear away what another
// checkout's cluster left.
const (
	MachineLink = "woven0"
	NS          = "woven-fabric" // the fabric itself
	OutsideNS   = "woven-outside"

	namespaceDir = "/run/netns"
)

// ours tells the namespaces of a cluster from those of anybody else.
var ours = regexp.MustCompile(`^woven-(fabric|outside|node[0-9]+)$`)

// NodeNS is the name of a node's network namespace.
func NodeNS(node string) string { return "woven-" + node }

// NamespacePath is where a named network namespace can be opened.
func NamespacePath(name string) string { return filepath.Join(namespaceDir, name) }

// cable goes from a bridge or the router of the fabric to another namespace, as a veth pair, or to a virtual machine, as
// a tap that is the machine's network card outside.
type cable struct {
	farNS  string // the namespace at the other end; "" is the machine's own
	vm     bool   // the other end is in a virtual machine
	far    string // the interface there
	near   string // the interface in the fabric
	bridge string // the bridge that near joins; "" when the fabric routes on it
	net    spec.Net
	host   int // the far end's host number
}

// Up builds the fabric for a cluster.
func Up(c spec.Cluster) error {
	for _, name := range namespaces(c) {
		if err := createNamespace(name); err != nil {
			return err
		}
	}
	err := Within(NS, func() error {
		if err := sysctls("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"); err != nil {
			return err
		}
		if err := addBridge("br-mgmt", c.Prefixes(spec.Management)); err != nil {
			return err
		}
		return addBridge("br-tun", nil)
	})
	if err != nil {
		return fmt.Errorf("building the bridges: %w", err)
	}
	for _, cb := range cables(c) {
		layOne := lay
		if cb.vm {
			layOne = layTap
		}
		if err := layOne(c, cb); err != nil {
			return fmt.Errorf("laying the cable from %s to %s: %w", cb.near, cb.far, err)
		}
	}
	if err := routes(c); err != nil {
		return err
	}
	return internet(c)
}

func namespaces(c spec.Cluster) []string {
	names := []string{NS, OutsideNS}
	for i := 1; i <= c.Nodes; i++ {
		names = append(names, NodeNS(spec.NodeName(i)))
	}
	return names
}

func cables(c spec.Cluster) []cable {
	all := []cable{
		{far: MachineLink, near: "machine", bridge: "br-mgmt", net: spec.Management, host: spec.MachineHost},
		{farNS: OutsideNS, far: "eth0", near: "out0", net: spec.Outside, host: spec.OutsideHost},
	}
	for i := 1; i <= c.All(); i++ {
		all = append(all, nodeCables(c, i)...)
	}
	return all
}

// nodeCables are the two that every node has, first the one of the management network.
func nodeCables(c spec.Cluster, i int) []cable {
	ns, vm, taps := NodeNS(spec.NodeName(i)), c.VM(i), Taps(i)
	return []cable{
		{ns, vm, "eth0", taps[0], "br-mgmt", spec.Management, i},
		{ns, vm, "eth1", taps[1], "br-tun", spec.Tunnel, i},
	}
}

// Taps are the names in the fabric of a node's two interfaces, first the one of the management network.
func Taps(i int) [2]string { return [2]string{"m" + strconv.Itoa(i), "t" + strconv.Itoa(i)} }

// layTap makes the near end; a virtual machine brings the far end with it.
func layTap(_ spec.Cluster, cb cable) error {
	return Within(NS, func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = cb.near
		tap := &netlink.Tuntap{LinkAttrs: attrs, Mode: netlink.TUNTAP_MODE_TAP, Flags: netlink.TUNTAP_NO_PI | netlink.TUNTAP_VNET_HDR}
		if err := netlink.LinkAdd(tap); err != nil {
			return fmt.Errorf("adding the tap: %w", err)
		}
		return joinBridge(cb.near, cb.bridge)
	})
}

// Guest sets up the network of a virtual machine, from within, as Up does that of a namespace.
func Guest(c spec.Cluster, i int) error {
	if err := sysctls(nodeSysctls...); err != nil {
		return err
	}
	if err := address("lo", nil, 0); err != nil {
		return err
	}
	for _, cb := range nodeCables(c, i) {
		if err := address(cb.far, c.Prefixes(cb.net), cb.host); err != nil {
			return err
		}
	}
	return routeVia(c, nil, spec.Management)
}

// lay makes the veth pair inside the fabric and sends its far end to where it belongs.
func lay(c spec.Cluster, cb cable) error {
	target, err := openNamespace(cb.farNS)
	if err != nil {
		return err
	}
	defer target.Close()
	err = Within(NS, func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = cb.near
		if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: cb.far, PeerNamespace: netlink.NsFd(int(target))}); err != nil {
			return fmt.Errorf("adding the veth pair: %w", err)
		}
		if cb.bridge == "" {
			return address(cb.near, c.Prefixes(cb.net), spec.FabricHost)
		}
		return joinBridge(cb.near, cb.bridge)
	})
	if err != nil {
		return err
	}
	return Within(cb.farNS, func() error {
		if cb.farNS != "" {
			if err := sysctls(nodeSysctls...); err != nil {
				return err
			}
		}
		return address(cb.far, c.Prefixes(cb.net), cb.host)
	})
}

// nodeSysctls make a namespace behave as a Kubernetes node: it forwards, and an address can be used at once.
var nodeSysctls = []string{
	"net.ipv4.ip_forward=1",
	"net.ipv6.conf.all.forwarding=1",
	"net.ipv6.conf.all.accept_dad=0",
	"net.ipv6.conf.default.accept_dad=0",
	"net.ipv4.conf.all.rp_filter=0",
	"net.ipv4.conf.default.rp_filter=0",
}

// routes makes the fabric the default gateway of the nodes and of the test host, and lets this machine reach the test
// host. The fabric itself has no route to pods: what leaves a node unmasqueraded never finds its way back.
func routes(c spec.Cluster) error {
	for _, name := range namespaces(c)[1:] {
		via := spec.Management
		if name == OutsideNS {
			via = spec.Outside
		}
		err := Within(name, func() error { return routeVia(c, nil, via) })
		if err != nil {
			return fmt.Errorf("routing in %s: %w", name, err)
		}
	}
	if err := routeVia(c, &spec.Outside, spec.Management); err != nil {
		return fmt.Errorf("routing to the test host: %w", err)
	}
	return nil
}

// internet makes the test host answer at the addresses that stand in for the Internet, behind one more hop as a host of
// the Internet is.
func internet(c spec.Cluster) error {
	err := Within(OutsideNS, func() error {
		for _, p := range c.Prefixes(spec.Internet) {
			if err := assign("lo", p); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("standing in for the Internet: %w", err)
	}
	return Within(NS, func() error {
		for i, gw := range c.Addrs(spec.Outside, spec.OutsideHost) {
			to := c.Prefixes(spec.Internet)[i]
			if err := netlink.RouteReplace(&netlink.Route{Dst: ipNet(to), Gw: gw.AsSlice()}); err != nil {
				return fmt.Errorf("routing to the stand-in for the Internet: %w", err)
			}
		}
		return nil
	})
}

// routeVia adds routes to a network (nil: to everything) by way of the fabric's address on another.
func routeVia(c spec.Cluster, to *spec.Net, via spec.Net) error {
	gateways := c.Addrs(via, spec.FabricHost)
	for i, gw := range gateways {
		r := &netlink.Route{Gw: gw.AsSlice()}
		if to != nil {
			r.Dst = ipNet(c.Prefixes(*to)[i])
		}
		if err := netlink.RouteReplace(r); err != nil {
			return fmt.Errorf("adding a route by %s: %w", gw, err)
		}
	}
	return nil
}

// Down removes the fabric of any checkout's cluster. It succeeds on what is already gone.
func Down() error {
	var errs []error
	for _, name := range livingNamespaces() {
		if err := netns.DeleteNamed(name); err != nil {
			errs = append(errs, fmt.Errorf("deleting network namespace %s: %w", name, err))
		}
	}
	link, err := netlink.LinkByName(MachineLink)
	if err == nil {
		// The kernel removes it by itself, a little after the fabric's namespace; who loses this race has won.
		if err := netlink.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
			errs = append(errs, fmt.Errorf("deleting link %s: %w", MachineLink, err))
		}
	}
	return errors.Join(errs...)
}

// Remains lists what is left of a fabric on this machine.
func Remains() []string {
	var left []string
	for _, name := range livingNamespaces() {
		left = append(left, "network namespace "+name)
	}
	if _, err := netlink.LinkByName(MachineLink); err == nil {
		left = append(left, "link "+MachineLink)
	}
	return left
}

func livingNamespaces() []string {
	entries, _ := os.ReadDir(namespaceDir) // not there: nobody has a named namespace
	var names []string
	for _, e := range entries {
		if ours.MatchString(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names
}

// address sets the addresses of an interface and brings it up.
func address(name string, prefixes []netip.Prefix, host int) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("finding %s: %w", name, err)
	}
	for _, p := range prefixes {
		if err := assign(name, netip.PrefixFrom(spec.Host(p, host), p.Bits())); err != nil {
			return err
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("bringing %s up: %w", name, err)
	}
	return nil
}

// assign adds an address to an interface.
func assign(name string, ip netip.Prefix) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("finding %s: %w", name, err)
	}
	if err := netlink.AddrReplace(link, &netlink.Addr{IPNet: ipNet(ip), Flags: nodad}); err != nil {
		return fmt.Errorf("adding %s to %s: %w", ip, name, err)
	}
	return nil
}
