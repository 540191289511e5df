package kernel

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/woven-cni/woven/pkg/host/hosttest"
)

// crossing is a node between pods, behind ovn0, and a street, behind eth0. In the street there are a node with a database, .99,
// and a host with none, .98.
type crossing struct {
	*testing.T
	pods, street string // paths of their network namespaces
}

func newCrossing(t *testing.T) *crossing {
	t.Helper()
	c := &crossing{T: t}
	c.pods = c.road(NodeInterface, []string{"10.16.0.1/16", "fd00:10:16::1/64"}, []string{"10.16.0.5/16", "fd00:10:16::5/64"})
	c.street = c.road("eth0", []string{"192.0.2.1/24", "2001:db8::1/64"},
		[]string{"192.0.2.99/24", "192.0.2.98/24", "2001:db8::99/64", "2001:db8::98/64"})
	for name, value := range map[string]string{
		"ipv4/ip_forward": "1", "ipv6/conf/all/forwarding": "1", "ipv4/conf/all/rp_filter": "0", "ipv4/conf/ovn0/rp_filter": "0",
	} {
		hosttest.Must(t, os.WriteFile(filepath.Join(sysctlRoot, "net", name), []byte(value), 0o644)) //nolint:gosec // the kernel's file
	}
	c.listen("192.0.2.1", "10.16.0.1", "2001:db8::1", "127.0.0.1")
	hosttest.Must(t, hosttest.Inside(t, c.street, func() error {
		c.listen("192.0.2.98", "192.0.2.99", "2001:db8::98", "2001:db8::99")
		return nil
	}))
	hosttest.Must(t, hosttest.Inside(t, c.pods, func() error { c.listen("10.16.0.5"); return nil }))
	c.proxy()
	return c
}

// road makes an interface of the node, and a namespace at its far end from where the node is the way to everywhere.
func (c *crossing) road(name string, near, far []string) (path string) {
	c.Helper()
	path, _ = hosttest.NetNS(c)
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "far-" + name}
	hosttest.Must(c, netlink.LinkAdd(veth))
	c.Cleanup(func() { _ = netlink.LinkDel(veth) })
	peer, err := netlink.LinkByName("far-" + name)
	hosttest.Must(c, err)
	there, err := netns.GetFromPath(path)
	hosttest.Must(c, err)
	defer there.Close()
	hosttest.Must(c, netlink.LinkSetNsFd(peer, int(there)))
	hosttest.Must(c, address(name, near))
	hosttest.Must(c, hosttest.Inside(c, path, func() error {
		if err := address("far-"+name, far); err != nil {
			return err
		}
		for _, gateway := range near {
			if err := netlink.RouteAdd(&netlink.Route{Gw: netip.MustParsePrefix(gateway).Addr().AsSlice()}); err != nil {
				return err
			}
		}
		return nil
	}))
	return path
}

func address(name string, addresses []string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	for _, text := range addresses {
		if err := applyAddress(LinkAddress{name, netip.MustParsePrefix(text)}, netlink.AddrReplace, "adding"); err != nil {
			return err
		}
	}
	return nil
}

// listen answers on the ports of addresses, in the namespace of the thread.
func (c *crossing) listen(addresses ...string) {
	c.Helper()
	for _, address := range addresses {
		for _, port := range []string{"6640", "6641", "6642", "6643", "6644", "6645", "10665"} {
			listener, err := (&net.ListenConfig{}).Listen(c.Context(), "tcp", net.JoinHostPort(address, port))
			hosttest.Must(c, err)
			c.Cleanup(func() { _ = listener.Close() })
		}
		for _, port := range []string{"6081", "6082"} {
			conn, err := (&net.ListenConfig{}).ListenPacket(c.Context(), "udp", net.JoinHostPort(address, port))
			hosttest.Must(c, err)
			c.Cleanup(func() { _ = conn.Close() })
			go echo(conn)
		}
	}
}

func echo(conn net.PacketConn) {
	packet := make([]byte, 4096)
	for {
		n, from, err := conn.ReadFrom(packet)
		if err != nil {
			return
		}
		_, _ = conn.WriteTo(packet[:n], from)
	}
}

// proxy is what kube-proxy makes of Services whose endpoints somebody wrote by hand.
func (c *crossing) proxy() {
	c.Helper()
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(`table inet proxy {
		chain prerouting { type nat hook prerouting priority dstnat;
			fib daddr type local tcp dport 30641 dnat ip to 192.0.2.99:6641
			fib daddr type local tcp dport 30640 dnat ip to 192.0.2.99:6640
			fib daddr type local tcp dport 30642 dnat ip to 192.0.2.1:6642
			fib daddr type local udp dport 30081 dnat ip to 192.0.2.98:6081
			fib daddr type local udp dport 30082 dnat ip to 192.0.2.1:6081
			fib daddr type local udp dport 30083 dnat ip to 10.16.0.5:6081
			fib daddr type local tcp dport 30641 dnat ip6 to [2001:db8::99]:6641
		}
		chain output { type nat hook output priority -100; tcp dport 30642 dnat ip to 192.0.2.1:6642; }
		chain postrouting { type nat hook postrouting priority srcnat; ct status dnat masquerade; }
	}`)
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.Fatalf("making the proxy's rules: %v: %s", err, out)
	}
	c.Cleanup(func() { _ = exec.Command("nft", "delete", "table", "inet", "proxy").Run() })
}

