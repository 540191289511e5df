package sandbox

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// doomedGroup is the link group of host ends whose attachment is gone ("wvn").
const doomedGroup = 0x77766e

// RemoveHostEnd deletes a host end and with it the pod's end. It succeeds when there is none.
//
// The kernel takes about 23 ms for it; DEL uses Doom instead.
func RemoveHostEnd(name string) error {
	link, err := netlink.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err == nil {
		err = netlink.LinkDel(link)
	}
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("deleting veth %s: %w", name, err)
	}
	return nil
}

// Doom marks a host end as done with. The end of the pod's namespace, which usually follows at once, takes it away for
// nothing; Reap takes what stays. It succeeds when there is no such link.
func Doom(name string) error {
	link, err := netlink.LinkByName(name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err == nil {
		err = netlink.LinkSetGroup(link, doomedGroup)
	}
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("marking veth %s: %w", name, err)
	}
	return nil
}

// Reap deletes all doomed host ends in one request: forty pairs cost the kernel as much as one does.
func Reap() error {
	request := nl.NewNetlinkRequest(unix.RTM_DELLINK, unix.NLM_F_ACK)
	request.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
	request.AddData(nl.NewRtAttr(unix.IFLA_GROUP, nl.Uint32Attr(doomedGroup)))
	_, err := request.Execute(unix.NETLINK_ROUTE, 0)
	if err != nil && !errors.Is(err, unix.ENODEV) && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("deleting the links of ended pods: %w", err)
	}
	return nil
}
