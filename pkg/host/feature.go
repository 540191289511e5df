package host

import (
	"fmt"
	"slices"

	"github.com/woven-cni/woven/pkg/host/device"
	"github.com/woven-cni/woven/pkg/host/kernel"
	"github.com/woven-cni/woven/pkg/host/vsdb"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/vswitch"
)

// Feature is one part of what a node needs, in a file of its own.
type Feature struct {
	Name string
	// Translate is pure: no context, clock, logger or error, and nothing is read but its input. What it does not mention,
	// an owner's rows or a link, is left as it is: so a feature that does not know yet mentions nothing.
	Translate func(Input) (Desired, []Problem)
}

// Features is the list of what a node needs. Each wants its rows and links whatever the others lack; the order is that in
// which problems are told.
func Features() []Feature {
	return []Feature{
		{"tunnel", translateTunnel},
		{"settings", translateSettings},
		{"ovn0", translateNodePort},
		{"routes", translateRoutes},
		{"netfilter", translateNetfilter},
	}
}

// Input is all that a node's features translate from.
type Input struct {
	Config Config
	Cluster
	Seen   kernel.Seen
	Switch Switch
}

// Switch is what the node's Open vSwitch has, but for the ports of pods.
type Switch struct {
	Root       *vswitch.OpenvSwitch
	Bridges    map[string]*vswitch.Bridge
	Ports      map[string]*vswitch.Port
	Interfaces map[string]*vsdb.Interface
}

// Desired is what a feature wants.
type Desired struct {
	// Rows are all that the owner wants in Open vSwitch. They come before what is wanted of the kernel.
	Rows   []OwnedRows
	Kernel kernel.State
}

// OwnedRows are the rows of one owner; none take away what it has.
type OwnedRows struct {
	Owner ovs.Owner
	Want  ovs.Desired
}

// ReasonFailed is a part of the node that could not be made what it should be. That is tried again, and is mostly somebody's to
// mend: a kernel without what is asked of it, a file system that is read-only.
const ReasonFailed = "NodeNetworkFailed"

// Problem is why the node is not whole.
type Problem struct {
	// Reason is empty for what comes by itself: an event will tell. Else the problem is shown on the Node under this reason.
	Reason  string
	Message string
}

// waitingFor is a problem that an event will end.
func waitingFor(format string, values ...any) Problem {
	return Problem{Message: "waiting for " + fmt.Sprintf(format, values...)}
}

// readSwitch reads what features start from. It is of one session only if the caller finds the same before and after.
func readSwitch(db *vsdb.DB) Switch {
	s := Switch{
		Root: db.Root(), Bridges: map[string]*vswitch.Bridge{}, Ports: map[string]*vswitch.Port{}, Interfaces: map[string]*vsdb.Interface{},
	}
	for _, bridge := range db.Bridges() {
		s.Bridges[bridge.Name] = bridge
	}
	for _, iface := range db.Interfaces() {
		if device.IsPodName(iface.Name) {
			continue
		}
		s.Interfaces[iface.Name] = &vsdb.Interface{Interface: iface}
		if port := db.Port(iface.Name); port != nil {
			s.Ports[port.Name] = port
		}
	}
	return s
}

// addPort wants a port with its one interface, both of one name, on a bridge. Rows that are there already are taken as they are.
func (s Switch) addPort(want *ovs.Desired, iface *vswitch.Interface, bridge ovs.Sym) {
	port, sym := ovs.Sym("host/port/"+iface.Name), ovs.Sym("host/interface/"+iface.Name)
	if have := s.Ports[iface.Name]; have != nil {
		port = vsdb.SymOf(have.ExternalIDs, have.UUID, port)
	}
	if have := s.Interfaces[iface.Name]; have != nil {
		sym = vsdb.SymOf(have.ExternalIDs, have.UUID, sym)
	}
	want.Add(port, &vswitch.Port{
		Name: iface.Name, Interfaces: []string{sym.UUID()}, ExternalIDs: map[string]string{"vendor": vsdb.Vendor},
	}).In(ovs.BridgePorts.Of(bridge))
	want.Add(sym, iface)
}

// problemsForUsers are those that somebody has to mend and that were not there before.
func problemsForUsers(now, before []Problem) []Problem {
	return slices.DeleteFunc(slices.Clone(now), func(p Problem) bool { return p.Reason == "" || slices.Contains(before, p) })
}
