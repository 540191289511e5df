package host

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	kubeovnv1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/host/kernel"
	"github.com/woven-cni/woven/pkg/host/vsdb"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/vswitch"
)

// reconcile brings the node a step or more closer to what it should be. It returns what it waits for, or nil when the
// node is whole.
func (h *Host) reconcile(ctx context.Context) error {
	in := h.snapshot()
	if !h.db.Connected() {
		return waitingFor("Open vSwitch")
	}
	root := h.db.Root()
	if root == nil {
		return waitingFor("Open vSwitch to initialise its database")
	}
	if len(in.node.InternalIPs) == 0 {
		return waitingFor("the Node object to have an address")
	}
	nic, err := h.tunnelNIC(in.node)
	if err != nil {
		return err
	}
	if err := h.retireBridges(ctx, root, nic); err != nil {
		return err
	}
	tunnel, err := h.tunnel(ctx, root, nic)
	if err != nil {
		return err
	}
	h.setPodMTU(tunnel)
	if err := h.db.Apply(ctx, ownerOf("settings"), settings(root, h.externalIDs(in, tunnel))); err != nil {
		return err
	}
	if err := h.nodePort(ctx, in.node.Join); err != nil {
		return err
	}
	want := h.desired(in, tunnel)
	want.Netfilter.Databases = databases(in.remotes, root)
	if err := h.kernel(want); err != nil {
		return err
	}
	return h.missing(in)
}

// keyRemote is the setting that tells ovn-controller where the southbound database is.
const keyRemote = "ovn-remote"

// externalIDs are the settings that ovn-controller reads.
func (h *Host) externalIDs(in inputs, tunnel tunnel) map[string]string {
	ids := map[string]string{
		"system-id":                   h.config.NodeName,
		"hostname":                    h.config.NodeName,
		"ovn-encap-type":              "geneve",
		"ovn-encap-ip":                tunnel.address.String(),
		"ovn-encap-csum":              strconv.FormatBool(h.config.EncapChecksum),
		"ovn-monitor-all":             "true",
		"ovn-bridge-datapath-type":    h.datapathType(),
		"ovn-remote-probe-interval":   "30000",
		"ovn-openflow-probe-interval": "30",
	}
	if len(in.remotes) > 0 {
		ids[keyRemote] = strings.Join(in.remotes, ",")
	}
	return ids
}

// settings are keys of ours in the one row of Open_vSwitch, which Open vSwitch makes itself. Without an address of the
// southbound database the last one stays: the databases may only be restarting.
func settings(root *vswitch.OpenvSwitch, ids map[string]string) ovs.Desired {
	if last := root.ExternalIDs[keyRemote]; ids[keyRemote] == "" && last != "" {
		ids[keyRemote] = last
	}
	var want ovs.Desired
	want.Add(ovs.FoundRow(root.UUID), &vswitch.OpenvSwitch{ExternalIDs: ids})
	return want
}

func (h *Host) datapathType() string {
	if h.config.Userspace {
		return "netdev"
	}
	return "system"
}

const (
	overhead4 = 58 // IPv4 20, UDP 8, Geneve 8 with OVN's option 8, inner Ethernet 14
	overhead6 = 78
)

