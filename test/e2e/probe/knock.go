package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// answerTimeout is how long a knock waits for an answer.
const answerTimeout = 3 * time.Second

// knock prints which of some addresses take a TCP connection.
func knock(ctx context.Context, addresses []string) error {
	return each(addresses, func(address string) bool {
		conn, err := (&net.Dialer{Timeout: answerTimeout}).DialContext(ctx, "tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// knockCut prints which of some addresses answer a TCP segment that begins a connection and comes in fragments.
func knockCut(addresses []string) error {
	return each(addresses, func(address string) bool {
		answered, err := synCut(address)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		return answered
	})
}

func each(addresses []string, open func(string) bool) error {
	var all sync.WaitGroup
	var mu sync.Mutex // protects the output
	for _, address := range addresses {
		all.Go(func() {
			if open(address) {
				mu.Lock()
				defer mu.Unlock()
				fmt.Println(address)
			}
		})
	}
	all.Wait()
	return nil
}

func synCut(address string) (answered bool, err error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return false, err
	}
	from, err := sourceFor(address)
	if err != nil {
		return false, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_TCP)
	if err != nil {
		return false, fmt.Errorf("opening a raw socket: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: int64(answerTimeout.Seconds())}); err != nil {
		return false, fmt.Errorf("setting a timeout: %w", err)
	}
	if err := sendCut(from.Addr(), to.Addr(), unix.IPPROTO_TCP, syn(from, to)); err != nil {
		return false, err
	}
	packet := make([]byte, 1<<16)
	for began := time.Now(); time.Since(began) < answerTimeout; {
		n, _, err := unix.Recvfrom(fd, packet, 0)
		if err != nil {
			return false, nil //nolint:nilerr // nobody answers
		}
		const flags, synAck = 13, 0x12
		header := int(packet[0]&0xf) * 4
		if n < header+20 || netip.AddrFrom4([4]byte(packet[12:16])) != to.Addr() {
			continue
		}
		tcp := packet[header:n]
		if binary.BigEndian.Uint16(tcp) == to.Port() && binary.BigEndian.Uint16(tcp[2:]) == from.Port() && tcp[flags]&synAck == synAck {
			return true, nil
		}
	}
	return false, nil
}

// syn is a TCP segment that begins a connection.
func syn(from, to netip.AddrPort) []byte {
	out := binary.BigEndian.AppendUint16(nil, from.Port())
	out = binary.BigEndian.AppendUint16(out, to.Port())
	out = binary.BigEndian.AppendUint32(out, 0x66666666)
	out = append(out, 0, 0, 0, 0, 5<<4, 2, 0xff, 0xff, 0, 0, 0, 0)
	binary.BigEndian.PutUint16(out[16:], checksum(pseudo(from.Addr(), to.Addr(), unix.IPPROTO_TCP, len(out)), out))
	return out
}

// sink prints each datagram that comes to a port, a line each, until standard input ends.
func sink(port string) error {
	conn, err := net.ListenPacket("udp", ":"+port)
	if err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		conn.Close()
	}()
	fmt.Fprintln(os.Stderr, "listening")
	packet := make([]byte, 1<<16)
	for {
		n, from, err := conn.ReadFrom(packet)
		if err != nil {
			return nil //nolint:nilerr // a socket that is closed is how this ends
		}
		fmt.Printf("%s from %s\n", packet[:n], from)
	}
}
