package server

import (
	"bytes"
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	kubeovnv1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/host/hosttest"
)

// TestMACOfItsOwnIsAnnounced holds that the neighbours of a pod hear of a MAC that does not follow from its address, in each
// family, and that those of a pod with the usual one, which starts before it here, hear nothing.
func TestMACOfItsOwnIsAnnounced(t *testing.T) {
	b := newBench(t)
	mac := "02:00:00:00:00:07"
	usual, special := networkAnnotations(), networkAnnotations()
	usual[kubeovnv1.AnnotationMACAddress], special[kubeovnv1.AnnotationMACAddress] = "0a:58:0a:10:00:05", mac
	b.pod("usual", "usual-uid", usual)
	b.pod("special", "special-uid", special)
	heard := listenEverywhere(t)
	for _, pod := range []string{"usual", "special"} {
		netns, _ := hosttest.NetNS(t)
		b.mustCall(b.request("ADD", "c-"+pod, pod, netns))
	}
	for _, address := range []string{"10.16.0.5", "fd00:10:16::5"} {
		if got := heard.announced(t, netip.MustParseAddr(address)); got != mac {
			t.Errorf("the first that is heard of %s is that it has %s", address, got)
		}
	}
}

// ear is a socket that has what passes all interfaces of the host.
type ear int

func listenEverywhere(t *testing.T) ear {
	t.Helper()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(nl.Swap16(unix.ETH_P_ALL)))
	hosttest.Must(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	hosttest.Must(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 20}))
	return ear(fd)
}

// announced awaits a gratuitous ARP request, or an unsolicited advertisement, of an address, and returns the MAC in it.
func (fd ear) announced(t *testing.T, address netip.Addr) string {
	t.Helper()
	raw := address.AsSlice()
	for frame := make([]byte, 2048); ; {
		n, err := unix.Read(int(fd), frame)
		if err != nil {
			t.Fatalf("nothing is heard of %s: %v", address, err)
		}
		switch seen := frame[:n]; {
		case address.Is4() && n >= 42 && seen[12] == 8 && seen[13] == 6 && bytes.Equal(seen[28:32], raw) && bytes.Equal(seen[38:42], raw):
			return net.HardwareAddr(seen[22:28]).String()
		case address.Is6() && n >= 86 && seen[20] == unix.IPPROTO_ICMPV6 && seen[54] == 136 && bytes.Equal(seen[62:78], raw):
			return net.HardwareAddr(seen[80:86]).String()
		}
	}
}
