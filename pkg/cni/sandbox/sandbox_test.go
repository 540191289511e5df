package sandbox

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/woven-cni/woven/pkg/host/device"
)

// inNewHost moves the test's thread into a fresh network namespace that plays the host.
func inNewHost(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	runtime.LockOSThread() // never unlocked: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatalf("new network namespace: %v", err)
	}
}

// newPod makes a network namespace that lasts as long as the test, and returns its path.
func newPod(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "netns")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	host, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	self := fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid())
	mountErr := unix.Mount(self, path, "none", unix.MS_BIND, "")
	if err := errors.Join(mountErr, netns.Set(host)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
	return path
}

func spec(id, path string) Spec {
	mac, _ := net.ParseMAC("0a:58:0a:10:00:05")
	return Spec{
		Record:    Record{ContainerID: id, IfName: "eth0", PodUID: "1f0e0c5e-0000-4000-8000-000000000001", NetNS: path},
		MAC:       mac,
		MTU:       1400,
		Addresses: []netip.Prefix{netip.MustParsePrefix("10.16.0.5/16"), netip.MustParsePrefix("fd00:10:16::5/64")},
		Routes: []Route{
			{Dst: netip.MustParsePrefix("0.0.0.0/0"), Gateway: netip.MustParseAddr("10.16.0.1")},
			{Dst: netip.MustParsePrefix("::/0"), Gateway: netip.MustParseAddr("fd00:10:16::1")},
		},
		ChecksumInSoftware: true,
	}
}

func attach(t testing.TB, path string, s Spec) {
	t.Helper()
	ns, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	if err := ns.Create(s); err != nil {
		t.Fatal(err)
	}
	if err := ns.Configure(s); err != nil {
		t.Fatal(err)
	}
}

func TestAttachedPodHasWhatWasAsked(t *testing.T) {
	inNewHost(t)
	path := newPod(t)
	want := spec("c1", path)
	attach(t, path, want)

	ns, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	link, err := ns.Observe("eth0")
	if err != nil || link == nil {
		t.Fatalf("observing eth0: %v, %v", link, err)
	}
	if !link.Up || link.MTU != want.MTU || link.MAC.String() != want.MAC.String() {
		t.Errorf("eth0 is %+v, want up, MTU %d, MAC %s", link, want.MTU, want.MAC)
	}
	for _, address := range want.Addresses {
		if !contains(link.Addresses, address) {
			t.Errorf("address %s is missing from %v", address, link.Addresses)
		}
	}
	for _, route := range want.Routes {
		if !contains(link.Routes, route) {
			t.Errorf("route %v is missing from %v", route, link.Routes)
		}
	}
	addresses, err := ns.handle.AddrList(mustLink(t, ns, "eth0"), netlink.FAMILY_V6)
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range addresses {
		if address.Scope == unix.RT_SCOPE_UNIVERSE && address.Flags&unix.IFA_F_TENTATIVE != 0 {
			t.Errorf("%s is still being probed for duplicates", address.IPNet)
		}
	}
	if off := txChecksum(t, ns, "eth0"); off {
		t.Error("transmit checksums are still offloaded")
	}
}

func TestHostEndRemembersItsAttachment(t *testing.T) {
	inNewHost(t)
	path := newPod(t)
	want := spec("c1", path)
	attach(t, path, want)
	ends, err := HostEnds()
	if err != nil || len(ends) != 1 {
		t.Fatalf("host ends: %v, %v", ends, err)
	}
	end := ends[0]
	if end.Name != want.Record.Attachment().HostName() || end.Record == nil || *end.Record != want.Record || end.Doomed {
		t.Errorf("host end is %+v (%+v), want the record %+v", end, end.Record, want.Record)
	}
	host, err := netlink.LinkByName(end.Name)
	if err != nil {
		t.Fatal(err)
	}
	addresses, err := netlink.AddrList(host, netlink.FAMILY_ALL)
	if err != nil || len(addresses) != 0 {
		t.Errorf("the host end has addresses %v, %v", addresses, err)
	}
}

func TestSecondAttachmentOfTheNameIsRefused(t *testing.T) {
	inNewHost(t)
	path := newPod(t)
	attach(t, path, spec("c1", path))
	ns, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	if err := ns.Create(spec("c2", path)); !errors.Is(err, ErrExists) {
		t.Errorf("creating a second eth0: %v, want ErrExists", err)
	}
}

