package node

import (
	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/port"
)

// FeatureName is the Owner.Feature of a Node's rows.
const FeatureName = "node"

// Owner is whose the rows of a Node are.
func Owner(node string) ovs.Owner { return ovs.Owner{Feature: FeatureName, Key: node} }

// PortKey is a Node's port on the join subnet, whose the node's addresses there are.
func PortKey(node string) port.Key { return port.First(Owner(node)) }

// PortName is the name of a node's switch port, of its IP object and the iface-id of its ovn0 interface.
func PortName(node string) string { return v1.PortNameOfNode(node) }

func egressPolicy(node, family string) ovs.Sym {
	return ovs.Sym("node/" + node + "/egress-policy/" + family)
}

func hostPolicy(node, family string) ovs.Sym {
	return ovs.Sym("node/" + node + "/host-policy/" + family)
}

func ownACL(node, family string) ovs.Sym { return ovs.Sym("node/" + node + "/own-acl/" + family) }
