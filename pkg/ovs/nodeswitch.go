package ovs

import (
	"github.com/woven-cni/woven/pkg/ovs/internal/schema"
	"github.com/woven-cni/woven/pkg/ovs/vswitch"
)

// NodeSwitch is the database of a node's own Open vSwitch.
var NodeSwitch = schema.New(vswitch.Schema, vswitch.FullDatabaseModel, nodeSwitch)

// nodeSwitch is what the schema of Open vSwitch does not say.
var nodeSwitch = schema.Knowledge{
	Sets:     names(NodeBridges, BridgePorts),
	Observed: []string{"Interface.ofport", "Interface.ifindex", "Interface.error"},
	Given:    []string{"Open_vSwitch"},
	ByName:   []string{"Bridge", "Port", "Interface"},
}
