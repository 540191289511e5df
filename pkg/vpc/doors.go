package vpc

import (
	"fmt"
	"strings"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/nb"
)

// doorPolicyPriority is below subnet.localPolicyPriority, since what goes from pod to pod is theirs, and above the priorities
// of the nodes' policies (package node), which would let the packet out.
const doorPolicyPriority = 30500

// addDoors keeps pods from what only nodes have business with: the ends of tunnels and OVN's databases. The join subnet's rows keep
// them from the nodes' addresses there (package subnet). The nodes' own nftables rules (pkg/host/kernel) drop the same packets, and
// also those that kube-proxy sends on. Policies of users can lift neither: the router evaluates its policies after all ACLs of the
// switch. Only the default Vpc has a way to the nodes.
func addDoors(want *ovs.Desired, in Input) {
	if !in.Default {
		return
	}
	name := in.Vpc.Name
	drop := func(sym ovs.Sym, match string) {
		want.Add(sym, &nb.LogicalRouterPolicy{
			Priority: doorPolicyPriority, Match: match, Action: nb.LogicalRouterPolicyActionDrop,
		}).In(ovs.RouterPolicies.Of(Router(name)))
	}
	drop(tunnelPolicy(name), fmt.Sprintf("udp.dst == %d", v1.TunnelPort))
	for _, family := range []string{"v4", "v6"} {
		drop(databasePolicy(name, family), fmt.Sprintf("ip%s.dst == $%s && tcp.dst == {%s}", family[1:], NodesSet(family), databasePorts()))
	}
}

func databasePorts() string {
	var ports []string
	for port := v1.FirstDatabasePort; port <= v1.LastDatabasePort; port++ {
		ports = append(ports, fmt.Sprint(port))
	}
	return strings.Join(ports, ", ")
}