func TestDoomedEndsGoTogetherAndOthersStay(t *testing.T) {
	inNewHost(t)
	var names []string
	for i := range 4 {
		path := newPod(t)
		s := spec(fmt.Sprintf("c%d", i), path)
		attach(t, path, s)
		names = append(names, s.Record.Attachment().HostName())
	}
	for _, name := range names[:3] {
		if err := Doom(name); err != nil {
			t.Fatal(err)
		}
	}
	ends, _ := HostEnds()
	doomed := 0
	for _, end := range ends {
		if end.Doomed {
			doomed++
		}
	}
	if len(ends) != 4 || doomed != 3 {
		t.Fatalf("before: %d ends, %d doomed", len(ends), doomed)
	}
	if err := errors.Join(Reap(), Reap()); err != nil {
		t.Fatalf("reaping, and again with nothing to reap: %v", err)
	}
	ends, _ = HostEnds()
	if len(ends) != 1 || ends[0].Name != names[3] {
		t.Errorf("after: %+v, want only %s", ends, names[3])
	}
	if err := errors.Join(Doom(names[0]), RemoveHostEnd(names[0])); err != nil {
		t.Errorf("removing what is gone: %v", err)
	}
}

func TestForeignLinksAreNotOurs(t *testing.T) {
	inNewHost(t)
	for i, name := range []string{"wlan0", "w0123456789a0", "wireguard01", "w0123456789A"} {
		pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: fmt.Sprintf("peer%d", i)}
		if err := netlink.LinkAdd(pair); err != nil {
			t.Fatal(err)
		}
	}
	if ends, err := HostEnds(); err != nil || len(ends) != 0 {
		t.Errorf("host ends: %v, %v", ends, err)
	}
}

func TestNamespacesThatCannotBeOpened(t *testing.T) {
	inNewHost(t)
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{"/nonexistent": ErrNoNetNS, plain: ErrNoNetNS} {
		if _, err := Open(path); !errors.Is(err, want) {
			t.Errorf("opening %s: %v, want %v", path, err, want)
		}
	}
	self := fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid())
	if _, err := Open(self); err == nil || errors.Is(err, ErrNoNetNS) {
		t.Errorf("opening the host's own namespace: %v, want a refusal", err)
	}
}

func TestRecordFitsIntoAnAlias(t *testing.T) {
	record := Record{
		ContainerID: strings.Repeat("c", 64), IfName: strings.Repeat("e", 15),
		PodUID: strings.Repeat("u", 36), NetNS: strings.Repeat("n", 300),
	}
	alias, err := record.alias()
	if err != nil || len(alias) > aliasMax {
		t.Errorf("alias of %d bytes, %v", len(alias), err)
	}
	record.ContainerID = strings.Repeat("c", 250)
	if _, err := record.alias(); err == nil {
		t.Error("a container ID that cannot be recorded was accepted")
	}
}

func FuzzHostName(f *testing.F) {
	f.Add("a", "eth0")
	f.Fuzz(func(t *testing.T, id, ifname string) {
		if name := (Attachment{ContainerID: id, IfName: ifname}).HostName(); !device.IsPodName(name) || len(name) > 15 {
			t.Errorf("%q is not a host name of ours", name)
		}
	})
}

func BenchmarkAttach(b *testing.B) {
	inNewHost(b)
	paths := make([]string, b.N)
	for i := range paths {
		paths[i] = newPod(b)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		attach(b, paths[i], spec(fmt.Sprintf("c%d", i), paths[i]))
	}
}

func contains[T comparable](list []T, want T) bool {
	for _, have := range list {
		if have == want {
			return true
		}
	}
	return false
}

func mustLink(t *testing.T, ns *NetNS, name string) netlink.Link {
	t.Helper()
	link, err := ns.handle.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return link
}

// txChecksum asks the kernel whether an interface leaves checksums to its device.
func txChecksum(t *testing.T, n *NetNS, name string) (offloaded bool) {
	t.Helper()
	err := n.pod.Do(func(ns.NetNS) (err error) {
		offloaded, err = device.TxChecksum(name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return offloaded
}

// A route of the host end, in whatever table, makes vswitchd lose packets between nodes: see withoutIPv6.
func TestHostEndHasNoRoutes(t *testing.T) {
	inNewHost(t)
	path := newPod(t)
	s := spec("c-routes", path)
	attach(t, path, s)
	link, err := netlink.LinkByName(s.Record.Attachment().HostName())
	if err != nil {
		t.Fatal(err)
	}
	filter := &netlink.Route{LinkIndex: link.Attrs().Index, Table: unix.RT_TABLE_UNSPEC}
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_ALL, filter, netlink.RT_FILTER_OIF|netlink.RT_FILTER_TABLE)
	if err != nil {
		t.Fatal(err)
	}
	if len(routes) > 0 {
		t.Errorf("the host end has routes: %v", routes)
	}
}
