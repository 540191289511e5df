package host

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/woven-cni/woven/pkg/host/kernel"
	"github.com/woven-cni/woven/pkg/host/vsdb"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/ovstest"
	"github.com/woven-cni/woven/pkg/ovs/vswitch"
)

const (
	rootUUID   = "00000000-0000-4000-8000-000000000001"
	brIntUUID  = "00000000-0000-4000-8000-000000000002"
	brEth1UUID = "00000000-0000-4000-8000-000000000003"
)

// input1 is a node on the kernel's datapath whose Open vSwitch is new, but for ovn-controller's bridge.
func input1() Input {
	mac, _ := net.ParseMAC("52:54:00:00:00:01")
	return Input{
		Config:  Config{NodeName: "node1", EncapChecksum: true, ServiceCIDRs: cidrs("10.96.0.0/12"), ClosedPorts: []uint16{10665}},
		Cluster: cluster1(),
		Seen: kernel.Seen{
			Devices: []kernel.Device{
				{Name: "lo", Up: true, MTU: 65536},
				{Name: "eth0", Up: true, MTU: 1500, Addresses: cidrs("172.31.0.1/24")},
				{Name: "eth1", Up: true, MTU: 1500, MAC: mac, Addresses: cidrs("172.30.0.1/24")},
			},
			Routes: []kernel.Route{
				kernel.Connected("eth1", cidrs("172.30.0.1/24")[0]),
				{Dst: cidrs("192.0.2.0/24")[0], Gateway: netip.MustParseAddr("172.30.0.254"), Link: "eth1", Protocol: 3},
			},
		},
		Switch: Switch{
			Root:    &vswitch.OpenvSwitch{UUID: rootUUID, ExternalIDs: map[string]string{"theirs": "1"}},
			Bridges: map[string]*vswitch.Bridge{vsdb.IntegrationBridge: {UUID: brIntUUID, Name: vsdb.IntegrationBridge}},
			Ports:   map[string]*vswitch.Port{}, Interfaces: map[string]*vsdb.Interface{},
		},
	}
}

// userspace is input1 on the userspace datapath, with tunnels over eth1.
func userspace() Input {
	in := input1()
	in.Config.Userspace, in.Config.Interface = true, "eth[1-9]"
	return in
}

// taken is userspace after vswitchd has made the tunnel bridge's device.
func taken() Input {
	in := userspace()
	in.Seen.Devices = append(in.Seen.Devices, kernel.Device{Name: "br-eth1", MTU: 1500})
	in.Switch.Bridges["br-eth1"] = &vswitch.Bridge{UUID: brEth1UUID, Name: "br-eth1", DatapathType: "netdev", ExternalIDs: map[string]string{
		keyNIC: "eth1", "vendor": vsdb.Vendor, "woven/owner": "host/bridge/br-eth1", "woven/id": "host/bridge/br-eth1",
		keySaved: `{"addresses":["172.30.0.1/24"],"routes":[{"dst":"192.0.2.0/24","gw":"172.30.0.254","dev":"eth1","proto":3}]}`,
	}}
	return in
}

