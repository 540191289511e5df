package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// wantProbing is what the interface of a pod has, in sysctls: no probe by unicast, and three by broadcast or multicast.
var wantProbing = map[string]string{
	"ipv4/neigh/eth0/ucast_solicit": "0", "ipv4/neigh/eth0/mcast_resolicit": "3",
	"ipv6/neigh/eth0/ucast_solicit": "0", "ipv6/neigh/eth0/mcast_resolicit": "3",
}

func TestPodProbesItsNeighboursByMulticast(t *testing.T) {
	inNewHost(t)
	path := newPod(t)
	attach(t, path, spec("c-probes", path))
	seesProbing(t, path)
}

// A pod with a user namespace of its own has a network namespace that belongs to it.
func TestPodInUserNamespaceProbesByMulticast(t *testing.T) {
	inNewHost(t)
	path := newUserPod(t)
	attach(t, path, spec("c-user", path))
	seesProbing(t, path)
}

// seesProbing reads the sysctls as a process of the namespace does.
func seesProbing(t *testing.T, path string) {
	t.Helper()
	host, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	pod, err := netns.GetFromPath(path)
	if err != nil {
		t.Fatal(err)
	}
	defer pod.Close()
	if err := netns.Set(pod); err != nil {
		t.Fatal(err)
	}
	for key, want := range wantProbing {
		text, err := os.ReadFile(filepath.Join("/proc/sys/net", key))
		if got := strings.TrimSpace(string(text)); err != nil || got != want {
			t.Errorf("%s is %q, %v; want %s", key, got, err, want)
		}
	}
	if err := netns.Set(host); err != nil {
		t.Fatal(err)
	}
}

// newUserPod is the network namespace of a process that is in a user namespace of its own.
func newUserPod(t *testing.T) string {
	t.Helper()
	pod := exec.Command("sleep", "infinity")
	pod.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 100000, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 100000, Size: 1}},
	}
	if err := pod.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pod.Process.Kill(); _ = pod.Wait() })
	return fmt.Sprintf("/proc/%d/ns/net", pod.Process.Pid)
}

// A neighbour that the kernel has not heard of for a while is asked for by broadcast and multicast, on the wire.
func TestProbesOnTheWire(t *testing.T) {
	inNewHost(t)
	path := newPod(t)
	s := spec("c-wire", path)
	attach(t, path, s)
	ns, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	wire := listen(t, s.Record.Attachment().HostName())
	router, _ := net.ParseMAC("0a:58:0a:10:00:01")
	for _, route := range s.Routes {
		neighbour := &netlink.Neigh{
			LinkIndex: mustLink(t, ns, "eth0").Attrs().Index, State: netlink.NUD_PROBE, IP: route.Gateway.AsSlice(), HardwareAddr: router,
		}
		// The kernel asks three times, a second apart, and cannot before it has made sure of its own address (RFC 4862, 5.4).
		var frame []byte
		for try := 0; frame == nil; try++ {
			if err := ns.handle.NeighSet(neighbour); err != nil {
				t.Fatal(err)
			}
			var err error
			if frame, err = wire.about(route.Gateway); err != nil && try > 3 {
				t.Fatalf("no question for %s: %v", route.Gateway, err)
			}
		}
		to := net.HardwareAddr(frame[:6])
		if want := map[bool]string{true: "ff:ff:ff:ff:ff:ff", false: "33:33:ff:00:00:01"}[route.Gateway.Is4()]; to.String() != want {
			t.Errorf("%s is asked for at %s, want %s", route.Gateway, to, want)
		}
	}
}

// tap is a socket that has what comes by an interface.
type tap int

func listen(t *testing.T, ifname string) tap {
	t.Helper()
	link, err := netlink.LinkByName(ifname)
	if err != nil {
		t.Fatal(err)
	}
	all := nl.Swap16(unix.ETH_P_ALL)
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(all))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	err = errors.Join(
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: link.Attrs().Index}),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}))
	if err != nil {
		t.Fatal(err)
	}
	return tap(fd)
}

// about awaits an ARP request, or a neighbour solicitation, for an address.
func (fd tap) about(address netip.Addr) ([]byte, error) {
	for frame := make([]byte, 2048); ; {
		n, err := unix.Read(int(fd), frame)
		if err != nil {
			return nil, err
		}
		target := 38 // behind the Ethernet header and most of the ARP request
		if address.Is6() {
			target = 62 // behind the headers of Ethernet, IPv6 and ICMPv6
		}
		if end := target + address.BitLen()/8; n >= end && bytes.Equal(frame[target:end], address.AsSlice()) {
			return frame[:n], nil
		}
	}
}
