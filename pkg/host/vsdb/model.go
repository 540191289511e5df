package vsdb

import (
	"github.com/ovn-kubernetes/libovsdb/client"
	"github.com/ovn-kubernetes/libovsdb/model"
)

// The models name only the columns that the daemon reads. Generated ones would name all, and libovsdb
// refuses a server whose schema lacks one of them: a node's Open vSwitch may be older or newer than the one Woven was
// built for. Fewer columns also mean that vswitchd's statistics, written every five seconds, wake nobody.

// Root is the one row of Open_vSwitch.
type Root struct {
	UUID        string            `ovsdb:"_uuid"`
	Bridges     []string          `ovsdb:"bridges"`
	ExternalIDs map[string]string `ovsdb:"external_ids"`
	OtherConfig map[string]string `ovsdb:"other_config"`
}

// Bridge is a row of Bridge.
type Bridge struct {
	UUID         string            `ovsdb:"_uuid"`
	Name         string            `ovsdb:"name"`
	DatapathType string            `ovsdb:"datapath_type"`
	FailMode     *string           `ovsdb:"fail_mode"`
	Ports        []string          `ovsdb:"ports"`
	ExternalIDs  map[string]string `ovsdb:"external_ids"`
	OtherConfig  map[string]string `ovsdb:"other_config"`
}

// Port is a row of Port.
type Port struct {
	UUID       string   `ovsdb:"_uuid"`
	Name       string   `ovsdb:"name"`
	Interfaces []string `ovsdb:"interfaces"`
}

// Interface is a row of Interface.
type Interface struct {
	UUID        string            `ovsdb:"_uuid"`
	Name        string            `ovsdb:"name"`
	Type        string            `ovsdb:"type"`
	MAC         *string           `ovsdb:"mac"`
	MTURequest  *int              `ovsdb:"mtu_request"`
	Ofport      *int              `ovsdb:"ofport"`
	Ifindex     *int              `ovsdb:"ifindex"`
	Error       *string           `ovsdb:"error"`
	ExternalIDs map[string]string `ovsdb:"external_ids"`
}

// Installed says whether OVN has installed all flows of the interface. ovn-controller writes it into the row that it
// bound, so a row of an earlier attachment never answers for a later one.
func (i *Interface) Installed() bool { return i.ExternalIDs["ovn-installed"] == "true" }

// Troubled says whether vswitchd cannot open the device, or has lost it: its userspace datapath then keeps the port and
// reports no error, but has no index of the device any more.
func (i *Interface) Troubled() bool { return i.Error != nil || i.Ifindex != nil && *i.Ifindex == 0 }

// Working says whether vswitchd has opened the device.
func (i *Interface) Working() bool { return i.Ofport != nil && *i.Ofport > 0 }

// Names of the tables.
const (
	TableRoot      = "Open_vSwitch"
	TableBridge    = "Bridge"
	TablePort      = "Port"
	TableInterface = "Interface"
)

func databaseModel() (model.ClientDBModel, error) {
	return model.NewClientDBModel(TableRoot, map[string]model.Model{
		TableRoot: &Root{}, TableBridge: &Bridge{}, TablePort: &Port{}, TableInterface: &Interface{},
	})
}

// monitor asks for the columns of the models and no others. Without their names libovsdb asks for all that the server's
// schema has, and then stumbles over each update of one that the model lacks.
func monitor(c client.Client) *client.Monitor {
	root, bridge, port, iface := &Root{}, &Bridge{}, &Port{}, &Interface{}
	return c.NewMonitor(
		client.WithTable(root, &root.Bridges, &root.ExternalIDs, &root.OtherConfig),
		client.WithTable(bridge, &bridge.Name, &bridge.DatapathType, &bridge.FailMode, &bridge.Ports,
			&bridge.ExternalIDs, &bridge.OtherConfig),
		client.WithTable(port, &port.Name, &port.Interfaces),
		client.WithTable(iface, &iface.Name, &iface.Type, &iface.MAC, &iface.MTURequest, &iface.Ofport, &iface.Ifindex,
			&iface.Error, &iface.ExternalIDs),
	)
}
