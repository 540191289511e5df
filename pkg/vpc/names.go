package vpc

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/woven-cni/woven/pkg/ovs"
)

// FeatureName is the Owner.Feature of a Vpc's rows.
const FeatureName = "vpc"

// Router names the Logical_Router of a Vpc.
func Router(vpc string) ovs.Sym { return ovs.Sym("vpc/" + vpc + "/router") }

// Balancers names the Load_Balancer_Group of a Vpc. Every switch of the Vpc is attached to it, so that a Service costs
// one row, however many subnets there are.
func Balancers(vpc string) ovs.Sym { return ovs.Sym("vpc/" + vpc + "/balancers") }

// Switches names the Port_Group that stands for the switches of a Vpc: each has its port to the router in it, and so the
// ACLs of the group are in force on all of them. What is in force on every switch is one row, however many there are.
func Switches(vpc string) ovs.Sym { return ovs.Sym("vpc/" + vpc + "/switches") }

// SwitchesGroup is the name of that group, for matches: names of groups allow fewer characters than those of Vpcs.
func SwitchesGroup(vpc string) string {
	sum := sha256.Sum256([]byte(vpc))
	return "v_" + hex.EncodeToString(sum[:10])
}

func nextTier(vpc string, tier int) ovs.Sym {
	return ovs.Sym(fmt.Sprintf("vpc/%s/next-tier/%d", vpc, tier))
}

func memory(vpc string) ovs.Sym { return ovs.Sym("vpc/" + vpc + "/memory") }

func self(vpc string) ovs.Sym { return ovs.Sym("vpc/" + vpc + "/self") }

func tunnelPolicy(vpc string) ovs.Sym { return ovs.Sym("vpc/" + vpc + "/tunnel-policy") }

func databasePolicy(vpc, family string) ovs.Sym {
	return ovs.Sym("vpc/" + vpc + "/database-policy/" + family)
}

func joinACL(vpc string) ovs.Sym { return ovs.Sym("vpc/" + vpc + "/join-acl") }

func joinReplies(vpc string) ovs.Sym { return ovs.Sym("vpc/" + vpc + "/join-replies") }

// NodeAddresses names the Address_Set of the nodes' own addresses; the default Vpc has one for each family.
func NodeAddresses(vpc, family string) ovs.Sym { return ovs.Sym("vpc/" + vpc + "/nodes/" + family) }

// NodesSet is the name of an Address_Set of NodeAddresses, for matches.
func NodesSet(family string) string { return "woven.nodes." + family }

func defaultRoute(vpc, family string) ovs.Sym {
	return ovs.Sym("vpc/" + vpc + "/default-route/" + family)
}
