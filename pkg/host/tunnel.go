package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/woven-cni/woven/pkg/host/kernel"
	"github.com/woven-cni/woven/pkg/host/vsdb"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/engine"
	"github.com/woven-cni/woven/pkg/ovs/vswitch"
)

// tunnel is where the node's tunnels end.
type tunnel struct {
	nic     string
	address netip.Addr
	mtu     int
	// bridge is the bridge that took over the interface's addresses, on the userspace datapath.
	bridge string
	saved  saved
}

// saved is what an interface had before a bridge took it over. It is kept in the bridge's row: vswitchd makes the
// bridge's device anew when it starts, empty, and a node must not lose its address over that, nor over a daemon that
// died in the middle of the move.
type saved struct {
	Addresses []netip.Prefix `json:"addresses"`
	Routes    []kernel.Route `json:"routes,omitempty"`
}

func (s saved) routesOver(link string) []kernel.Route {
	out := slices.Clone(s.Routes)
	for i := range out {
		out[i].Link = link
	}
	return out
}

const (
	bridgePrefix = "br-"
	keySaved     = "woven-saved"
	keyNIC       = "woven-nic"
)

func bridgeName(nic string) string {
	name := bridgePrefix + nic
	return name[:min(len(name), unix.IFNAMSIZ-1)]
}

func isTunnelBridge(name string) bool {
	return strings.HasPrefix(name, bridgePrefix) && name != IntegrationBridge
}

// tunnelNIC finds the interface that carries tunnels: the one that the node's annotation or the flag names, or the one
// that has the node's address. A bridge of ours that has the address stands for the interface in it.
func (h *Host) tunnelNIC(node Node) (string, error) {
	links, err := netlink.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return "", fmt.Errorf("listing links: %w", err)
	}
	names := make([]string, 0, len(links))
	for _, link := range links {
		names = append(names, link.Attrs().Name)
	}
	for _, choice := range []string{node.TunnelInterface, h.config.Interface} {
		if choice == "" {
			continue
		}
		name, err := chooseLink(choice, names)
		if err != nil {
			return "", err
		}
		if name == "" {
			return "", waitingFor("an interface that matches %q", choice)
		}
		return name, nil
	}
	for _, link := range links {
		have, err := kernel.Addresses(link)
		if err != nil {
			return "", err
		}
		if !slices.ContainsFunc(have, func(p netip.Prefix) bool { return p.Addr() == node.InternalIPs[0] }) {
			continue
		}
		if bridge := h.db.Bridge(link.Attrs().Name); bridge != nil && bridge.ExternalIDs[keyNIC] != "" {
			return bridge.ExternalIDs[keyNIC], nil
		}
		return link.Attrs().Name, nil
	}
	return "", waitingFor("an interface that has the node's address %s", node.InternalIPs[0])
}

// chooseLink takes the first link that one of several comma-separated names or regular expressions matches.
func chooseLink(choice string, names []string) (string, error) {
	for _, pattern := range list(choice) {
		if slices.Contains(names, pattern) {
			return pattern, nil
		}
		re, err := regexp.Compile("^(?:" + pattern + ")$")
		if err != nil {
			return "", fmt.Errorf("reading the choice of tunnel interface %q: %w", choice, err)
		}
		if i := slices.IndexFunc(names, re.MatchString); i >= 0 {
			return names[i], nil
		}
	}
	return "", nil
}

// tunnel finds the tunnel's end, and for the userspace datapath first makes the bridge that has it.
func (h *Host) tunnel(ctx context.Context, root *vswitch.OpenvSwitch, nic string) (tunnel, error) {
	link, err := netlink.LinkByName(nic)
	if err != nil {
		return tunnel{}, fmt.Errorf("looking at tunnel interface %s: %w", nic, err)
	}
	onNIC, err := kernel.Addresses(link)
	if err != nil {
		return tunnel{}, err
	}
	t := tunnel{nic: nic, mtu: link.Attrs().MTU}
	if !h.config.Userspace {
		t.address, err = encapAddress(nic, onNIC)
		return t, err
	}
	t.bridge = bridgeName(nic)
	bridge := h.db.Bridge(t.bridge)
	if bridge != nil {
		_ = json.Unmarshal([]byte(bridge.ExternalIDs[keySaved]), &t.saved) // what is not there was not saved
	}
	// An interface that has addresses beside those that were saved was configured anew.
	if slices.ContainsFunc(onNIC, func(p netip.Prefix) bool { return !slices.Contains(t.saved.Addresses, p) }) {
		over, err := kernel.Routes(map[int]string{link.Attrs().Index: nic})
		if err != nil {
			return t, err
		}
		t.saved = saved{Addresses: onNIC, Routes: slices.DeleteFunc(over, func(r kernel.Route) bool { return r.Link != nic })}
	}
	if t.address, err = encapAddress(nic, t.saved.Addresses); err != nil {
		return t, err
	}
	if err := h.saveOnBridge(ctx, root, link, t); err != nil {
		return t, err
	}
	return t, moveAddresses(link, onNIC, t)
}

