package vpc

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/woven-cni/woven/pkg/ovs"
)

// FeatureName is the Owner.Feature of a Vpc's rows.
const FeatureName = "vpc"

// Owner is whose the rows of a Vpc are.
func Owner(vpc string) ovs.Owner { return ovs.Owner{Feature: FeatureName, Key: vpc} }

// Router names the Logical_Router of a Vpc.
func Router(vpc string) ovs.Sym { return ovs.Sym("vpc/" + vpc + "/router") }

// LoadBalancerGroup names the Load_Balancer_Group of a Vpc. Every switch of the Vpc is attached to it, so that a Service costs
// one row, however many subnets there are.
func LoadBalancerGroup(vpc string) ovs.Sym { return ovs.Sym("vpc/" + vpc + "/balancers") }

// Switches names the Port_Group that stands for the switches of a Vpc: each switch has its port to the router in the group, and
// so the group's ACLs are in force on every switch. An ACL for all switches is one row, however many there are.
func Switches(vpc string) ovs.Sym { return ovs.Sym("vpc/" + vpc + "/switches") }

// SwitchesGroup is the name of that group, for matches: names of groups allow fewer characters than those of Vpcs.
func SwitchesGroup(vpc string) string {
	sum := sha256.Sum256([]byte(vpc))
	return "v_" + hex.EncodeToString(sum[:10])
}

// nextTier names the ACL that passes what no policy of a tier speaks of on to the next tier.
func nextTier(vpc string, tier int) ovs.Sym {
	return ovs.Sym(fmt.Sprintf("vpc/%s/next-tier/%d", vpc, tier))
}

// baselineACL names the stateful ACL of the last tier. Its part "memory", like "self" below, is the row's identity in databases.
func baselineACL(vpc string) ovs.Sym { return ovs.Sym("vpc/" + vpc + "/memory") }

// hairpinACL names the ACL that lets a pod reach itself through a Service.
func hairpinACL(vpc string) ovs.Sym { return ovs.Sym("vpc/" + vpc + "/self") }

func tunnelPolicy(vpc string) ovs.Sym { return ovs.Sym("vpc/" + vpc + "/tunnel-policy") }

func databasePolicy(vpc, family string) ovs.Sym {
	return ovs.Sym("vpc/" + vpc + "/database-policy/" + family)
}

// JoinACL names the ACL that keeps pods from the nodes' addresses on the join subnet, and JoinReplies the one that lets packets of
// connections that exist through. The join subnet has these rows, and the default route; their names are those that they have had
// since they were the Vpc's.
func JoinACL(vpc string) ovs.Sym { return ovs.Sym("vpc/" + vpc + "/join-acl") }

// JoinReplies is told of at JoinACL.
func JoinReplies(vpc string) ovs.Sym { return ovs.Sym("vpc/" + vpc + "/join-replies") }

// NodeAddresses names the Address_Set of the nodes' own addresses; the default Vpc has one for each family.
func NodeAddresses(vpc, family string) ovs.Sym { return ovs.Sym("vpc/" + vpc + "/nodes/" + family) }

// NodesSet is the name of an Address_Set of NodeAddresses, for matches.
func NodesSet(family string) string { return "woven.nodes." + family }

// DefaultRoute names the Logical_Router_Static_Route of a family that leads packets to the outside as far as the nodes' policies.
func DefaultRoute(vpc, family string) ovs.Sym {
	return ovs.Sym("vpc/" + vpc + "/default-route/" + family)
}
