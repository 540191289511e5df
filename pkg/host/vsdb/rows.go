package vsdb

import (
	"context"
	"fmt"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/engine"
	"github.com/woven-cni/woven/pkg/ovs/vswitch"
)

// IntegrationBridge is the bridge that ovn-controller makes and programs.
const IntegrationBridge = "br-int"

// Vendor is external_ids:vendor of the ports and bridges that Woven makes.
const Vendor = "woven"

// Root returns the one row of Open_vSwitch, or nil in a database that has none yet.
func (d *DB) Root() *vswitch.OpenvSwitch {
	for _, row := range d.engine.Rows(vswitch.OpenvSwitchTable) {
		return row.(*vswitch.OpenvSwitch)
	}
	return nil
}

// Bridge returns the bridge of a name, or nil.
func (d *DB) Bridge(name string) *vswitch.Bridge {
	row, _ := d.engine.Named(vswitch.BridgeTable, name).(*vswitch.Bridge)
	return row
}

// Bridges returns all bridges.
func (d *DB) Bridges() []*vswitch.Bridge { return rows[vswitch.Bridge](d, vswitch.BridgeTable) }

// Port returns the port of a name, or nil.
func (d *DB) Port(name string) *vswitch.Port {
	row, _ := d.engine.Named(vswitch.PortTable, name).(*vswitch.Port)
	return row
}

// Interface returns the interface of a name, or nil.
func (d *DB) Interface(name string) *Interface {
	row, _ := d.engine.Named(vswitch.InterfaceTable, name).(*vswitch.Interface)
	if row == nil {
		return nil
	}
	return &Interface{row}
}

// Interfaces returns all interfaces.
func (d *DB) Interfaces() []*vswitch.Interface {
	return rows[vswitch.Interface](d, vswitch.InterfaceTable)
}

func rows[T any](d *DB, table string) []*T {
	all := d.engine.Rows(table)
	out := make([]*T, 0, len(all))
	for _, row := range all {
		out = append(out, any(row).(*T))
	}
	return out
}

// SymOf is the name of a row, by the external_ids and the UUID that it has if it is there already: the name in its external_ids,
// or its UUID if Woven has not made the row, or a version that wrote no names did. A row that is yet to be made gets the name
// made.
func SymOf(externalIDs map[string]string, uuid string, made ovs.Sym) ovs.Sym {
	switch _, sym, ours := engine.OwnerOf(externalIDs); {
	case ours:
		return sym
	case uuid != "":
		return ovs.FoundRow(uuid)
	default:
		return made
	}
}

// Interface is an interface, with what vswitchd and OVN say of it.
type Interface struct{ *vswitch.Interface }

// Installed says whether OVN has installed all flows of the interface. ovn-controller writes it into the row that it
// bound, so a row of an earlier attachment never answers for a later one.
func (i *Interface) Installed() bool { return i.ExternalIDs["ovn-installed"] == "true" }

// Troubled says whether vswitchd cannot open the device, or has lost it: its userspace datapath then keeps the port and
// reports no error, but has no index of the device any more.
func (i *Interface) Troubled() bool { return i.Error != nil || i.Ifindex != nil && *i.Ifindex == 0 }

// Working says whether vswitchd has opened the device.
func (i *Interface) Working() bool { return i.Ofport != nil && *i.Ofport > 0 }

func (i *Interface) complaint() string {
	if i == nil || i.Error == nil {
		return ""
	}
	return fmt.Sprintf(" (vswitchd: %s)", *i.Error)
}

// AwaitInstalled waits until OVN has installed the flows of an interface. It fails at once if the row is deleted: the
// attachment was taken down meanwhile. When vswitchd has trouble with the interface, AwaitInstalled calls hopeless, and fails with
// its error; nil means that the trouble may pass.
func (d *DB) AwaitInstalled(ctx context.Context, name string, hopeless func() error) error {
	for {
		changed := d.nextChange(name)
		iface := d.Interface(name)
		switch {
		case iface == nil && d.Connected():
			return fmt.Errorf("interface %s was removed from Open vSwitch", name)
		case iface == nil: // the next session will tell
		case iface.Installed():
			return nil
		case iface.Troubled() && hopeless != nil:
			if err := hopeless(); err != nil {
				return fmt.Errorf("interface %s%s: %w", name, iface.complaint(), err)
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for OVN to install the flows of interface %s%s: %w",
				name, iface.complaint(), context.Cause(ctx))
		}
	}
}

func (d *DB) nextChange(name string) <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	ch := d.waiting[name]
	if ch == nil {
		ch = make(chan struct{})
		d.waiting[name] = ch
	}
	return ch
}