func (h *Host) setPodMTU(t tunnel) {
	mtu := h.config.MTU
	if mtu == 0 && t.address.Is4() {
		mtu = t.mtu - overhead4
	} else if mtu == 0 {
		mtu = t.mtu - overhead6
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.podMTU = mtu
}

// nodePort puts ovn0 on the integration bridge, which ovn-controller makes.
func (h *Host) nodePort(ctx context.Context, join *Join) error {
	bridge := h.db.Bridge(IntegrationBridge)
	if bridge == nil {
		return waitingFor("ovn-controller to make bridge %s", IntegrationBridge)
	}
	if join == nil {
		return waitingFor("the controller to give the node its address on the join subnet")
	}
	mac, mtu := join.MAC.String(), h.PodMTU("")
	iface := &vswitch.Interface{Name: kernel.NodeInterface, Type: "internal", MAC: &mac, MTURequest: &mtu, ExternalIDs: map[string]string{
		"iface-id": "node-" + h.config.NodeName, "vendor": vsdb.Vendor,
	}}
	var want ovs.Desired
	h.addPort(&want, iface, ovs.FoundRow(bridge.UUID))
	return h.db.Apply(ctx, ownerOf("port/"+kernel.NodeInterface), want)
}

// addPort wants a port with its one interface, both of one name, on a bridge. Rows that are there already are taken as they are.
func (h *Host) addPort(want *ovs.Desired, iface *vswitch.Interface, bridge ovs.Sym) {
	port, ifaceSym := ovs.Sym("host/port/"+iface.Name), ovs.Sym("host/interface/"+iface.Name)
	if have := h.db.Port(iface.Name); have != nil {
		port = vsdb.SymOf(have.ExternalIDs, have.UUID, port)
	}
	if have := h.db.Interface(iface.Name); have != nil {
		ifaceSym = vsdb.SymOf(have.ExternalIDs, have.UUID, ifaceSym)
	}
	want.Add(port, &vswitch.Port{
		Name: iface.Name, Interfaces: []string{ifaceSym.UUID()}, ExternalIDs: map[string]string{"vendor": vsdb.Vendor},
	}).In(ovs.BridgePorts.Of(bridge))
	want.Add(ifaceSym, iface)
}

// desired is the kernel's state as it should be.
func (h *Host) desired(in inputs, t tunnel) kernel.State {
	want := kernel.State{
		Links:     map[string]kernel.Link{kernel.NodeInterface: {Up: true, SoftChecksum: h.config.Userspace}},
		Addresses: map[string][]netip.Prefix{kernel.NodeInterface: in.node.Join.Addresses},
		Sysctls: map[string]string{
			"net/ipv4/ip_forward": "1",
			// Answers may come back over another interface than the request went out.
			"net/ipv4/conf/" + kernel.NodeInterface + "/rp_filter": "2",
		},
	}
	// The node asks by broadcast and multicast whether the router is still there, as pods do (pkg/cni/sandbox): OVN
	// answers those on the node, and floods what is sent to the router to the ports of all other nodes.
	for _, family := range []string{"ipv4", "ipv6"} {
		neighbours := "net/" + family + "/neigh/" + kernel.NodeInterface
		want.Sysctls[neighbours+"/mcast_resolicit"] = "3"
		want.Sysctls[neighbours+"/ucast_solicit"] = "0"
	}
	if t.bridge != "" {
		want.Links[t.bridge] = kernel.Link{Up: true, SoftChecksum: true}
		want.Addresses[t.bridge] = t.saved.Addresses
		want.Routes = append(want.Routes, t.saved.routesOver(t.bridge)...)
		want.TakenOver = []string{t.nic}
	}
	for _, address := range in.node.Join.Addresses {
		// The kernel makes these with the address and never again, while the gateways of all other routes are behind them.
		if !address.IsSingleIP() {
			want.Routes = append(want.Routes, kernel.Connected(kernel.NodeInterface, address))
		}
	}
	all, natted, routed := in.clusterCIDRs()
	for _, cidr := range routed {
		i := slices.IndexFunc(in.node.Join.Gateways, func(g netip.Addr) bool { return g.Is4() == cidr.Addr().Is4() })
		if i >= 0 {
			want.Routes = append(want.Routes, kernel.Route{
				Dst: cidr, Gateway: in.node.Join.Gateways[i], Link: kernel.NodeInterface, Protocol: kernel.Protocol,
			})
		}
	}
	for _, address := range in.node.Join.Addresses {
		if address.Addr().Is6() {
			want.Sysctls[kernel.Forwarding6] = "1"
		}
		all = append(all, address.Masked())
	}
	all = append(all, h.config.ServiceCIDRs...)
	want.Netfilter = kernel.Netfilter{
		Sources: natted, Cluster: withoutContained(all),
		Doors: slices.Clone(h.config.ClosedPorts),
	}
	for port := uint16(kubeovnv1.FirstDatabasePort); port <= kubeovnv1.LastDatabasePort; port++ {
		want.Netfilter.Doors = append(want.Netfilter.Doors, port)
	}
	for _, ip := range in.node.InternalIPs {
		want.Netfilter.Own = append(want.Netfilter.Own, netip.PrefixFrom(ip, ip.BitLen()))
	}
	return want
}

// databases are the addresses of remotes, "tcp:address:port" each; without any, of those that ovn-controller was told last: the
// API server may not have said yet where the databases are, and what protects them stays meanwhile.
func databases(remotes []string, root *vswitch.OpenvSwitch) []netip.Prefix {
	if len(remotes) == 0 {
		remotes = strings.Split(root.ExternalIDs[keyRemote], ",")
	}
	var out []netip.Prefix
	for _, remote := range remotes {
		_, text, _ := strings.Cut(remote, ":")
		at, err := netip.ParseAddrPort(text)
		if err != nil {
			continue // a socket's path is no address that a packet has
		}
		if p := netip.PrefixFrom(at.Addr(), at.Addr().BitLen()); !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// kernel makes the kernel's state what it should be.
func (h *Host) kernel(want kernel.State) error {
	have, err := kernel.Observe(want)
	if err != nil {
		return err
	}
	plan := kernel.Diff(want, have)
	if plan.Empty() {
		return nil
	}
	h.log.Info("configuring the kernel", "changes", strings.Split(plan.String(), "\n"))
	return kernel.Apply(plan)
}

// missing tells what keeps the node from attaching pods.
func (h *Host) missing(in inputs) error {
	iface := h.db.Interface(kernel.NodeInterface)
	switch {
	case iface == nil || iface.Error != nil:
		return waitingFor("vswitchd to make %s", kernel.NodeInterface)
	case !iface.Working():
		return waitingFor("vswitchd to open %s", kernel.NodeInterface)
	case len(in.remotes) == 0:
		return waitingFor("the southbound database to have an address")
	case !iface.Installed():
		return waitingFor("OVN to install the flows of %s", kernel.NodeInterface)
	}
	return linkUp(kernel.NodeInterface)
}
