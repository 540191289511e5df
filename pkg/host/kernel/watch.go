package kernel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/woven-cni/woven/pkg/host/device"
)

// receiveBuffer holds a burst of events; should one overrun it, the next look sees what the lost events were about.
const receiveBuffer = 4 << 20

// resubscribeAfter is the wait between tries to subscribe again.
const resubscribeAfter = time.Second

// subscription is a kind of the kernel's events.
type subscription struct {
	protocol int
	groups   []uint
	// concerns tells the events that could be the node's.
	concerns func(syscall.NetlinkMessage) bool
	// opened, which may be nil, is told of each socket, for tests.
	opened func(*nl.NetlinkSocket)
}

// Watch calls wake, until the context ends, when a link, an address, a route or a rule changes that could be the node's.
func Watch(ctx context.Context, wake func()) error {
	for _, s := range []subscription{
		{
			protocol: unix.NETLINK_ROUTE, concerns: concernsRouting,
			groups: []uint{unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE},
		},
		{protocol: unix.NETLINK_NETFILTER, concerns: concernsRules, groups: []uint{unix.NFNLGRP_NFTABLES}},
	} {
		if err := s.start(ctx, wake); err != nil {
			return err
		}
	}
	return nil
}

func (s subscription) start(ctx context.Context, wake func()) error {
	socket, err := s.open()
	if err != nil {
		return err
	}
	go s.follow(ctx, socket, wake)
	return nil
}

func (s subscription) open() (*nl.NetlinkSocket, error) {
	socket, err := nl.Subscribe(s.protocol, s.groups...)
	if err != nil {
		return nil, fmt.Errorf("subscribing to the kernel's events of netlink protocol %d: %w", s.protocol, err)
	}
	_ = socket.SetReceiveBufferSize(receiveBuffer, true) // smaller works too
	if s.opened != nil {
		s.opened(socket)
	}
	return socket, nil
}

// follow receives until the context ends. A socket that fails is replaced, and what happened in between is looked at.
func (s subscription) follow(ctx context.Context, socket *nl.NetlinkSocket, wake func()) {
	for {
		s.receive(ctx, socket, wake)
		socket.Close()
		for socket = nil; socket == nil; {
			if ctx.Err() != nil {
				return
			}
			var err error
			if socket, err = s.open(); err == nil {
				break
			}
			socket = nil
			select {
			case <-time.After(resubscribeAfter):
			case <-ctx.Done():
			}
		}
		wake()
	}
}

// receive returns when the socket fails or the context ends.
func (s subscription) receive(ctx context.Context, socket *nl.NetlinkSocket, wake func()) {
	stop := context.AfterFunc(ctx, socket.Close)
	defer stop()
	for ctx.Err() == nil {
		messages, _, err := socket.Receive()
		switch {
		case errors.Is(err, unix.ENOBUFS):
			wake()
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
		case err != nil:
			return
		case slices.ContainsFunc(messages, s.concerns):
			wake()
		}
	}
}

// concernsRouting leaves out the links of pods, which come and go all the time.
func concernsRouting(m syscall.NetlinkMessage) bool {
	if m.Header.Type != unix.RTM_NEWLINK && m.Header.Type != unix.RTM_DELLINK {
		return true
	}
	header := unix.NlMsghdr(m.Header)
	link, err := netlink.LinkDeserialize(&header, m.Data)
	return err != nil || !device.IsPodName(link.Attrs().Name)
}

// concernsRules leaves out what others write, and what appears: only what vanishes has to be put back.
func concernsRules(m syscall.NetlinkMessage) bool {
	switch m.Header.Type & 0xff {
	case unix.NFT_MSG_DELTABLE, unix.NFT_MSG_DELCHAIN, unix.NFT_MSG_DELRULE, unix.NFT_MSG_DELSET, unix.NFT_MSG_DELSETELEM:
		return bytes.Contains(m.Data, []byte(tableName+"\x00"))
	}
	return false
}
