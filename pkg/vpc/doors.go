package vpc

import (
	"fmt"
	"strings"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/nb"
)

const (
	// doorPolicyPriority is below subnet.localPolicyPriority, since what goes from pod to pod is theirs, and above the priorities
	// of the nodes' policies (package node), which would let the packet out.
	doorPolicyPriority = 30500
	// joinACLPriority is that of the ACL that drops; the ACL of what it leaves alone is one above.
	joinACLPriority = 1000
)

// addDoors keeps pods from what only nodes have business with: the ends of tunnels, OVN's databases, and the nodes' addresses on
// the join subnet. The nodes' own nftables rules (pkg/host/kernel) drop the same packets, and also those that kube-proxy sends
// on. Policies of users can lift neither: the router evaluates its policies after all ACLs of the switch. Only the default Vpc has
// a way to the nodes.
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
	addJoinACLs(want, in)
}

// addJoinACLs keeps pods from calling nodes by their addresses on the join subnet: a pod with a policy against its node's
// InternalIP must not reach the node by its join address. Replies to calls of nodes pass before any ACL is evaluated, as long as
// conntrack has the connection. The userspace datapath loses conntrack's entries when it restarts. So of TCP the ACL drops only
// segments that begin a connection, and leaves those within one alone.
func addJoinACLs(want *ovs.Desired, in Input) {
	var toNodes []string
	for _, cidr := range in.JoinCIDRs {
		field := "ip6.dst"
		if cidr.Addr().Is4() {
			field = "ip4.dst"
		}
		toNodes = append(toNodes, fmt.Sprintf("%s == %s", field, cidr))
	}
	if len(toNodes) == 0 {
		return
	}
	match := strings.Join(toNodes, " || ")
	add := func(sym ovs.Sym, acl nb.ACL) {
		acl.Direction, acl.Tier = nb.ACLDirectionFromLport, NodeTier
		acl.Options = map[string]string{"apply-after-lb": "true"} // a Service may lead there too
		want.Add(sym, &acl).In(ovs.GroupACLs.Of(Switches(in.Vpc.Name)))
	}
	add(joinACL(in.Vpc.Name), nb.ACL{Priority: joinACLPriority, Match: match, Action: nb.ACLActionDrop})
	const withoutSYN, withACK = "tcp.flags == 0/2", "tcp.flags == 0x12/0x12"
	add(joinReplies(in.Vpc.Name), nb.ACL{
		Priority: joinACLPriority + 1, Match: fmt.Sprintf("(%s) && (%s || %s)", match, withoutSYN, withACK), Action: nb.ACLActionPass,
	})
}

func databasePorts() string {
	var ports []string
	for port := v1.FirstDatabasePort; port <= v1.LastDatabasePort; port++ {
		ports = append(ports, fmt.Sprint(port))
	}
	return strings.Join(ports, ", ")
}
