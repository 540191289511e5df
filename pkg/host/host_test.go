package host

import (
	"context"
	"maps"
	"net"
	"net/netip"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-logr/logr/testr"
	"github.com/vishvananda/netlink"

	"github.com/woven-cni/woven/pkg/host/hosttest"
	"github.com/woven-cni/woven/pkg/host/kernel"
	"github.com/woven-cni/woven/pkg/host/vsdb"
	"github.com/woven-cni/woven/pkg/ovs/engine"
)

func TestMain(m *testing.M) { hosttest.Main(m) }

// rig is a node with one interface for tunnels, a real Open vSwitch, and a test that plays ovn-controller.
type rig struct {
	*testing.T
	*Host
	ovs  *hosttest.OVSDB
	sent atomic.Value // string: the last transaction

	cluster Cluster
}

// change tells the host of a cluster that differs from the last by what f does.
func (r *rig) change(f func(*Cluster)) {
	r.cluster.Subnets = maps.Clone(r.cluster.Subnets)
	f(&r.cluster)
	r.Set(r.cluster)
}

func (r *rig) setSubnet(s Subnet) { r.change(func(c *Cluster) { c.Subnets[s.Name] = s }) }

func cluster1() Cluster {
	return Cluster{Node: node1(), Remotes: []string{"tcp:172.31.0.1:6642"}, Subnets: map[string]Subnet{
		"join":        {Name: "join", Join: true, Routed: true, CIDRs: cidrs("100.64.0.0/16")},
		"ovn-default": {Name: "ovn-default", Routed: true, NAT: true, CIDRs: cidrs("10.16.0.0/16", "fd00:10:16::/64")},
		"other-vpc":   {Name: "other-vpc", CIDRs: cidrs("10.99.0.0/16")},
	}}
}

const nicName = "eth1"

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{T: t, ovs: hosttest.NewOVSDB(t)}
	nic := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: nicName, MTU: 1500}, PeerName: "wire"}
	hosttest.Must(t, netlink.LinkAdd(nic))
	t.Cleanup(func() { _ = netlink.LinkDel(nic) })
	hosttest.Must(t, netlink.LinkSetUp(nic))
	hosttest.Must(t, netlink.AddrAdd(nic, &netlink.Addr{IPNet: network(t, "172.30.0.1/24")}))
	hosttest.Must(t, netlink.RouteAdd(&netlink.Route{
		Dst: network(t, "192.0.2.0/24"), Gw: net.ParseIP("172.30.0.254"), LinkIndex: nic.Attrs().Index,
	}))
	t.Cleanup(func() { _ = exec.Command("nft", "delete", "table", "inet", "woven").Run() })
	return r
}

// start starts a daemon's part and returns what ends it.
func (r *rig) start() (stop func()) {
	log := testr.NewWithOptions(r.T, testr.Options{Verbosity: 1})
	ctx, cancel := context.WithCancel(context.Background())
	db, err := vsdb.Open(ctx, r.ovs.Endpoint(), engine.WithLogger(log), engine.WithRecorder(func(params []byte) { r.sent.Store(string(params)) }))
	hosttest.Must(r, err)
	r.Host = New(Config{
		NodeName: "node1", Interface: "nothing,eth[1-9]", Userspace: true, EncapChecksum: true,
		ServiceCIDRs: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/12")}, ClosedPorts: []uint16{10665},
	}, db, log)
	var ended sync.WaitGroup
	ended.Go(func() {
		if err := r.Host.Run(ctx); err != nil {
			r.Error(err)
		}
	})
	r.cluster = cluster1()
	r.Set(cluster1())
	return sync.OnceFunc(func() { cancel(); ended.Wait() })
}

func node1() Node {
	mac, _ := net.ParseMAC("0a:58:64:40:00:02")
	return Node{
		InternalIPs: []netip.Addr{netip.MustParseAddr("172.31.0.1")},
		Join: &Join{
			MAC:       mac,
			Addresses: cidrs("100.64.0.2/16", "fd00:100:64::2/64"),
			Gateways:  []netip.Addr{netip.MustParseAddr("100.64.0.1"), netip.MustParseAddr("fd00:100:64::1")},
		},
	}
}

