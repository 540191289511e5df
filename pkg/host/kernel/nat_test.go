package kernel

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"go4.org/netipx"
	"golang.org/x/sys/unix"

	kubeovnv1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/host/hosttest"
)

func TestMain(m *testing.M) { hosttest.Main(m) }

// Addresses of TestNATRules: the node's on the join subnet and elsewhere, and two pods'.
var (
	joined  = netip.MustParseAddr("100.64.0.2")
	outer   = netip.MustParseAddr("192.0.2.1")
	podA    = netip.MustParseAddr("10.16.0.5")
	podB    = netip.MustParseAddr("10.16.0.9")
	foreign = netip.MustParseAddr("192.0.2.99")
)

// wire is the far end of ovn0.
type wire struct {
	*testing.T
	fd, index int
	door      net.HardwareAddr // ovn0's MAC
}

// newWire makes an ovn0 with its rules, and a port of the node that leads to podB as kube-proxy would have one.
func newWire(t *testing.T) *wire {
	t.Helper()
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: NodeInterface}, PeerName: "ovn"}
	hosttest.Must(t, netlink.LinkAdd(veth))
	t.Cleanup(func() { _ = netlink.LinkDel(veth) })
	peer, err := netlink.LinkByName("ovn")
	hosttest.Must(t, err)
	hosttest.Must(t, netlink.LinkSetUp(veth))
	hosttest.Must(t, netlink.LinkSetUp(peer))
	lo, err := netlink.LinkByName("lo")
	hosttest.Must(t, err)
	hosttest.Must(t, netlink.AddrAdd(lo, &netlink.Addr{IPNet: netipx.PrefixIPNet(netip.PrefixFrom(outer, 32))}))
	t.Cleanup(func() { _ = netlink.AddrDel(lo, &netlink.Addr{IPNet: netipx.PrefixIPNet(netip.PrefixFrom(outer, 32))}) })
	hosttest.Must(t, netlink.AddrAdd(veth, &netlink.Addr{IPNet: netipx.PrefixIPNet(netip.PrefixFrom(joined, 16))}))
	gateway := net.ParseIP("100.64.0.1")
	hosttest.Must(t, netlink.NeighSet(&netlink.Neigh{
		LinkIndex: veth.Attrs().Index, State: netlink.NUD_PERMANENT, IP: gateway, HardwareAddr: net.HardwareAddr{0x0e, 0, 0, 0, 0, 1},
	}))
	hosttest.Must(t, netlink.RouteAdd(&netlink.Route{Dst: netipx.PrefixIPNet(netip.MustParsePrefix("10.16.0.0/16")), Gw: gateway}))
	for name, value := range map[string]string{"ip_forward": "1", "conf/all/rp_filter": "0", "conf/ovn0/rp_filter": "0"} {
		hosttest.Must(t, os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(value), 0o644)) //nolint:gosec // the kernel's file
	}
	hosttest.Must(t, applyNetfilter(NetfilterPlan{Rebuild: true, Add: Netfilter{Own: []netip.Prefix{netip.PrefixFrom(outer, 32)}}}))
	if have, err := observeNetfilter(); err != nil || have.Broken {
		t.Fatalf("the rules do not read back: %v, %v", have, err)
	}
	hosttest.Must(t, exec.Command("nft", "list", "ruleset").Run()) // others list them, and must be able to
	t.Cleanup(func() { _ = exec.Command("nft", "delete", "table", "inet", tableName).Run() })
	proxy := exec.Command("nft", "-f", "-")
	proxy.Stdin = strings.NewReader(`table ip proxy {
		chain prerouting { type nat hook prerouting priority dstnat; udp dport { 30080, 30081 } dnat to 10.16.0.9:8080; }
		chain output { type nat hook output priority -100; udp dport { 53, 30080 } dnat to 10.16.0.9:8080; }
		chain postrouting {
			type nat hook postrouting priority srcnat; meta l4proto udp ct original proto-dst 30080 masquerade fully-random;
		}
	}`)
	hosttest.Must(t, proxy.Run())
	t.Cleanup(func() { _ = exec.Command("nft", "delete", "table", "ip", "proxy").Run() })
	return listen(t, peer.Attrs().Index, veth)
}

func listen(t *testing.T, index int, door netlink.Link) *wire {
	t.Helper()
	const all = 0x0300 // ETH_P_ALL in network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, all)
	hosttest.Must(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	hosttest.Must(t, unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: index}))
	hosttest.Must(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 2}))
	link, err := netlink.LinkByIndex(door.Attrs().Index)
	hosttest.Must(t, err)
	return &wire{T: t, fd: fd, index: index, door: link.Attrs().HardwareAddr}
}

// source is which address the next UDP packet to an address that comes out of ovn0 says it is from; invalid if none comes.
func (w *wire) source(to netip.Addr) netip.Addr { return w.sourcePort(to).Addr() }

func (w *wire) sourcePort(to netip.Addr) netip.AddrPort {
	w.Helper()
	frame := make([]byte, 2000)
	for began := time.Now(); time.Since(began) < 5*time.Second; {
		n, from, err := unix.Recvfrom(w.fd, frame, 0)
		if err != nil {
			return netip.AddrPort{}
		}
		sent := from.(*unix.SockaddrLinklayer).Pkttype == unix.PACKET_OUTGOING // by the test itself
		if ip := frame[14:n]; n >= 34 && !sent && frame[12] == 8 && frame[13] == 0 && ip[9] == unix.IPPROTO_UDP &&
			netip.AddrFrom4([4]byte(ip[16:20])) == to {
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[12:16])), binary.BigEndian.Uint16(ip[20:]))
		}
	}
	return netip.AddrPort{}
}

