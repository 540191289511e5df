package sandbox

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// TestNeighboursLearnWhatIsAnnounced holds that a neighbour that knows an address with another MAC, and has just heard of it,
// knows the right one at once: the kernel at the other end of the pod's veth.
func TestNeighboursLearnWhatIsAnnounced(t *testing.T) {
	inNewHost(t)
	path := newPod(t)
	s := spec("c-announces", path)
	attach(t, path, s)
	name := s.Record.Attachment().HostName()
	host, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, own := range []string{"10.16.0.9/16", "fe80::9/64"} {
		if own == "fe80::9/64" {
			sysctl := filepath.Join("/proc/sys/net/ipv6/conf", name, "disable_ipv6") // the host's end of a pod has no IPv6
			if err := os.WriteFile(sysctl, []byte("0"), 0); err != nil {
				t.Fatal(err)
			}
		}
		address, err := netlink.ParseAddr(own)
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.AddrAdd(host, address); err != nil {
			t.Fatal(err)
		}
	}
	former := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	for _, address := range s.Addresses {
		known := &netlink.Neigh{LinkIndex: host.Attrs().Index, State: netlink.NUD_STALE, IP: address.Addr().AsSlice(), HardwareAddr: former}
		if err := netlink.NeighSet(known); err != nil {
			t.Fatal(err)
		}
	}
	learnt := watchNeighbours(t)
	pod, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer pod.Close()
	if err := pod.Announce(s); err != nil {
		t.Fatal(err)
	}
	for _, address := range s.Addresses {
		for {
			update, open := <-learnt
			if !open {
				t.Fatalf("nobody learnt of %s", address)
			}
			if update.IP.Equal(address.Addr().AsSlice()) && update.HardwareAddr.String() == s.MAC.String() {
				break
			}
		}
	}
}

// watchNeighbours delivers what the thread's namespace learns of neighbours.
func watchNeighbours(t *testing.T) <-chan netlink.NeighUpdate {
	t.Helper()
	here, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = here.Close() })
	updates, done := make(chan netlink.NeighUpdate, 64), make(chan struct{})
	t.Cleanup(func() { close(done) })
	failed := func(err error) { t.Log(err) }
	if err := netlink.NeighSubscribeWithOptions(updates, done, netlink.NeighSubscribeOptions{
		Namespace: &here, ErrorCallback: failed, ReceiveTimeout: &unix.Timeval{Sec: 20},
	}); err != nil {
		t.Fatal(err)
	}
	return updates
}