// retireBridges gives back what bridges have that are no longer the tunnel's: another interface was chosen, or another
// datapath.
func (h *Host) retireBridges(ctx context.Context, root *vswitch.OpenvSwitch, nic string) error {
	for _, bridge := range h.db.Bridges() {
		old := bridge.ExternalIDs[keyNIC]
		if old == "" || old == nic && h.config.Userspace {
			continue
		}
		var had saved
		if err := json.Unmarshal([]byte(bridge.ExternalIDs[keySaved]), &had); err != nil {
			return fmt.Errorf("reading what bridge %s had saved: %w", bridge.Name, err)
		}
		back := kernel.Plan{Links: map[string]kernel.Link{old: {Up: true}}, RoutesAdd: had.routesOver(old)}
		for _, address := range had.Addresses {
			back.AddressesAdd = append(back.AddressesAdd, kernel.LinkAddress{Link: old, Address: address})
		}
		h.log.Info("giving back a tunnel bridge's addresses", "bridge", bridge.Name, "interface", old)
		if err := kernel.Apply(back); err != nil {
			return fmt.Errorf("giving back what bridge %s had: %w", bridge.Name, err)
		}
		if err := h.deleteBridge(ctx, root, bridge, old); err != nil {
			return err
		}
	}
	return nil
}

// encapAddress prefers IPv4, as the overhead is smaller.
func encapAddress(nic string, addresses []netip.Prefix) (netip.Addr, error) {
	for _, want4 := range []bool{true, false} {
		for _, address := range addresses {
			if address.Addr().Is4() == want4 {
				return address.Addr(), nil
			}
		}
	}
	return netip.Addr{}, waitingFor("tunnel interface %s to have an address", nic)
}

// saveOnBridge makes the bridge, or brings what it remembers up to date.
func (h *Host) saveOnBridge(ctx context.Context, root *vswitch.OpenvSwitch, nic netlink.Link, t tunnel) error {
	text, err := json.Marshal(t.saved)
	if err != nil {
		return fmt.Errorf("encoding what %s has: %w", nic.Attrs().Name, err)
	}
	bridge := &vswitch.Bridge{
		Name: t.bridge, DatapathType: h.datapathType(),
		ExternalIDs: map[string]string{keySaved: string(text), keyNIC: nic.Attrs().Name, "vendor": vsdb.Vendor},
		// The neighbours know the address by this MAC.
		OtherConfig: map[string]string{"hwaddr": nic.Attrs().HardwareAddr.String()},
	}
	return h.db.Apply(ctx, bridgeOwner(t.bridge), h.bridgeRows(root, bridge, nic.Attrs().Name))
}

func bridgeOwner(bridge string) ovs.Owner { return ownerOf("bridge/" + bridge) }

// bridgeRows are a bridge with its own internal port and one device.
func (h *Host) bridgeRows(root *vswitch.OpenvSwitch, bridge *vswitch.Bridge, device string) ovs.Desired {
	sym := ovs.Sym("host/bridge/" + bridge.Name)
	if have := h.db.Bridge(bridge.Name); have != nil {
		sym = vsdb.SymOf(have.ExternalIDs, have.UUID, sym)
	}
	var want ovs.Desired
	want.Add(sym, bridge).In(ovs.NodeBridges.Of(ovs.FoundRow(root.UUID)))
	ours := map[string]string{"vendor": vsdb.Vendor}
	h.addPort(&want, &vswitch.Interface{Name: bridge.Name, Type: "internal", ExternalIDs: ours}, sym)
	h.addPort(&want, &vswitch.Interface{Name: device, ExternalIDs: ours}, sym)
	return want
}

// deleteBridge deletes a bridge with its ports. One that was made before rows said whose they are first says so.
func (h *Host) deleteBridge(ctx context.Context, root *vswitch.OpenvSwitch, bridge *vswitch.Bridge, device string) error {
	owner, _, owned := engine.OwnerOf(bridge.ExternalIDs)
	if !owned {
		owner = bridgeOwner(bridge.Name)
		same := &vswitch.Bridge{
			Name: bridge.Name, DatapathType: bridge.DatapathType, OtherConfig: bridge.OtherConfig,
			ExternalIDs: map[string]string{"vendor": vsdb.Vendor},
		}
		if err := h.db.Apply(ctx, owner, h.bridgeRows(root, same, device)); err != nil {
			return err
		}
	}
	return h.db.Apply(ctx, owner, ovs.Desired{})
}

// moveAddresses takes the addresses that were saved off the interface as soon as the bridge's device is there. The
// device gets them before, so that the node is never without.
func moveAddresses(nic netlink.Link, onNIC []netip.Prefix, t tunnel) error {
	bridge, err := netlink.LinkByName(t.bridge)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return waitingFor("vswitchd to make %s", t.bridge)
	}
	if err != nil {
		return fmt.Errorf("looking at tunnel bridge %s: %w", t.bridge, err)
	}
	if err := netlink.LinkSetUp(nic); err != nil {
		return fmt.Errorf("setting %s up: %w", nic.Attrs().Name, err)
	}
	if len(onNIC) == 0 {
		return nil
	}
	plan := kernel.Plan{Links: map[string]kernel.Link{t.bridge: {Up: true}}}
	for _, address := range t.saved.Addresses {
		plan.AddressesAdd = append(plan.AddressesAdd, kernel.LinkAddress{Link: bridge.Attrs().Name, Address: address})
	}
	for _, address := range onNIC {
		plan.AddressesDelete = append(plan.AddressesDelete, kernel.LinkAddress{Link: nic.Attrs().Name, Address: address})
	}
	plan.RoutesAdd = t.saved.routesOver(t.bridge)
	return kernel.Apply(plan)
}

// linkUp checks what the kernel says in the end.
func linkUp(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return waitingFor("link %s", name)
	}
	if link.Attrs().Flags&net.FlagUp == 0 {
		return fmt.Errorf("link %s is down", name)
	}
	return nil
}
