package host

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/woven-cni/woven/pkg/host/kernel"
	"github.com/woven-cni/woven/pkg/host/vsdb"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/engine"
	"github.com/woven-cni/woven/pkg/ovs/vswitch"
)

// ReasonTunnelInterface is a choice of tunnel interface that names none.
const ReasonTunnelInterface = "TunnelInterfaceUnknown"

// tunnel is where the node's tunnels end.
type tunnel struct {
	nic     kernel.Device
	address netip.Addr
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

// savedOn is what a bridge's row remembers, which is nothing for a row that is not there.
func savedOn(bridge *vswitch.Bridge) (s saved) {
	if bridge != nil {
		_ = json.Unmarshal([]byte(bridge.ExternalIDs[keySaved]), &s)
	}
	return s
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
	return strings.HasPrefix(name, bridgePrefix) && name != vsdb.IntegrationBridge
}

// translateTunnel wants, on the userspace datapath, a bridge that has the tunnel interface and its addresses; and that bridges
// which are no longer the tunnel's give back what they have: another interface was chosen, or another datapath.
func translateTunnel(in Input) (Desired, []Problem) {
	var want Desired
	for _, name := range slices.Sorted(maps.Keys(in.Switch.Bridges)) {
		if nic := in.Switch.Bridges[name].ExternalIDs[keyNIC]; nic != "" {
			want.Kernel.TakenOver = append(want.Kernel.TakenOver, nic)
		}
	}
	t, problem := findTunnel(in)
	if problem != nil {
		return want, []Problem{*problem}
	}
	for _, name := range slices.Sorted(maps.Keys(in.Switch.Bridges)) {
		bridge := in.Switch.Bridges[name]
		if nic := bridge.ExternalIDs[keyNIC]; nic != "" && name != t.bridge {
			want.add(giveBack(in, bridge))
		}
	}
	if t.bridge == "" {
		return want, nil
	}
	moved, problem := t.takeOver(in)
	want.add(moved)
	if problem != nil {
		return want, []Problem{*problem}
	}
	return want, nil
}

func (d *Desired) add(other Desired) {
	d.Rows = append(d.Rows, other.Rows...)
	d.Kernel.Merge(other.Kernel)
}

// findTunnel finds the tunnel's end.
func findTunnel(in Input) (tunnel, *Problem) {
	nic, problem := tunnelNIC(in)
	if problem != nil {
		return tunnel{}, problem
	}
	t, addresses := tunnel{nic: *nic}, nic.Addresses
	if in.Config.Userspace {
		t.bridge = bridgeName(nic.Name)
		t.saved = savedOn(in.Switch.Bridges[t.bridge])
		// An interface that has addresses beside those that were saved was configured anew.
		if slices.ContainsFunc(addresses, func(p netip.Prefix) bool { return !slices.Contains(t.saved.Addresses, p) }) {
			t.saved = saved{Addresses: addresses, Routes: in.Seen.RoutesOver(nic.Name)}
		}
		addresses = t.saved.Addresses
	}
	t.address, problem = encapAddress(nic.Name, addresses)
	return t, problem
}

// tunnelNIC finds the interface that carries tunnels: the one that the node's annotation or the flag names, or the one
// that has the node's address. A bridge of ours that has the address stands for the interface in it.
func tunnelNIC(in Input) (*kernel.Device, *Problem) {
	if len(in.Node.InternalIPs) == 0 {
		p := waitingFor("the Node object to have an address")
		return nil, &p
	}
	for _, choice := range []string{in.Node.TunnelInterface, in.Config.Interface} {
		if choice == "" {
			continue
		}
		nic, err := chooseLink(choice, in.Seen.Devices)
		if err == nil && nic == nil {
			err = fmt.Errorf("waiting for an interface that matches %q", choice)
		}
		if err != nil {
			return nil, &Problem{Reason: ReasonTunnelInterface, Message: err.Error()}
		}
		return nic, nil
	}
	address := in.Node.InternalIPs[0]
	for i := range in.Seen.Devices {
		nic := &in.Seen.Devices[i]
		if !slices.ContainsFunc(nic.Addresses, func(p netip.Prefix) bool { return p.Addr() == address }) {
			continue
		}
		if bridge := in.Switch.Bridges[nic.Name]; bridge != nil && bridge.ExternalIDs[keyNIC] != "" {
			nic = in.Seen.Device(bridge.ExternalIDs[keyNIC])
		}
		if nic != nil {
			return nic, nil
		}
	}
	p := waitingFor("an interface that has the node's address %s", address)
	return nil, &p
}

// chooseLink takes the first link that one of several comma-separated names or regular expressions matches.
func chooseLink(choice string, links []kernel.Device) (*kernel.Device, error) {
	for _, pattern := range list(choice) {
		if i := slices.IndexFunc(links, func(d kernel.Device) bool { return d.Name == pattern }); i >= 0 {
			return &links[i], nil
		}
		re, err := regexp.Compile("^(?:" + pattern + ")$")
		if err != nil {
			return nil, fmt.Errorf("reading the choice of tunnel interface %q: %w", choice, err)
		}
		if i := slices.IndexFunc(links, func(d kernel.Device) bool { return re.MatchString(d.Name) }); i >= 0 {
			return &links[i], nil
		}
	}
	return nil, nil
}

// encapAddress prefers IPv4, as the overhead is smaller.
func encapAddress(nic string, addresses []netip.Prefix) (netip.Addr, *Problem) {
	for _, want4 := range []bool{true, false} {
		for _, address := range addresses {
			if address.Addr().Is4() == want4 {
				return address.Addr(), nil
			}
		}
	}
	p := waitingFor("tunnel interface %s to have an address", nic)
	return netip.Addr{}, &p
}

// takeOver wants the bridge, and, as soon as its device is there, the interface's addresses on it. The row that remembers them
// is written before, and the device has them before they leave the interface: the node is never without.
func (t tunnel) takeOver(in Input) (Desired, *Problem) {
	text, err := json.Marshal(t.saved)
	if err != nil {
		return Desired{}, &Problem{Message: "encoding what " + t.nic.Name + " has: " + err.Error()} // addresses and routes always can
	}
	bridge := &vswitch.Bridge{
		Name: t.bridge, DatapathType: in.Config.datapathType(),
		ExternalIDs: map[string]string{keySaved: string(text), keyNIC: t.nic.Name, "vendor": vsdb.Vendor},
	}
	if len(t.nic.MAC) > 0 { // the neighbours know the address by it
		bridge.OtherConfig = map[string]string{"hwaddr": t.nic.MAC.String()}
	}
	want := Desired{
		Rows: []OwnedRows{{bridgeOwner(t.bridge), bridgeRows(in.Switch, bridge, t.nic.Name)}},
		Kernel: kernel.State{
			Links:     map[string]kernel.Link{t.bridge: {Up: true, SoftChecksum: true}, t.nic.Name: {Up: true}},
			Addresses: map[string][]netip.Prefix{t.bridge: t.saved.Addresses, t.nic.Name: t.nic.Addresses},
			Routes:    t.saved.routesOver(t.bridge), TakenOver: []string{t.nic.Name},
		},
	}
	if in.Seen.Device(t.bridge) == nil {
		p := waitingFor("vswitchd to make %s", t.bridge)
		return want, &p
	}
	want.Kernel.Addresses[t.nic.Name] = nil
	return want, nil
}

// giveBack wants what a bridge has saved on its interface again, and then the bridge gone.
func giveBack(in Input, bridge *vswitch.Bridge) Desired {
	name, had := bridge.ExternalIDs[keyNIC], savedOn(bridge)
	nic := in.Seen.Device(name)
	if nic == nil { // there is nothing to give it back to
		return Desired{Rows: []OwnedRows{{bridgeOwner(bridge.Name), ovs.Desired{}}}}
	}
	addresses := slices.Clone(nic.Addresses)
	if now := in.Seen.Device(bridge.Name); now != nil { // should the row remember less than there is
		had.Addresses = append(had.Addresses, now.Addresses...)
	}
	for _, address := range had.Addresses {
		if !slices.Contains(addresses, address) {
			addresses = append(addresses, address)
		}
	}
	want := Desired{Kernel: kernel.State{
		Links: map[string]kernel.Link{name: {Up: true}}, Addresses: map[string][]netip.Prefix{name: addresses},
		Routes: had.routesOver(name),
	}}
	over := in.Seen.RoutesOver(name)
	lacks := slices.ContainsFunc(want.Kernel.Routes, func(r kernel.Route) bool { return !slices.Contains(over, r) })
	switch _, _, owned := engine.OwnerOf(bridge.ExternalIDs); {
	case len(addresses) > len(nic.Addresses) || lacks:
	case owned:
		want.Rows = []OwnedRows{{bridgeOwner(bridge.Name), ovs.Desired{}}}
	default: // made before rows said whose they are: it says so first
		same := &vswitch.Bridge{
			Name: bridge.Name, DatapathType: bridge.DatapathType, OtherConfig: bridge.OtherConfig, ExternalIDs: maps.Clone(bridge.ExternalIDs),
		}
		want.Rows = []OwnedRows{{bridgeOwner(bridge.Name), bridgeRows(in.Switch, same, name)}}
	}
	return want
}

func bridgeOwner(bridge string) ovs.Owner { return ownerOf("bridge/" + bridge) }

// bridgeRows are a bridge with its own internal port and one device.
func bridgeRows(s Switch, bridge *vswitch.Bridge, device string) ovs.Desired {
	sym := ovs.Sym("host/bridge/" + bridge.Name)
	if have := s.Bridges[bridge.Name]; have != nil {
		sym = vsdb.SymOf(have.ExternalIDs, have.UUID, sym)
	}
	var want ovs.Desired
	want.Add(sym, bridge).In(ovs.NodeBridges.Of(ovs.FoundRow(s.Root.UUID)))
	ours := map[string]string{"vendor": vsdb.Vendor}
	s.addPort(&want, &vswitch.Interface{Name: bridge.Name, Type: "internal", ExternalIDs: ours}, sym)
	s.addPort(&want, &vswitch.Interface{Name: device, ExternalIDs: ours}, sym)
	return want
}
