package kernel

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"go4.org/netipx"
	"golang.org/x/sys/unix"

	"github.com/woven-cni/woven/pkg/host/hosttest"
)

// TestHeals takes away what makes ovn0 work, piece by piece: one look puts all of it back, and the next finds nothing to do.
func TestHeals(t *testing.T) {
	link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: NodeInterface}, PeerName: "far"}
	hosttest.Must(t, netlink.LinkAdd(link))
	t.Cleanup(func() { _ = netlink.LinkDel(link) })
	far, err := netlink.LinkByName("far")
	hosttest.Must(t, err)
	hosttest.Must(t, netlink.LinkSetUp(far))
	addresses := []netip.Prefix{netip.MustParsePrefix("100.64.0.2/16"), netip.MustParsePrefix("fd00:100:64::2/112")}
	want := State{
		Links:     map[string]Link{NodeInterface: {Up: true}},
		Addresses: map[string][]netip.Prefix{NodeInterface: addresses},
		Routes: []Route{
			Connected(NodeInterface, addresses[0]), Connected(NodeInterface, addresses[1]),
			{Dst: netip.MustParsePrefix("10.16.0.0/16"), Gateway: netip.MustParseAddr("100.64.0.1"), Link: NodeInterface, Protocol: Protocol},
			{Dst: netip.MustParsePrefix("fd00:10:16::/64"), Gateway: netip.MustParseAddr("fd00:100:64::1"), Link: NodeInterface, Protocol: Protocol},
		},
	}
	look := func() Plan {
		t.Helper()
		have, err := Observe(want)
		hosttest.Must(t, err)
		have.Netfilter = want.Netfilter
		return Diff(want, have)
	}
	hosttest.Must(t, Apply(look()))
	flush := func(family int) {
		all, err := netlink.RouteList(link, family)
		hosttest.Must(t, err)
		for i := range all {
			if dst := all[i].Dst; dst != nil && !dst.IP.IsLinkLocalUnicast() {
				hosttest.Must(t, netlink.RouteDel(&all[i]))
			}
		}
	}
	route := func(cidr string) *netlink.Route {
		_, dst, err := net.ParseCIDR(cidr)
		hosttest.Must(t, err)
		return &netlink.Route{Dst: dst, LinkIndex: link.Attrs().Index, Scope: unix.RT_SCOPE_NOWHERE}
	}
	for name, damage := range map[string]func(){
		"route of the join subnet":         func() { hosttest.Must(t, netlink.RouteDel(route("100.64.0.0/16"))) },
		"route of the join subnet in IPv6": func() { hosttest.Must(t, netlink.RouteDel(route("fd00:100:64::/112"))) },
		"route of a subnet":                func() { hosttest.Must(t, netlink.RouteDel(route("10.16.0.0/16"))) },
		"route of a subnet in IPv6":        func() { hosttest.Must(t, netlink.RouteDel(route("fd00:10:16::/64"))) },
		"all routes":                       func() { flush(unix.AF_INET); flush(unix.AF_INET6) },
		"address": func() {
			hosttest.Must(t, netlink.AddrDel(link, &netlink.Addr{IPNet: netipx.PrefixIPNet(addresses[0])}))
		},
		"address in IPv6": func() {
			hosttest.Must(t, netlink.AddrDel(link, &netlink.Addr{IPNet: netipx.PrefixIPNet(addresses[1])}))
		},
		"link is down": func() { hosttest.Must(t, netlink.LinkSetDown(link)) },
	} {
		t.Run(name, func(t *testing.T) {
			damage()
			plan := look()
			if plan.Empty() {
				t.Fatal("the damage is not seen")
			}
			if err := Apply(plan); err != nil {
				t.Fatalf("%v; the plan was\n%s", err, plan)
			}
			if again := look(); !again.Empty() {
				t.Fatalf("after one look there is still to do:\n%s", again)
			}
		})
	}
}

// TestWatchOutlivesItsSocket: a socket that fails is replaced, and the node goes on to heal.
func TestWatchOutlivesItsSocket(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	sockets, woken := make(chan *nl.NetlinkSocket, 2), make(chan struct{}, 1)
	wake := sync.OnceFunc(func() { woken <- struct{}{} })
	s := subscription{
		protocol: unix.NETLINK_ROUTE, groups: []uint{unix.RTNLGRP_LINK}, concerns: concernsRouting,
		opened: func(socket *nl.NetlinkSocket) { sockets <- socket },
	}
	hosttest.Must(t, s.start(ctx, wake))
	(<-sockets).Close()
	link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "event"}, PeerName: "far-event"}
	hosttest.Must(t, netlink.LinkAdd(link))
	t.Cleanup(func() { _ = netlink.LinkDel(link) })
	select {
	case <-woken:
	case <-time.After(time.Minute):
		t.Fatal("nobody is woken any more")
	}
	<-sockets // a second one
}
