package port_test

import (
	"net/netip"
	"testing"

	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/pkg/port"
)

var (
	web   = ovs.Owner{Feature: "pod", Key: "shop/web-0"}
	mac   = ipam.MAC{0x0a, 0x58, 10, 16, 0, 5}
	v4    = netip.MustParseAddr("10.16.0.5")
	v6    = netip.MustParseAddr("fd00::5")
	inner = port.Switch{Name: "web", Row: "subnet/web/switch"}
)

// row is the Logical_Switch_Port of a port.
func row(t *testing.T, p port.Port) (ovs.Row, *nb.LogicalSwitchPort) {
	t.Helper()
	var want ovs.Desired
	p.AddTo(&want)
	if len(want.Rows) != 1 {
		t.Fatalf("a port has %d rows", len(want.Rows))
	}
	return want.Rows[0], want.Rows[0].Model.(*nb.LogicalSwitchPort)
}

// What is written of a port is read back, but for what only its owner knows.
func TestReadIsTheInverse(t *testing.T) {
	for name, p := range map[string]port.Port{
		"a pod's":                  {Owner: web, Name: "web-0.shop", Switch: inner, Lease: ipam.Lease{Addrs: ipam.Addrs{V4: v4, V6: v6}, MAC: mac}, Security: port.Itself, UID: "uid", Node: "n1"},
		"IPv6 only, not scheduled": {Owner: web, Name: "web-0.shop", Switch: inner, Lease: ipam.Lease{Addrs: ipam.Addrs{V6: v6}, MAC: mac}, Security: port.Itself, UID: "uid"},
		"a node's":                 {Owner: ovs.Owner{Feature: "node", Key: "n1"}, Name: "node-n1", Lease: ipam.Lease{Addrs: ipam.Addrs{V4: v4}, MAC: mac}},
	} {
		t.Run(name, func(t *testing.T) {
			_, model := row(t, p)
			got, err := port.Read(model)
			if err != nil {
				t.Fatal(err)
			}
			got.Owner, got.Switch.Row = p.Owner, p.Switch.Row
			if got.Name != p.Name || got.Switch != p.Switch || got.Lease != p.Lease || got.Security != p.Security || got.UID != p.UID || got.Node != p.Node {
				t.Errorf("written was %+v, and read is %+v", p, got)
			}
		})
	}
}

func TestRow(t *testing.T) {
	lease := ipam.Lease{Addrs: ipam.Addrs{V4: v4, V6: v6}, MAC: mac}
	got, model := row(t, port.Port{Owner: web, Name: "web-0.shop", Switch: inner, Lease: lease, Groups: []ovs.Sym{"group/a", "group/b"}})
	if got.Sym != "pod/shop/web-0/port" || got.Sym != port.Sym(web) || got.In != ovs.SwitchPorts.Of(inner.Row) || len(got.Also) != 2 {
		t.Errorf("the row is %+v", got)
	}
	if len(model.Addresses) != 1 || model.Addresses[0] != "0a:58:0a:10:00:05 10.16.0.5 fd00::5" || len(model.PortSecurity)+len(model.Options)+len(model.ExternalIDs) > 0 {
		t.Errorf("the row is %+v", model)
	}
	second, _ := row(t, port.Port{Owner: web, Interface: "net1", Name: "web-0.shop.net1", Switch: inner, Lease: lease})
	if second.Sym != "pod/shop/web-0/port/net1" {
		t.Errorf("the second port of an owner is called %s", second.Sym)
	}
}

// A row that was edited by hand is no Port.
func TestReadRefuses(t *testing.T) {
	for name, change := range map[string]func(*nb.LogicalSwitchPort){
		"no address":                func(r *nb.LogicalSwitchPort) { r.Addresses = nil },
		"two":                       func(r *nb.LogicalSwitchPort) { r.Addresses = append(r.Addresses, "unknown") },
		"no MAC":                    func(r *nb.LogicalSwitchPort) { r.Addresses, r.PortSecurity = []string{"10.16.0.5"}, nil },
		"dynamic":                   func(r *nb.LogicalSwitchPort) { r.Addresses, r.PortSecurity = []string{"dynamic"}, nil },
		"another's in the security": func(r *nb.LogicalSwitchPort) { r.PortSecurity = []string{"0a:58:0a:10:00:06 10.16.0.6"} },
		"one more in the security": func(r *nb.LogicalSwitchPort) {
			r.PortSecurity = append([]string{"0a:58:0a:10:00:06 10.16.0.6"}, r.PortSecurity...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, model := row(t, port.Port{
				Owner: web, Name: "web-0.shop", Switch: inner, Lease: ipam.Lease{Addrs: ipam.Addrs{V4: v4}, MAC: mac}, Security: port.Itself, UID: "uid",
			})
			change(model)
			if got, err := port.Read(model); err == nil {
				t.Errorf("it is read as %+v", got)
			}
		})
	}
}

// The row of each port of an owner says which one it is.
func TestKeyOfIsTheInverse(t *testing.T) {
	for _, key := range []port.Key{port.First(web), {Owner: web, Interface: "net1.default"}, port.First(ovs.Owner{Feature: "node", Key: "n1"})} {
		if got, ok := port.KeyOf(key.Owner, key.Sym()); !ok || got != key {
			t.Errorf("the row %s is the port %s (%t), want %s", key.Sym(), got, ok, key)
		}
	}
	for _, sym := range []ovs.Sym{"pod/shop/web-0/port/", "pod/shop/web-0/ports", "pod/shop/web-01/port", "pod/shop/web-0/dhcp"} {
		if got, ok := port.KeyOf(web, sym); ok {
			t.Errorf("the row %s is the port %s", sym, got)
		}
	}
}
