package port

import (
	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/nb"
)

// Port is one Logical_Switch_Port: who has it, where it is, and what may pass.
type Port struct {
	// Owner is the object that the port is for.
	Owner ovs.Owner
	// Interface tells the further ports of an owner apart; the first has none.
	Interface string
	// Name is the row's name, that of the IP object, and the iface-id of the interface.
	Name string
	// Switch is where the port is, and whose the addresses are.
	Switch Switch
	// Lease is the addresses.
	Lease ipam.Lease
	// Security says what the port may send as.
	Security Security
	// Groups are the rows of the port groups that it is in.
	Groups []ovs.Sym
	// UID is that of the object that has the lease, where another object of the name may want another one. The row then
	// says it, and which Subnet the addresses are from.
	UID string
	// Node is the only node whose interface is taken for the port's; empty is any.
	Node string
}

// Switch is the switch of a port: the name that it shares with its Subnet, and its row.
type Switch struct {
	Name string
	Row  ovs.Sym
}

// Security is what a port may send as.
type Security int

const (
	// Anybody has no port security: the port forwards for others, with their addresses.
	Anybody Security = iota
	// Itself lets the port send with its own addresses only.
	Itself
)

// Keys of the row's external_ids.
const (
	// switchKey is which Subnet the addresses are from, as Kube-OVN's rows have it.
	switchKey = "ls"
	// uidKey is the UID of the object that has them.
	uidKey = "uid"
)

// requestedChassis is the option that binds a port to a node, by its name in the southbound database (ovn-nb(5)): an
// interface with the port's name on another node, which a pod that was deleted by force may have left there, is not taken
// for the port's. northd takes in the change of a port's options incrementally, and a port that is bound already stays bound.
const requestedChassis = "requested-chassis"

// Sym names the row of an owner's first port.
func Sym(owner ovs.Owner) ovs.Sym { return First(owner).Sym() }

// Key tells the port from all others.
func (p Port) Key() Key { return Key{Owner: p.Owner, Interface: p.Interface} }

// Sym names the row.
func (p Port) Sym() ovs.Sym { return p.Key().Sym() }

// AddTo adds the row to what the port's owner wants.
func (p Port) AddTo(want *ovs.Desired) ovs.Added {
	row := &nb.LogicalSwitchPort{Name: p.Name, Addresses: []string{text(p.Lease)}}
	if p.Security == Itself {
		row.PortSecurity = row.Addresses
	}
	if p.UID != "" {
		row.ExternalIDs = map[string]string{switchKey: p.Switch.Name, uidKey: p.UID}
	}
	if p.Node != "" {
		row.Options = map[string]string{requestedChassis: p.Node}
	}
	added := want.Add(p.Sym(), row).In(ovs.SwitchPorts.Of(p.Switch.Row))
	for _, group := range p.Groups {
		added.Also(ovs.GroupPorts.Of(group).This())
	}
	return added
}
