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
	"golang.org/x/sys/unix"

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
	hosttest.Must(t, netlink.AddrAdd(lo, &netlink.Addr{IPNet: ipNetOf(netip.PrefixFrom(outer, 32))}))
	t.Cleanup(func() { _ = netlink.AddrDel(lo, &netlink.Addr{IPNet: ipNetOf(netip.PrefixFrom(outer, 32))}) })
	hosttest.Must(t, netlink.AddrAdd(veth, &netlink.Addr{IPNet: ipNetOf(netip.PrefixFrom(joined, 16))}))
	gateway := net.ParseIP("100.64.0.1")
	hosttest.Must(t, netlink.NeighSet(&netlink.Neigh{
		LinkIndex: veth.Attrs().Index, State: netlink.NUD_PERMANENT, IP: gateway, HardwareAddr: net.HardwareAddr{0x0e, 0, 0, 0, 0, 1},
	}))
	hosttest.Must(t, netlink.RouteAdd(&netlink.Route{Dst: ipNetOf(netip.MustParsePrefix("10.16.0.0/16")), Gw: gateway}))
	for name, value := range map[string]string{"ip_forward": "1", "conf/all/rp_filter": "0", "conf/ovn0/rp_filter": "0"} {
		hosttest.Must(t, os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(value), 0o644)) //nolint:gosec // the kernel's file
	}
	hosttest.Must(t, applyNAT(NATPlan{Rebuild: true}))
	t.Cleanup(func() { _ = exec.Command("nft", "delete", "table", "inet", natTable).Run() })
	proxy := exec.Command("nft", "-f", "-")
	proxy.Stdin = strings.NewReader(`table ip proxy {
		chain prerouting { type nat hook prerouting priority dstnat; udp dport 30080 dnat to 10.16.0.9:8080; }
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

// source is where the next UDP packet to an address that comes out of ovn0 says it is from; invalid if none comes.
func (w *wire) source(to netip.Addr) netip.Addr {
	w.Helper()
	frame := make([]byte, 2000)
	for began := time.Now(); time.Since(began) < 5*time.Second; {
		n, from, err := unix.Recvfrom(w.fd, frame, 0)
		if err != nil {
			return netip.Addr{}
		}
		sent := from.(*unix.SockaddrLinklayer).Pkttype == unix.PACKET_OUTGOING // by the test itself
		if ip := frame[14:n]; n >= 34 && !sent && frame[12] == 8 && frame[13] == 0 && ip[9] == unix.IPPROTO_UDP &&
			netip.AddrFrom4([4]byte(ip[16:20])) == to {
			return netip.AddrFrom4([4]byte(ip[12:16]))
		}
	}
	return netip.Addr{}
}

// send sends a UDP packet into ovn0, as OVN does.
func (w *wire) send(from, to netip.Addr, port uint16) {
	w.Helper()
	frame := append(append([]byte{}, w.door...), 0x0e, 0, 0, 0, 0, 1, 8, 0)
	ip := []byte{0x45, 0, 0, 28, 0, 1, 0, 0, 64, unix.IPPROTO_UDP, 0, 0}
	ip = append(append(ip, from.AsSlice()...), to.AsSlice()...)
	var sum uint32
	for i := 0; i < len(ip); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	sum = sum&0xffff + sum>>16
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum+sum>>16)) //nolint:gosec // folded to 16 bits
	frame = append(frame, ip...)
	frame = append(frame, 0x9c, 0x40, byte(port>>8), byte(port), 0, 8, 0, 0)
	hosttest.Must(w.T, unix.Sendto(w.fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: w.index}))
}

// What comes out of ovn0 has a source by which the answer comes back the same way.
func TestNATRules(t *testing.T) {
	w := newWire(t)
	for _, from := range []netip.Addr{joined, outer} {
		conn, err := net.DialUDP("udp", &net.UDPAddr{IP: from.AsSlice()}, &net.UDPAddr{IP: podA.AsSlice(), Port: 80})
		hosttest.Must(t, err)
		_, err = conn.Write([]byte("x"))
		hosttest.Must(t, err)
		if got := w.source(podA); got != joined {
			t.Errorf("a pod sees the node, which called as %s, as %s", from, got)
		}
		hosttest.Must(t, conn.Close())
	}
	w.send(podA, outer, 30080)
	if got := w.source(podB); got != joined {
		t.Errorf("a pod that called a port of the node is seen as %s behind it", got)
	}
	w.send(foreign, podB, 8080)
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