// reaches tells whether somebody answers. A network namespace of "" is the node's own.
func (c *crossing) reaches(from, network, to string) bool {
	c.Helper()
	var answered bool
	call := func() error {
		conn, err := (&net.Dialer{Timeout: 300 * time.Millisecond}).DialContext(c.Context(), network, to)
		if err != nil {
			return nil //nolint:nilerr // it is the answer
		}
		defer conn.Close()
		answered = network == "tcp"
		if network == "udp" {
			// Larger than a frame: it comes in fragments.
			_ = conn.SetDeadline(time.Now().Add(300 * time.Millisecond))
			_, _ = conn.Write(make([]byte, 3000))
			n, err := conn.Read(make([]byte, 4096))
			answered = err == nil && n == 3000
		}
		return nil
	}
	if from == "" {
		_ = call()
		return answered
	}
	hosttest.Must(c, hosttest.Inside(c, from, call))
	return answered
}

// Pods, and whoever comes by a Service, reach neither databases nor the ends of tunnels; all else is reached.
func TestDoors(t *testing.T) {
	c := newCrossing(t)
	doors := []uint16{6641, 6642, 6643, 6644, 10665}
	plan := NetfilterPlan{Rebuild: true, Add: Netfilter{Doors: doors, Databases: []netip.Prefix{
		netip.MustParsePrefix("192.0.2.99/32"), netip.MustParsePrefix("2001:db8::99/128"),
	}}}
	hosttest.Must(t, applyNetfilter(plan))
	t.Cleanup(func() { _ = exec.Command("nft", "delete", "table", "inet", tableName).Run() })
	hosttest.Must(t, exec.Command("nft", "list", "ruleset").Run())
	for _, call := range []struct {
		from, network, to string
		want              bool
	}{
		{c.pods, "tcp", "192.0.2.1:6640", true}, // a neighbour of each closed port
		{c.pods, "tcp", "192.0.2.1:6641", false},
		{c.pods, "tcp", "192.0.2.1:6642", false},
		{c.pods, "tcp", "192.0.2.1:6643", false},
		{c.pods, "tcp", "192.0.2.1:6644", false},
		{c.pods, "tcp", "192.0.2.1:6645", true},
		{c.pods, "tcp", "192.0.2.1:10665", false},
		{c.pods, "tcp", "10.16.0.1:6641", false}, // whatever the node's address
		{c.pods, "tcp", "[2001:db8::1]:6641", false},
		{c.pods, "tcp", "[2001:db8::1]:6645", true},
		{c.pods, "udp", "192.0.2.1:6081", false},
		{c.pods, "udp", "[2001:db8::1]:6081", false},
		{c.pods, "udp", "192.0.2.1:6082", true},
		{c.pods, "udp", "[2001:db8::1]:6082", true},
		// to the street
		{c.pods, "tcp", "192.0.2.99:6641", false},
		{c.pods, "tcp", "192.0.2.99:6644", false},
		{c.pods, "tcp", "192.0.2.99:6645", true},
		{c.pods, "tcp", "192.0.2.98:6641", true}, // nobody of ours is there
		{c.pods, "tcp", "[2001:db8::99]:6642", false},
		{c.pods, "tcp", "[2001:db8::98]:6642", true},
		{c.pods, "udp", "192.0.2.98:6081", false},
		{c.pods, "udp", "[2001:db8::98]:6081", false},
		{c.pods, "udp", "192.0.2.98:6082", true},
		{c.pods, "udp", "[2001:db8::98]:6082", true},
		// by Services
		{c.pods, "tcp", "192.0.2.1:30640", true},
		{c.pods, "tcp", "192.0.2.1:30641", false},
		{c.pods, "tcp", "[2001:db8::1]:30641", false},
		{c.pods, "tcp", "192.0.2.1:30642", false},
		{c.pods, "udp", "192.0.2.1:30081", false},
		{c.pods, "udp", "192.0.2.1:30082", false},
		{c.street, "tcp", "192.0.2.1:30640", true},
		{c.street, "tcp", "192.0.2.1:30641", false},
		{c.street, "tcp", "192.0.2.1:30642", false},
		{c.street, "udp", "192.0.2.1:30081", false},
		{c.street, "udp", "192.0.2.1:30082", false},
		{c.street, "udp", "192.0.2.1:30083", true}, // to a pod: its own business
		// nodes among themselves
		{c.street, "tcp", "192.0.2.1:6641", true},
		{c.street, "udp", "192.0.2.1:6081", true},
		{"", "tcp", "192.0.2.1:6641", true},
		{"", "tcp", "192.0.2.99:6641", true},
		{"", "udp", "192.0.2.99:6081", true},
		{"", "tcp", "192.0.2.1:30642", true},
		{"", "tcp", "127.0.0.1:10665", true},
	} {
		got := c.reaches(call.from, call.network, call.to)
		for range 10 { // neighbours are looked up first, and that may take more than one try
			got = got || call.want && c.reaches(call.from, call.network, call.to)
		}
		if got != call.want {
			t.Errorf("from %q: %s %s answers: %t", filepath.Base(filepath.Dir(call.from)), call.network, call.to, got)
		}
	}
	have, err := observeNetfilter()
	hosttest.Must(t, err)
	if plan := diffNetfilter(plan.Add, have); plan != nil {
		t.Errorf("what was made does not read back: %+v", plan)
	}
}
