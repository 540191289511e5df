package host

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	kubeovnv1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/host/kernel"
	"github.com/woven-cni/woven/pkg/host/vsdb"
)

// reconcile brings the node a step or more closer to what it should be. It returns what it waits for, or nil when the
// node is whole.
func (h *Host) reconcile(ctx context.Context) error {
	in := h.snapshot()
	session := h.db.Session()
	if session == nil {
		return waitingFor("Open vSwitch")
	}
	root := session.Root()
	if root == nil {
		return waitingFor("Open vSwitch to initialise its database")
	}
	if len(in.node.InternalIPs) == 0 {
		return waitingFor("the Node object to have an address")
	}
	nic, err := h.tunnelNIC(in.node, session)
	if err != nil {
		return err
	}
	if err := h.retireBridges(ctx, session, root, nic); err != nil {
		return err
	}
	tunnel, err := h.tunnel(ctx, session, root, nic)
	if err != nil {
		return err
	}
	h.setPodMTU(tunnel)
	if err := session.Transact(ctx, root.SetExternalIDs(h.externalIDs(in, tunnel))...); err != nil {
		return fmt.Errorf("configuring Open vSwitch: %w", err)
	}
	if err := h.nodePort(ctx, session, in.node.Join); err != nil {
		return err
	}
	want := h.desired(in, tunnel)
	want.Netfilter.Databases = databases(in.remotes, root)
	if err := h.kernel(want); err != nil {
		return err
	}
	return h.missing(in, session)
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
	// Without an address the last one stays: the databases may only be restarting.
	if len(in.remotes) > 0 {
		ids[keyRemote] = strings.Join(in.remotes, ",")
	}
	return ids
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
func (h *Host) nodePort(ctx context.Context, session *vsdb.Session, join *Join) error {
	bridge := session.Bridge(IntegrationBridge)
	if bridge == nil {
		return waitingFor("ovn-controller to make bridge %s", IntegrationBridge)
	}
	if join == nil {
		return waitingFor("the controller to give the node its address on the join subnet")
	}
	ids := map[string]string{"iface-id": "node-" + h.config.NodeName, "vendor": "woven"}
	mac, mtu := join.MAC.String(), h.PodMTU("")
	iface := session.Interface(kernel.NodeInterface)
	if iface == nil || session.Port(kernel.NodeInterface) == nil {
		port := vsdb.NewPort{
			Bridge: bridge, Name: kernel.NodeInterface, Type: "internal", MAC: mac, MTURequest: mtu, ExternalIDs: ids,
		}
		if err := session.Transact(ctx, port.Add()...); err != nil {
			return fmt.Errorf("adding port %s: %w", kernel.NodeInterface, err)
		}
		return nil
	}
	ops := iface.SetExternalIDs(ids)
	if iface.MAC == nil || *iface.MAC != mac || iface.MTURequest == nil || *iface.MTURequest != mtu {
		ops = append(ops, iface.Update(ovsdb.Row{"mac": vsdb.Set(mac), "mtu_request": vsdb.Set(mtu)})...)
	}
	if err := session.Transact(ctx, ops...); err != nil {
		return fmt.Errorf("changing port %s: %w", kernel.NodeInterface, err)
	}
	return nil
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
func databases(remotes []string, root *vsdb.Root) []netip.Prefix {
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
func (h *Host) missing(in inputs, session *vsdb.Session) error {
	iface := session.Interface(kernel.NodeInterface)
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
