package kernel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/woven-cni/woven/pkg/cni/sandbox"
)

// receiveBuffer holds a burst of events; should one overrun it, the next look sees what the lost events were about.
const receiveBuffer = 4 << 20

// Watch calls wake, until the context ends, when a link, an address, a route or a rule changes that could be the node's.
func Watch(ctx context.Context, wake func()) error {
	routing, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR,
		unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE)
	if err != nil {
		return fmt.Errorf("subscribing to the kernel's links, addresses and routes: %w", err)
	}
	rules, err := nl.Subscribe(unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES)
	if err != nil {
		routing.Close()
		return fmt.Errorf("subscribing to the kernel's nftables: %w", err)
	}
	go receive(ctx, routing, concernsRouting, wake)
	go receive(ctx, rules, concernsRules, wake)
	return nil
}

func receive(ctx context.Context, socket *nl.NetlinkSocket, concerns func(syscall.NetlinkMessage) bool, wake func()) {
	_ = socket.SetReceiveBufferSize(receiveBuffer, true) // smaller works too
	stop := context.AfterFunc(ctx, socket.Close)
	defer stop()
	for ctx.Err() == nil {
		messages, _, err := socket.Receive()
		if errors.Is(err, unix.ENOBUFS) {
			wake()
			continue
		}
		if err != nil {
			return // closed
		}
		for _, message := range messages {
			if concerns(message) {
				wake()
				break
			}
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
	return err != nil || !sandbox.IsHostName(link.Attrs().Name)
}

// concernsRules leaves out what others write, and what appears: only what vanishes has to be put back.
func concernsRules(m syscall.NetlinkMessage) bool {
	switch m.Header.Type & 0xff {
	case unix.NFT_MSG_DELTABLE, unix.NFT_MSG_DELCHAIN, unix.NFT_MSG_DELRULE, unix.NFT_MSG_DELSET, unix.NFT_MSG_DELSETELEM:
		return bytes.Contains(m.Data, []byte(tableName+"\x00"))
	}
	return false
}
