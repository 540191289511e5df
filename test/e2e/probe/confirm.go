package main

import (
	"errors"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// sendConfirming sends a datagram to an address, or to the one that the socket is connected to if it is invalid, and tells
// the kernel that the other side answers. Of TCP it knows by itself; on UDP it would ask for the neighbour's address each half a
// minute, and a stream would count what became of the questions: on an emulated node a switch may be away for longer.
func sendConfirming(socket syscall.RawConn, message []byte, to netip.AddrPort) error {
	var refused error
	err := socket.Write(func(fd uintptr) bool {
		if to.IsValid() {
			refused = unix.Sendto(int(fd), message, unix.MSG_CONFIRM, sockaddr(to))
		} else {
			refused = unix.Send(int(fd), message, unix.MSG_CONFIRM)
		}
		return !errors.Is(refused, unix.EAGAIN)
	})
	return errors.Join(err, refused)
}

// sockaddr is an address as a socket has it that gave it: one for both families has IPv4 within IPv6.
func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}
