package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// echo answers on TCP and UDP until ctx ends.
func echo(ctx context.Context, port string) error {
	listener, err := net.Listen("tcp", ":"+port)
	if err != nil {
		return err
	}
	packets, err := net.ListenPacket("udp", ":"+port)
	if err != nil {
		return err
	}
	socket, err := packets.(*net.UDPConn).SyscallConn()
	if err != nil {
		return err
	}
	go func() {
		<-ctx.Done()
		listener.Close()
		packets.Close()
	}()
	go echoPackets(packets.(*net.UDPConn), socket)
	fmt.Fprintln(os.Stderr, "listening")
	for {
		conn, err := listener.Accept()
		if err != nil {
			return nil //nolint:nilerr // a listener that is closed is how this ends
		}
		go func() {
			defer conn.Close()
			_, _ = io.Copy(conn, conn)
		}()
	}
}

func echoPackets(packets *net.UDPConn, socket syscall.RawConn) {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := packets.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			_ = sendConfirming(socket, buf[:n], from) // the caller counts
		}
	}
}

// The bytes before the payload of a UDP packet.
const (
	udpHeader  = 8
	ipv4Header = 20
	ipv6Header = 40
)

// sendSized sends one packet of exactly size bytes, IP header included, which nobody may cut up, and awaits its echo.
func sendSized(ctx context.Context, address string, size int) error {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	conn, err := dialer.DialContext(ctx, "udp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	header := ipv6Header
	if conn.RemoteAddr().(*net.UDPAddr).IP.To4() != nil {
		header = ipv4Header
	}
	if err := forbidFragments(conn.(*net.UDPConn)); err != nil {
		return fmt.Errorf("forbidding fragments: %w", err)
	}
	payload := make([]byte, size-header-udpHeader)
	if _, err := conn.Write(payload); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(3 * time.Second)); err != nil {
		return err
	}
	n, err := conn.Read(make([]byte, 1<<16))
	if err == nil && n != len(payload) {
		err = fmt.Errorf("%d of %d bytes came back", n, len(payload))
	}
	return err
}

func forbidFragments(conn *net.UDPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var refused error
	err = raw.Control(func(fd uintptr) {
		if conn.RemoteAddr().(*net.UDPAddr).IP.To4() != nil {
			refused = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE)
		} else {
			refused = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE)
		}
	})
	return errors.Join(err, refused)
}
