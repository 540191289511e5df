package kernel

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/woven-cni/woven/pkg/host/hosttest"
)

// advertise sends a router advertisement from a link of another namespace: "I am a router, and this is the prefix".
func advertise(t *testing.T, netns, from string, prefix netip.Prefix) error {
	t.Helper()
	message := make([]byte, 16+32)
	message[0], message[4] = 134, 64 // router advertisement; hop limit
	binary.BigEndian.PutUint16(message[6:], 1800)
	option := message[16:]
	option[0], option[1], option[2], option[3] = 3, 4, byte(prefix.Bits()), 0xc0 // prefix information: on link, autonomous
	binary.BigEndian.PutUint32(option[4:], 86400)
	binary.BigEndian.PutUint32(option[8:], 14400)
	copy(option[16:], prefix.Addr().AsSlice())
	return hosttest.Inside(t, netns, func() error {
		link, err := netlink.LinkByName(from)
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255); err != nil {
			return err
		}
		all := netip.MustParseAddr("ff02::1").As16()
		return unix.Sendto(fd, message, 0, &unix.SockaddrInet6{Addr: all, ZoneId: uint32(link.Attrs().Index)})
	})
}

// slaac is a node's link that has its address and its way out from a router's advertisements.
type slaac struct {
	*testing.T
	link   netlink.Link
	router string // the router's namespace
	prefix netip.Prefix
}

func newSLAAC(t *testing.T) *slaac {
	t.Helper()
	s := &slaac{T: t, prefix: netip.MustParsePrefix("2001:db8:7::/64")}
	s.router, _ = hosttest.NetNS(t)
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "uplink"}, PeerName: "downlink"}
	hosttest.Must(t, netlink.LinkAdd(veth))
	t.Cleanup(func() { _ = netlink.LinkDel(veth) })
	far, err := netlink.LinkByName("downlink")
	hosttest.Must(t, err)
	s.link = veth
	hosttest.Must(t, hosttest.MoveLink(far, s.router))
	hosttest.Must(t, hosttest.Inside(t, s.router, func() error {
		link, err := netlink.LinkByName("downlink")
		if err != nil {
			return err
		}
		address := &net.IPNet{IP: net.ParseIP("fe80::1"), Mask: net.CIDRMask(64, 128)}
		if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: address, Flags: unix.IFA_F_NODAD}); err != nil {
			return err
		}
		return netlink.LinkSetUp(link)
	}))
	hosttest.Must(t, netlink.LinkSetUp(veth))
	return s
}

// learn has the router speak until the node has a default route by it.
func (s *slaac) learn(what string) {
	s.Helper()
	hosttest.Eventually(s, what, func() bool {
		// The first fail, until the link is up.
		return advertise(s.T, s.router, "downlink", s.prefix) == nil && s.hasWayOut()
	})
}

func (s *slaac) hasWayOut() bool {
	s.Helper()
	routes, err := netlink.RouteList(s.link, netlink.FAMILY_V6)
	hosttest.Must(s, err)
	return slices.ContainsFunc(routes, func(r netlink.Route) bool { return r.Protocol == unix.RTPROT_RA && r.Gw != nil })
}

func (s *slaac) hasAddress() bool {
	s.Helper()
	seen, err := Dump()
	hosttest.Must(s, err)
	return slices.ContainsFunc(seen.Device("uplink").Addresses, func(p netip.Prefix) bool { return s.prefix.Contains(p.Addr()) })
}

// TestNodeThatForwardsKeepsWhatRoutersAdvertise: a node that has IPv6 by SLAAC has it also after Woven made it forward,
// learns it anew when it is lost, and a second look changes nothing.
func TestNodeThatForwardsKeepsWhatRoutersAdvertise(t *testing.T) {
	s := newSLAAC(t)
	deaf := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "deaf"}, PeerName: "taken"}
	hosttest.Must(t, netlink.LinkAdd(deaf))
	t.Cleanup(func() { _ = netlink.LinkDel(deaf) })
	hosttest.Must(t, writeSysctl(acceptRA("deaf"), "0"))
	hosttest.Must(t, writeSysctl(Forwarding6, "0"))
	t.Cleanup(func() { hosttest.Must(t, writeSysctl(Forwarding6, "0")) })
	s.learn("the node has a way out by its router")
	want := State{Sysctls: map[string]string{Forwarding6: "1"}, TakenOver: []string{"taken"}}
	look := func() Plan {
		t.Helper()
		have, err := Observe(want)
		hosttest.Must(t, err)
		have.Netfilter = Netfilter{}
		return Diff(want, have)
	}
	hosttest.Must(t, Apply(look()))
	if !s.hasWayOut() || !s.hasAddress() {
		t.Error("the node has lost its way out by IPv6, or its address")
	}
	routes, err := netlink.RouteList(s.link, netlink.FAMILY_V6)
	hosttest.Must(t, err)
	for i := range routes {
		if routes[i].Protocol == unix.RTPROT_RA {
			hosttest.Must(t, netlink.RouteDel(&routes[i]))
		}
	}
	s.learn("the node learns its way out again")
	for link, value := range map[string]string{"uplink": "2", "deaf": "0", "taken": "1"} {
		if have, _, err := readSysctl(acceptRA(link)); err != nil || have != value {
			t.Errorf("accept_ra of %s is %s, %v; want %s", link, have, err, value)
		}
	}
	if again := look(); !again.Empty() {
		t.Errorf("a second look finds %s", again)
	}
}
