package subnet

import (
	"fmt"
	"strings"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/pkg/vpc"
)

// addJoin adds what the subnet of the nodes makes for its Vpc. These rows were the Vpc's before, and have their names since then.
func (s Subnet) addJoin(want *ovs.Desired) {
	for _, p := range s.prefixes() {
		everywhere := "0.0.0.0/0"
		if p.Addr().Is6() {
			everywhere = "::/0"
		}
		// The router's routing stage has to find a route before its policy stage can send the packet to the sender's node. The
		// next hop of this route is only used for a packet that no node's policy takes, which then goes nowhere.
		want.Add(vpc.DefaultRoute(s.VPC, Family(p.Addr())), &nb.LogicalRouterStaticRoute{IPPrefix: everywhere, Nexthop: s.gateway(p).String()}).
			In(ovs.RouterStaticRoutes.Of(vpc.Router(s.VPC))).From(vpc.Owner(s.VPC))
	}
	s.addJoinACLs(want)
}

// joinACLPriority is that of the ACL that drops; the ACL of what it leaves alone is one above.
const joinACLPriority = 1000

// addJoinACLs keeps pods from calling nodes by their addresses on the join subnet: a pod with a policy against its node's
// InternalIP must not reach the node by its join address. Replies to calls of nodes pass before any ACL is evaluated, as long as
// conntrack has the connection. The userspace datapath loses conntrack's entries when it restarts. So of TCP the ACL drops only
// segments that begin a connection, and leaves those within one alone.
func (s Subnet) addJoinACLs(want *ovs.Desired) {
	var toNodes []string
	for _, p := range s.prefixes() {
		toNodes = append(toNodes, fmt.Sprintf("%s.dst == %s", matchField(Family(p.Addr())), p))
	}
	match := strings.Join(toNodes, " || ")
	add := func(sym ovs.Sym, acl nb.ACL) {
		acl.Direction, acl.Tier = nb.ACLDirectionFromLport, vpc.NodeTier
		acl.Options = map[string]string{"apply-after-lb": "true"} // a Service may lead there too
		want.Add(sym, &acl).In(ovs.GroupACLs.Of(vpc.Switches(s.VPC))).From(vpc.Owner(s.VPC))
	}
	add(vpc.JoinACL(s.VPC), nb.ACL{Priority: joinACLPriority, Match: match, Action: nb.ACLActionDrop})
	const withoutSYN, withACK = "tcp.flags == 0/2", "tcp.flags == 0x12/0x12"
	add(vpc.JoinReplies(s.VPC), nb.ACL{
		Priority: joinACLPriority + 1, Match: fmt.Sprintf("(%s) && (%s || %s)", match, withoutSYN, withACK), Action: nb.ACLActionPass,
	})
}
