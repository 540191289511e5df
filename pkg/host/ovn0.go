package host

import (
	"net/netip"

	kubeovnv1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/host/kernel"
	"github.com/woven-cni/woven/pkg/host/vsdb"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/vswitch"
)

// ReasonAnnotations is an answer of the controller that somebody has made unreadable.
const ReasonAnnotations = "AnnotationsUnreadable"

const (
	overhead4 = 58 // IPv4 20, UDP 8, Geneve 8 with OVN's option 8, inner Ethernet 14
	overhead6 = 78
)

// podMTU is the MTU of pods whose Subnet names none.
func (t tunnel) podMTU(config Config) int {
	switch {
	case config.MTU != 0:
		return config.MTU
	case t.address.Is4():
		return t.nic.MTU - overhead4
	default:
		return t.nic.MTU - overhead6
	}
}

// translateNodePort wants ovn0, the node's own port: on the integration bridge, which ovn-controller makes, with the
// node's place on the join subnet. The node is whole when OVN has it.
func translateNodePort(in Input) (Desired, []Problem) {
	bridge := in.Switch.Bridges[vsdb.IntegrationBridge]
	if bridge == nil {
		return Desired{}, []Problem{waitingFor("ovn-controller to make bridge %s", vsdb.IntegrationBridge)}
	}
	if in.Node.Unreadable != "" {
		return Desired{}, []Problem{{Reason: ReasonAnnotations, Message: "the node's annotations cannot be used: " + in.Node.Unreadable}}
	}
	if in.Node.Join == nil {
		return Desired{}, []Problem{waitingFor("the controller to give the node its address on the join subnet")}
	}
	want := Desired{Kernel: nodePortState(in)}
	if tunnel, problem := findTunnel(in); problem == nil {
		mac, mtu := in.Node.Join.MAC.String(), tunnel.podMTU(in.Config)
		var rows ovs.Desired
		in.Switch.addPort(&rows, &vswitch.Interface{
			Name: kernel.NodeInterface, Type: "internal", MAC: &mac, MTURequest: &mtu,
			ExternalIDs: map[string]string{"iface-id": kubeovnv1.PortNameOfNode(in.Config.NodeName), "vendor": vsdb.Vendor},
		}, ovs.FoundRow(bridge.UUID))
		want.Rows = []OwnedRows{{ownerOf("port/" + kernel.NodeInterface), rows}}
	}
	return want, nodePortLacks(in)
}

func nodePortState(in Input) kernel.State {
	const ovn0 = kernel.NodeInterface
	state := kernel.State{
		Links:     map[string]kernel.Link{ovn0: {Up: true, SoftChecksum: in.Config.Userspace}},
		Addresses: map[string][]netip.Prefix{ovn0: in.Node.Join.Addresses},
		// Answers may come back over another interface than the request went out.
		Sysctls: map[string]string{"net/ipv4/conf/" + ovn0 + "/rp_filter": "2"},
	}
	// The node asks by broadcast and multicast whether the router is still there, as pods do (pkg/cni/sandbox): OVN
	// answers those on the node, and floods what is sent to the router to the ports of all other nodes.
	for _, family := range []string{"ipv4", "ipv6"} {
		neighbours := "net/" + family + "/neigh/" + ovn0
		state.Sysctls[neighbours+"/mcast_resolicit"] = "3"
		state.Sysctls[neighbours+"/ucast_solicit"] = "0"
	}
	for _, address := range in.Node.Join.Addresses {
		// The kernel makes these with the address and never again, while the gateways of all other routes are behind them.
		if !address.IsSingleIP() {
			state.Routes = append(state.Routes, kernel.Connected(ovn0, address))
		}
	}
	return state
}

// nodePortLacks tells what keeps the node from attaching pods.
func nodePortLacks(in Input) []Problem {
	iface, link := in.Switch.Interfaces[kernel.NodeInterface], in.Seen.Device(kernel.NodeInterface)
	switch {
	case iface == nil || iface.Error != nil:
		return []Problem{waitingFor("vswitchd to make %s", kernel.NodeInterface)}
	case !iface.Working():
		return []Problem{waitingFor("vswitchd to open %s", kernel.NodeInterface)}
	case len(in.Remotes) == 0:
		return []Problem{waitingFor("the southbound database to have an address")}
	case !iface.Installed():
		return []Problem{waitingFor("OVN to install the flows of %s", kernel.NodeInterface)}
	case link == nil || !link.Up:
		return []Problem{waitingFor("link %s to be up", kernel.NodeInterface)}
	}
	return nil
}