func cidrs(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		out = append(out, netip.MustParsePrefix(text))
	}
	return out
}

func network(t *testing.T, text string) *net.IPNet {
	t.Helper()
	n, err := netlink.ParseIPNet(text)
	hosttest.Must(t, err)
	return n
}

// install plays ovn-controller for ovn0.
func (r *rig) install() {
	r.Helper()
	r.ovs.VSCtl("set", "Interface", kernel.NodeInterface, "external_ids:ovn-installed=true")
}

func (r *rig) awaitReady() {
	r.Helper()
	hosttest.Eventually(r, "the node is ready", func() bool { return r.Ready() == nil })
}

func (r *rig) has(what string, want kernel.State) {
	r.Helper()
	var plan kernel.Plan
	deadline := func() bool {
		have, err := kernel.Observe(want)
		if err != nil {
			r.Fatal(err)
		}
		plan = kernel.Diff(want, have)
		return len(have.Links) == len(want.Links) && plan.Empty()
	}
	defer func() {
		if r.Failed() {
			r.Logf("%s: what differs: %s", what, plan)
		}
	}()
	hosttest.Eventually(r, what, deadline)
}

// whole is the state of a node that is whole.
func whole() kernel.State {
	return kernel.State{
		Links: map[string]kernel.Link{kernel.NodeInterface: {Up: true, MTU: 1442, SoftChecksum: true}, "br-eth1": {Up: true}, nicName: {Up: true}},
		Addresses: map[string][]netip.Prefix{
			kernel.NodeInterface: cidrs("100.64.0.2/16", "fd00:100:64::2/64"),
			"br-eth1":            cidrs("172.30.0.1/24"),
			nicName:              nil,
		},
		Routes: []kernel.Route{
			kernel.Connected(kernel.NodeInterface, cidrs("100.64.0.2/16")[0]),
			kernel.Connected(kernel.NodeInterface, cidrs("fd00:100:64::2/64")[0]),
			{Dst: cidrs("10.16.0.0/16")[0], Gateway: netip.MustParseAddr("100.64.0.1"), Link: kernel.NodeInterface, Protocol: kernel.Protocol},
			{Dst: cidrs("fd00:10:16::/64")[0], Gateway: netip.MustParseAddr("fd00:100:64::1"), Link: kernel.NodeInterface, Protocol: kernel.Protocol},
			{Dst: cidrs("192.0.2.0/24")[0], Gateway: netip.MustParseAddr("172.30.0.254"), Link: "br-eth1", Protocol: 3},
		},
		Sysctls: map[string]string{
			"net/ipv4/ip_forward":               "1",
			"net/ipv4/neigh/ovn0/ucast_solicit": "0", "net/ipv4/neigh/ovn0/mcast_resolicit": "3",
			"net/ipv6/neigh/ovn0/ucast_solicit": "0", "net/ipv6/neigh/ovn0/mcast_resolicit": "3",
		},
		Netfilter: kernel.Netfilter{
			Sources: cidrs("10.16.0.0/16", "fd00:10:16::/64"),
			Cluster: cidrs("10.16.0.0/16", "100.64.0.0/16", "10.96.0.0/12", "fd00:10:16::/64", "fd00:100:64::/64"),
			Own:     cidrs("172.31.0.1/32"), Databases: cidrs("172.31.0.1/32"), Doors: []uint16{6641, 6642, 6643, 6644, 10665},
		},
	}
}

