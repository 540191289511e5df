package sandbox

import (
	"errors"
	"fmt"

	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/woven-cni/woven/pkg/host/device"
)

// ErrNoNetNS says that the network namespace does not exist.
var ErrNoNetNS = errors.New("no such network namespace")

// NetNS is an open network namespace with a netlink socket in it.
type NetNS struct {
	pod    ns.NetNS
	handle *netlink.Handle
}

// Open opens the network namespace at a path. It refuses the host's own.
func Open(path string) (*NetNS, error) {
	pod, err := ns.GetNS(path)
	// What is left of a bind mount whose namespace is gone is an ordinary file.
	if errors.As(err, new(ns.NSPathNotExistErr)) || errors.As(err, new(ns.NSPathNotNSErr)) {
		return nil, fmt.Errorf("%w: %w", ErrNoNetNS, err)
	}
	if err != nil {
		return nil, fmt.Errorf("opening network namespace %s: %w", path, err)
	}
	n := &NetNS{pod: pod}
	if err := n.enter(); err != nil {
		pod.Close()
		return nil, err
	}
	return n, nil
}

func (n *NetNS) enter() error {
	own, err := netns.Get()
	if err != nil {
		return fmt.Errorf("opening this process's network namespace: %w", err)
	}
	defer own.Close()
	if own.Equal(n.fd()) {
		return fmt.Errorf("%s is the host's network namespace", n.pod.Path())
	}
	if n.handle, err = netlink.NewHandleAt(n.fd(), unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("%w: entering %s: %w", ErrNoNetNS, n.pod.Path(), err)
	}
	return nil
}

// fd is the namespace as netlink takes it.
func (n *NetNS) fd() netns.NsHandle { return netns.NsHandle(n.pod.Fd()) }

// Close releases the namespace. Closing again does nothing.
func (n *NetNS) Close() {
	n.handle.Close()
	_ = n.pod.Close()
}

// txChecksumOff turns transmit checksum offload off on an interface of the namespace. Segmentation offload goes with it.
//
// The userspace datapath reads packets from the veth as they are; a checksum that is only half computed, as veth leaves
// it, makes the receiver drop every TCP segment while ping works.
func (n *NetNS) txChecksumOff(ifname string) error {
	return n.pod.Do(func(ns.NetNS) error { return device.TxChecksumOff(ifname) }) //nolint:wrapcheck // it is told whole
}