// send sends a UDP packet into the node from the far end.
func (w *wire) send(from, to netip.AddrPort) {
	w.Helper()
	frame := append(append([]byte{}, w.door...), 0x0e, 0, 0, 0, 0, 1, 8, 0)
	ip := []byte{0x45, 0, 0, 28, 0, 1, 0, 0, 64, unix.IPPROTO_UDP, 0, 0}
	ip = append(append(ip, from.Addr().AsSlice()...), to.Addr().AsSlice()...)
	var sum uint32
	for i := 0; i < len(ip); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	sum = sum&0xffff + sum>>16
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum+sum>>16)) //nolint:gosec // folded to 16 bits
	frame = append(frame, ip...)
	frame = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(frame, from.Port()), to.Port())
	frame = append(frame, 0, 8, 0, 0)
	hosttest.Must(w.T, unix.Sendto(w.fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: w.index}))
}

// call calls an address from one of the node's.
func call(t *testing.T, from netip.Addr, to netip.AddrPort) {
	t.Helper()
	conn, err := net.DialUDP("udp", &net.UDPAddr{IP: from.AsSlice()}, net.UDPAddrFromAddrPort(to))
	hosttest.Must(t, err)
	_, err = conn.Write([]byte("x"))
	hosttest.Must(t, err)
	hosttest.Must(t, conn.Close())
}

// newStreet is the far end of another interface of the node.
func newStreet(t *testing.T) *wire {
	t.Helper()
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "street"}
	hosttest.Must(t, netlink.LinkAdd(veth))
	t.Cleanup(func() { _ = netlink.LinkDel(veth) })
	peer, err := netlink.LinkByName("street")
	hosttest.Must(t, err)
	hosttest.Must(t, netlink.LinkSetUp(veth))
	hosttest.Must(t, netlink.LinkSetUp(peer))
	hosttest.Must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: veth.Attrs().Index, Dst: netipx.PrefixIPNet(netip.PrefixFrom(foreign, 32))}))
	return listen(t, peer.Attrs().Index, veth)
}

// What comes out of ovn0 has a source by which the answer comes back the same way.
func TestNATRules(t *testing.T) {
	w := newWire(t)
	for _, from := range []netip.Addr{joined, outer} {
		call(t, from, netip.AddrPortFrom(podA, 80))
		if got := w.source(podA); got != joined {
			t.Errorf("a pod sees the node, which called as %s, as %s", from, got)
		}
	}
	call(t, outer, netip.MustParseAddrPort("10.16.99.99:53"))
	if got := w.source(podB); got != joined {
		t.Errorf("a pod sees the node, which called a Service, as %s", got)
	}
	w.send(netip.AddrPortFrom(podA, 40000), netip.AddrPortFrom(outer, 30080))
	if got := w.source(podB); got != joined {
		t.Errorf("a pod that called a port of the node is seen as %s behind it", got)
	}
	w.send(netip.AddrPortFrom(foreign, 40000), netip.AddrPortFrom(podB, 8080))
	if got := w.source(podB); got != foreign {
		t.Errorf("what is only forwarded has the source %s", got)
	}
}

func TestIntervalsAreReadBackAsPrefixes(t *testing.T) {
	for _, f := range families {
		texts := []string{"10.0.0.0/16", "10.1.0.0/16", "192.168.1.7/32", "240.0.0.0/4"}
		if !f.is4 {
			texts = []string{"2001:db8::/64", "2001:db8:0:1::/64", "ff00::/8"}
		}
		var want []netip.Prefix
		for _, text := range texts {
			want = append(want, netip.MustParsePrefix(text))
		}
		elements := f.elements(want)
		slices.Reverse(elements)
		if have := f.prefixes(elements); !slices.Equal(have, want) {
			t.Errorf("%v came back as %v", want, have)
		}
	}
}

// A pod knows by the caller's port whether a node called a port of its own or one of this node.
func TestNATRulesOfPorts(t *testing.T) {
	w, street := newWire(t), newStreet(t)
	call(t, outer, netip.AddrPortFrom(outer, 30080))
	if got := w.sourcePort(podB); got.Addr() != outer || got.Port() < kubeovnv1.FirstSelfCallPort {
		t.Errorf("the node that calls its own port is seen as %s", got)
	}
	for _, port := range []uint16{50000, kubeovnv1.FirstSelfCallPort, 65535} {
		street.send(netip.AddrPortFrom(foreign, port), netip.AddrPortFrom(outer, 30081))
		got := w.sourcePort(podB)
		if got.Addr() != foreign || got.Port() >= kubeovnv1.FirstSelfCallPort || port < kubeovnv1.FirstSelfCallPort && got.Port() != port {
			t.Errorf("who calls a port of the node from %d is seen as %s", port, got)
		}
	}
	street.send(netip.AddrPortFrom(foreign, 65000), netip.AddrPortFrom(outer, 30080))
	if got := w.source(podB); got != joined {
		t.Errorf("who calls a port behind which kube-proxy changes the source is seen as %s", got)
	}
}