func TestNodeComesUpAndHeals(t *testing.T) {
	r := newRig(t)
	stopSwitch := r.ovs.VSwitchd()
	stop := r.start()
	defer func() { stop() }()
	hosttest.Eventually(t, "ovn0 in Open vSwitch", func() bool {
		return exec.Command("ovs-vsctl", "--db="+r.ovs.Endpoint(), "--no-wait", "get", "Interface", kernel.NodeInterface, "name").Run() == nil
	})
	if err := r.Ready(); err == nil {
		t.Error("the node is ready before OVN has installed anything")
	}
	r.install()
	r.awaitReady()
	r.has("all that a node needs", whole())
	if mtu := r.PodMTU("ovn-default"); mtu != 1442 {
		t.Errorf("pods' MTU is %d, want 1442", mtu)
	}
	ids := r.ovs.VSCtl("get", "Open_vSwitch", ".", "external_ids")
	for _, want := range []string{
		`system-id=node1`, `ovn-encap-ip="172.30.0.1"`, `ovn-remote="tcp:172.31.0.1:6642"`, `ovn-bridge-datapath-type=netdev`,
	} {
		if !strings.Contains(ids, want) {
			t.Errorf("external_ids %s lack %s", ids, want)
		}
	}

	for name, tamper := range map[string][]string{
		"an address deleted":   {"ip", "addr", "del", "100.64.0.2/16", "dev", kernel.NodeInterface},
		"a route deleted":      {"ip", "route", "del", "10.16.0.0/16"},
		"the join's route":     {"ip", "route", "del", "100.64.0.0/16", "dev", kernel.NodeInterface},
		"all routes":           {"ip", "route", "flush", "dev", kernel.NodeInterface},
		"all routes of IPv6":   {"ip", "-6", "route", "flush", "dev", kernel.NodeInterface, "root", "fd00::/8"},
		"a link down":          {"ip", "link", "set", kernel.NodeInterface, "down"},
		"the bridge's address": {"ip", "addr", "flush", "dev", "br-eth1"},
		"an address too many":  {"ip", "addr", "add", "100.64.9.9/16", "dev", kernel.NodeInterface},
		"the rules deleted":    {"nft", "delete", "table", "inet", "woven"},
		"all rules deleted":    {"nft", "flush", "ruleset"},
		"the rules flushed":    {"nft", "flush", "chain", "inet", "woven", "postrouting"},
		"a chain flushed":      {"nft", "flush", "chain", "inet", "woven", "output"},
		"a chain deleted":      {"nft", "delete", "chain", "inet", "woven", "forward"},
		"a door opened":        {"nft", "delete", "element", "inet", "woven", "doors", "{ 6642 }"},
		"a database forgotten": {"nft", "delete", "element", "inet", "woven", "databases4", "{ 172.31.0.1 }"},
		"an element deleted":   {"nft", "delete", "element", "inet", "woven", "sources4", "{ 10.16.0.0/16 }"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &rig{T: t, Host: r.Host, ovs: r.ovs}
			if out, err := exec.Command(tamper[0], tamper[1:]...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			r.has("healed", whole())
		})
	}

	t.Run("vswitchd started again", func(t *testing.T) {
		r := &rig{T: t, Host: r.Host, ovs: r.ovs}
		stopSwitch()
		for _, name := range []string{kernel.NodeInterface, "br-eth1"} { // as after a reboot
			if out, err := exec.Command("ip", "link", "del", name).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
		r.ovs.VSwitchd()
		r.has("healed", whole())
		r.awaitReady()
	})
	t.Run("the daemon started again", func(t *testing.T) {
		stop()
		before := monitorEvents(t)
		again := &rig{T: t, ovs: r.ovs}
		stop = again.start()
		again.awaitReady()
		again.has("as before", whole())
		if changed := before(); changed != "" {
			t.Errorf("a restart changed %s", changed)
		}
		if sent := again.sent.Load(); sent != nil {
			t.Errorf("a restart sent %s", sent)
		}
	})
	t.Run("rows of a version that did not say whose they are", func(t *testing.T) {
		stop()
		before := map[string]string{}
		for table, names := range map[string][]string{"Bridge": {"br-eth1"}, "Port": {"br-eth1", nicName, kernel.NodeInterface}, "Interface": {"br-eth1", nicName, kernel.NodeInterface}} {
			for _, name := range names {
				r.ovs.VSCtl("remove", table, name, "external_ids", "woven/owner", "--", "remove", table, name, "external_ids", "woven/id")
				before[table+" "+name] = r.ovs.VSCtl("get", table, name, "_uuid")
			}
		}
		again := &rig{T: t, ovs: r.ovs}
		stop = again.start()
		again.awaitReady()
		again.has("as before", whole())
		for row, uuid := range before {
			table, name, _ := strings.Cut(row, " ")
			if have := r.ovs.VSCtl("get", table, name, "_uuid"); have != uuid {
				t.Errorf("%s was %s and is %s: it was made anew", row, uuid, have)
			}
			if ids := r.ovs.VSCtl("get", table, name, "external_ids"); !strings.Contains(ids, "woven/owner") {
				t.Errorf("%s has %s", row, ids)
			}
		}
	})
}

// counted is what the kernel's own packets change in a rule, such as those that look for multicast listeners.
var counted = regexp.MustCompile(`packets \d+ bytes \d+`)

// monitorEvents tells what changes in nftables from now on. Rules that are made anew have other handles.
func monitorEvents(t *testing.T) func() string {
	t.Helper()
	list := func() string {
		out, err := exec.Command("nft", "-a", "list", "table", "inet", "woven").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return counted.ReplaceAllString(string(out), "counted")
	}
	before := list()
	return func() string {
		if after := list(); after != before {
			return before + "\nto\n" + after
		}
		return ""
	}
}

func TestAnotherTunnelInterfaceIsChosen(t *testing.T) {
	r := newRig(t)
	nic := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth2", MTU: 1400}, PeerName: "wire2"}
	hosttest.Must(t, netlink.LinkAdd(nic))
	t.Cleanup(func() { _ = netlink.LinkDel(nic) })
	hosttest.Must(t, netlink.AddrAdd(nic, &netlink.Addr{IPNet: network(t, "172.29.0.1/24")}))
	r.ovs.VSwitchd()
	stop := r.start()
	defer stop()
	r.has("eth1 carries tunnels", whole())
	node := node1()
	node.TunnelInterface = "eth2"
	r.change(func(c *Cluster) { c.Node = node })
	want := whole()
	want.Links = map[string]kernel.Link{"br-eth2": {Up: true}, "eth2": {Up: true}, nicName: {Up: true}, kernel.NodeInterface: {Up: true, MTU: 1342}}
	want.Addresses = map[string][]netip.Prefix{
		kernel.NodeInterface: want.Addresses[kernel.NodeInterface], "br-eth2": cidrs("172.29.0.1/24"), "eth2": nil, nicName: cidrs("172.30.0.1/24"),
	}
	saved := slices.IndexFunc(want.Routes, func(r kernel.Route) bool { return r.Link == "br-eth1" })
	want.Routes[saved].Link = nicName
	r.has("eth2 carries tunnels, and eth1 has its own back", want)
}

func TestSubnetsComeAndGo(t *testing.T) {
	r := newRig(t)
	r.ovs.VSwitchd()
	stop := r.start()
	defer stop()
	hosttest.Eventually(t, "ovn0 is there", func() bool { _, err := netlink.LinkByName(kernel.NodeInterface); return err == nil })
	r.setSubnet(Subnet{Name: "web", Routed: true, CIDRs: cidrs("10.17.0.0/16")})
	want := whole()
	want.Routes = append(want.Routes, kernel.Route{
		Dst: cidrs("10.17.0.0/16")[0], Gateway: netip.MustParseAddr("100.64.0.1"), Link: kernel.NodeInterface, Protocol: kernel.Protocol,
	})
	want.Netfilter.Cluster = append(want.Netfilter.Cluster, cidrs("10.17.0.0/16")...)
	r.has("with the new subnet", want)
	r.setSubnet(Subnet{Name: "web", Routed: true}) // refused by the controller: what was accepted stays
	r.setSubnet(Subnet{Name: "web2", Routed: true, NAT: true, CIDRs: cidrs("10.18.0.0/16")})
	want.Netfilter.Cluster = append(want.Netfilter.Cluster, cidrs("10.18.0.0/16")...)
	want.Netfilter.Sources = append(want.Netfilter.Sources, cidrs("10.18.0.0/16")...)
	want.Routes = append(want.Routes, kernel.Route{
		Dst: cidrs("10.18.0.0/16")[0], Gateway: netip.MustParseAddr("100.64.0.1"), Link: kernel.NodeInterface, Protocol: kernel.Protocol,
	})
	r.has("with both", want)
	r.change(func(c *Cluster) {
		delete(c.Subnets, "web")
		delete(c.Subnets, "web2")
	})
	r.has("without", whole())
}

// While nobody has told where the databases are, what protects them stays.
func TestDatabases(t *testing.T) {
	const last = "tcp:172.31.0.1:6642,ssl:[fd00:31::1]:6642,unix:/run/ovn/sb.sock"
	if have := databases(nil, last); !slices.Equal(have, cidrs("172.31.0.1/32", "fd00:31::1/128")) {
		t.Errorf("by the last setting: %v", have)
	}
	if have := databases([]string{"tcp:172.31.0.2:6642", "tcp:172.31.0.2:16642"}, last); !slices.Equal(have, cidrs("172.31.0.2/32")) {
		t.Errorf("as told: %v", have)
	}
	if have := databases(nil, ""); len(have) > 0 {
		t.Errorf("of nothing: %v", have)
	}
}

// TestNewsThatAreNoneWakeNobody: a Subnet's usage changes once a second while pods come and go anywhere.
func TestNewsThatAreNoneWakeNobody(t *testing.T) {
	db, err := vsdb.Open(t.Context(), "unix:/nowhere")
	hosttest.Must(t, err)
	r := &rig{T: t, Host: New(Config{NodeName: "node1"}, db, testr.New(t)), cluster: cluster1()}
	woken := func() bool {
		select {
		case <-r.dirty:
			return true
		default:
			return false
		}
	}
	web := Subnet{Name: "web", Routed: true, CIDRs: cidrs("10.30.0.0/24")}
	other := node1()
	other.Join.Gateways = other.Join.Gateways[:1]
	for _, news := range []struct {
		what string
		tell func(*Cluster)
		want bool
	}{
		{"the cluster is known", func(*Cluster) {}, true},
		{"a subnet comes", func(c *Cluster) { c.Subnets["web"] = web }, true},
		{"its usage changes", func(c *Cluster) { c.Subnets["web"] = web }, false},
		{"an edit is refused", func(c *Cluster) { c.Subnets["web"] = Subnet{Name: "web", Routed: true} }, false},
		{"it moves", func(c *Cluster) { c.Subnets["web"] = Subnet{Name: "web", Routed: true, CIDRs: cidrs("10.31.0.0/24")} }, true},
		{"it goes", func(c *Cluster) { delete(c.Subnets, "web") }, true},
		{"the node's heart beats", func(c *Cluster) { c.Node = node1() }, false},
		{"it is told something else", func(c *Cluster) { c.Node = other }, true},
		{"the database moves", func(c *Cluster) { c.Remotes = []string{"tcp:a:1"} }, true},
	} {
		if r.change(news.tell); woken() != news.want {
			t.Errorf("%s: the node is woken: %t, want %t", news.what, !news.want, news.want)
		}
	}
}

func TestDiffOfEqualStatesIsEmpty(t *testing.T) {
	if plan := kernel.Diff(whole(), whole()); !plan.Empty() {
		t.Errorf("plan %s", plan)
	}
}

func TestChooseLink(t *testing.T) {
	var links []kernel.Device
	for _, name := range []string{"lo", "eth0", "eth1", "ens3f0", "ens3f1"} {
		links = append(links, kernel.Device{Name: name})
	}
	for choice, want := range map[string]string{
		"eth1": "eth1", "ens.*": "ens3f0", "bond0,eth0": "eth0", "th0": "", "bond.*, ens3f1": "ens3f1",
	} {
		have, err := chooseLink(choice, links)
		if have == nil {
			have = &kernel.Device{}
		}
		if err != nil || have.Name != want {
			t.Errorf("%q chose %q, %v; want %q", choice, have.Name, err, want)
		}
	}
	if _, err := chooseLink("eth[", links); err == nil {
		t.Error("a bad expression was accepted")
	}
}