// TestTranslate holds what each feature makes of a node, a page for each node.
func TestTranslate(t *testing.T) {
	for name, in := range map[string]func() Input{
		"kernel": input1,
		"kernel-before-the-controller-answers": func() Input {
			in := input1()
			in.Node.Join, in.Remotes = nil, nil
			return in
		},
		"kernel-before-ovn-controller": func() Input {
			in := input1()
			in.Switch.Bridges = map[string]*vswitch.Bridge{}
			return in
		},
		"kernel-without-remotes-keeps-the-last": func() Input {
			in := input1()
			in.Remotes = nil
			in.Switch.Root.ExternalIDs = map[string]string{keyRemote: "tcp:172.31.0.9:6642"}
			return in
		},
		"kernel-with-ovn0-of-before": func() Input {
			in := input1()
			port, one := "00000000-0000-4000-8000-000000000004", 1
			in.Switch.Ports["ovn0"] = &vswitch.Port{UUID: port, Name: "ovn0"}
			in.Switch.Interfaces["ovn0"] = &vsdb.Interface{Interface: &vswitch.Interface{
				UUID: "00000000-0000-4000-8000-000000000005", Name: "ovn0", Ofport: &one, ExternalIDs: map[string]string{"ovn-installed": "true"},
			}}
			in.Seen.Devices = append(in.Seen.Devices, kernel.Device{Name: "ovn0", Up: true})
			return in
		},
		"nothing-matches-the-choice": func() Input {
			in := input1()
			in.Node.TunnelInterface = "bond.*"
			return in
		},
		"the-choice-is-no-expression": func() Input {
			in := input1()
			in.Node.TunnelInterface = "eth["
			return in
		},
		"annotations-that-cannot-be-read": func() Input {
			in := input1()
			in.Node.Join, in.Node.Unreadable = nil, "annotation ovn.kubernetes.io/cidr: no slash"
			return in
		},
		"userspace-before-the-bridge-has-a-device": userspace,
		"userspace-takes-the-addresses-over":       taken,
		"userspace-when-the-interface-is-empty": func() Input {
			in := taken()
			in.Seen.Devices[2].Addresses, in.Seen.Routes = nil, nil
			in.Seen.Devices[3].Addresses = cidrs("172.30.0.1/24")
			return in
		},
		"another-interface-is-chosen-and-the-bridge-gives-back": func() Input {
			in := taken()
			in.Config.Interface = "eth0"
			in.Seen.Devices[2].Addresses, in.Seen.Routes = nil, nil
			return in
		},
		"another-interface-is-chosen-and-the-bridge-has-given-back": func() Input {
			in := taken()
			in.Config.Interface = "eth0"
			return in
		},
	} {
		t.Run(name, func(t *testing.T) {
			given := in()
			got := page(given)
			ovstest.Golden(t, filepath.Join("testdata", name+".golden"), got)
			if again := page(in()); again != got {
				t.Error("the same input makes another page")
			}
			if !reflect.DeepEqual(given, in()) {
				t.Error("translating changed the input")
			}
		})
	}
}

// page shows what each feature wants.
func page(in Input) string {
	var b strings.Builder
	for _, f := range Features() {
		fmt.Fprintf(&b, "-- %s --\n", f.Name)
		want, problems := f.Translate(in)
		for _, r := range want.Rows {
			fmt.Fprintf(&b, "rows of %s\n%s", r.Owner, indent(r.Want.Text(ovs.NodeSwitch)))
		}
		b.WriteString(state(want.Kernel))
		for _, p := range problems {
			fmt.Fprintf(&b, "problem %s: %s\n", p.Reason, p.Message)
		}
	}
	return b.String()
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n  ") + "\n"
}

func state(s kernel.State) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(s.Links)) {
		fmt.Fprintf(&b, "link %s up %t, checksums in software %t\n", name, s.Links[name].Up, s.Links[name].SoftChecksum)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Addresses)) {
		fmt.Fprintf(&b, "addresses of %s %v\n", name, s.Addresses[name])
	}
	for _, r := range s.Routes {
		fmt.Fprintf(&b, "route %s proto %d\n", r, r.Protocol)
	}
	for _, key := range slices.Sorted(maps.Keys(s.Sysctls)) {
		fmt.Fprintf(&b, "sysctl %s = %s\n", key, s.Sysctls[key])
	}
	if n := s.Netfilter; len(n.Cluster) > 0 {
		fmt.Fprintf(&b, "sources %v\ncluster %v\nown %v\ndatabases %v\ndoors %v\n", n.Sources, n.Cluster, n.Own, n.Databases, n.Doors)
	}
	if s.KeepRoutes || s.KeepNetfilter {
		fmt.Fprintf(&b, "keep routes %t, netfilter %t\n", s.KeepRoutes, s.KeepNetfilter)
	}
	if len(s.TakenOver) > 0 {
		fmt.Fprintf(&b, "taken over %v\n", s.TakenOver)
	}
	return b.String()
}
