package sandbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Announce tells all neighbours, unasked, which MAC the addresses of an interface have: by a gratuitous ARP request (RFC 5227,
// section 3) and an unsolicited neighbour advertisement (RFC 4861, section 7.2.6). Neighbours that know the address with
// another MAC change that at once.
func (n *NetNS) Announce(spec Spec) error {
	link, err := n.handle.LinkByName(spec.Record.IfName)
	if err != nil {
		return fmt.Errorf("finding %s in the container: %w", spec.Record.IfName, err)
	}
	frames := make([][]byte, 0, len(spec.Addresses))
	for _, address := range spec.Addresses {
		frames = append(frames, announcement(spec.MAC, address.Addr()))
	}
	err = n.pod.Do(func(ns.NetNS) error { return send(link.Attrs().Index, frames) })
	if err != nil {
		return fmt.Errorf("announcing the addresses of %s: %w", spec.Record.IfName, err)
	}
	return nil
}

// send puts frames on the wire of an interface of the thread's namespace.
func send(index int, frames [][]byte) error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) // of no protocol: it receives nothing
	if err != nil {
		return fmt.Errorf("opening a packet socket: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	var errs []error
	for _, frame := range frames {
		protocol := nl.Swap16(binary.BigEndian.Uint16(frame[12:]))
		errs = append(errs, unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: index}))
	}
	return errors.Join(errs...)
}

// announcement is the frame that tells all neighbours of an address's MAC.
func announcement(mac net.HardwareAddr, address netip.Addr) []byte {
	if address.Is4() {
		return slices.Concat(
			net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, mac, ethertype(unix.ETH_P_ARP),
			[]byte{0, 1, 8, 0, 6, 4, 0, 1}, // Ethernet, IPv4, the lengths of their addresses, a request
			mac, address.AsSlice(), make([]byte, len(mac)), address.AsSlice(),
		)
	}
	everybody := netip.IPv6LinkLocalAllNodes()
	message := slices.Concat(
		[]byte{136, 0, 0, 0},                     // a neighbour advertisement, its checksum still missing
		[]byte{0x20, 0, 0, 0}, address.AsSlice(), // that overrides what is known of the address
		[]byte{2, 1}, mac, // the target's link-layer address
	)
	binary.BigEndian.PutUint16(message[2:], checksum(address, everybody, message))
	return slices.Concat(
		net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}, mac, ethertype(unix.ETH_P_IPV6),
		[]byte{0x60, 0, 0, 0, 0, byte(len(message)), unix.IPPROTO_ICMPV6, 255},
		address.AsSlice(), everybody.AsSlice(), message,
	)
}

func ethertype(protocol uint16) []byte { return binary.BigEndian.AppendUint16(nil, protocol) }

// checksum is that of an ICMPv6 message: of the pseudo-header (RFC 8200, section 8.1) and the message.
func checksum(from, to netip.Addr, message []byte) uint16 {
	all := slices.Concat(from.AsSlice(), to.AsSlice(), []byte{0, 0, 0, byte(len(message)), 0, 0, 0, unix.IPPROTO_ICMPV6}, message)
	var sum uint32
	for i := 0; i < len(all); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(all[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
