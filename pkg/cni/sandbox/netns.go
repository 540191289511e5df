package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/woven-cni/woven/pkg/host/device"
)

// ErrNoNetNS says that the network namespace does not exist.
var ErrNoNetNS = errors.New("no such network namespace")

// NetNS is an open network namespace with a netlink socket in it.
type NetNS struct {
	path   string
	fd     netns.NsHandle
	handle *netlink.Handle
}

// Open opens the network namespace at a path. It refuses the host's own.
func Open(path string) (*NetNS, error) {
	fd, err := netns.GetFromPath(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNoNetNS, path)
	}
	if err != nil {
		return nil, fmt.Errorf("opening network namespace %s: %w", path, err)
	}
	own, err := netns.Get()
	if err != nil {
		fd.Close()
		return nil, fmt.Errorf("opening this process's network namespace: %w", err)
	}
	defer own.Close()
	if own.Equal(fd) {
		fd.Close()
		return nil, fmt.Errorf("%s is the host's network namespace", path)
	}
	handle, err := netlink.NewHandleAt(fd, unix.NETLINK_ROUTE)
	if err != nil {
		fd.Close()
		// What is left of a bind mount whose namespace is gone is an ordinary file.
		return nil, fmt.Errorf("%w: entering %s: %w", ErrNoNetNS, path, err)
	}
	return &NetNS{path: path, fd: fd, handle: handle}, nil
}

// Close releases the namespace. Closing again does nothing.
func (n *NetNS) Close() {
	n.handle.Close()
	n.fd.Close()
}

// socket makes a socket inside the namespace. Only this one system call happens there, on a locked thread.
func (n *NetNS) socket() (int, error) {
	runtime.LockOSThread()
	own, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return -1, fmt.Errorf("opening this thread's network namespace: %w", err)
	}
	defer own.Close()
	if err := netns.Set(n.fd); err != nil {
		runtime.UnlockOSThread()
		return -1, fmt.Errorf("entering network namespace %s: %w", n.path, err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if back := netns.Set(own); back != nil {
		// The thread stays locked, so it ends with this goroutine instead of serving others from a pod's namespace.
		return -1, errors.Join(fmt.Errorf("leaving network namespace %s: %w", n.path, back), err)
	}
	runtime.UnlockOSThread()
	return fd, err
}

// txChecksumOff turns transmit checksum offload off on an interface of the namespace. Segmentation offload goes with it.
//
// The userspace datapath reads packets from the veth as they are; a checksum that is only half computed, as veth leaves
// it, makes the receiver drop every TCP segment while ping works.
func (n *NetNS) txChecksumOff(ifname string) error {
	fd, err := n.socket()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return device.TxChecksumOff(fd, ifname)
}
