package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	kubeovnv1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/host"
	"github.com/woven-cni/woven/pkg/host/hosttest"
)

// TestNodeTellsWhatItsUsersHaveToMend in an Event, once.
func TestNodeTellsWhatItsUsersHaveToMend(t *testing.T) {
	c := prepareChurned(t)
	node := fakeNode(0, time.Unix(0, 0))
	node.Annotations[kubeovnv1.AnnotationTunnelInterface] = "bond.*"
	c.api.set("nodes", node)
	c.begin(hosttest.NewOVSDB(t).Endpoint())
	const want = `woven-daemon: Node node-0 TunnelInterfaceUnknown: waiting for an interface that matches "bond.*"`
	hosttest.Eventually(t, "the Event", func() bool { return len(c.api.toldEvents()) > 0 })
	hosttest.Must(t, c.watch.awaitPods(t.Context()))
	c.move("10.40.0.0/16")
	if told := c.api.toldEvents(); len(told) != 1 || told[0] != want {
		t.Errorf("told %q", told)
	}
}

// TestNodeTellsWhatFails has the kernel refuse a setting: an Event on the Node says so, once for all tries, and the node goes on by
// itself when the kernel gives in.
func TestNodeTellsWhatFails(t *testing.T) {
	const forwarding = "/proc/sys/net/ipv4/ip_forward"
	hosttest.Must(t, os.WriteFile(forwarding, []byte("0"), 0o600))
	allow := makeReadOnly(t, "/proc/sys")
	c := prepareChurned(t)
	node := fakeNode(0, time.Unix(0, 0))
	node.Annotations[kubeovnv1.AnnotationAllocated] = "true"
	node.Annotations[kubeovnv1.AnnotationIPAddress], node.Annotations[kubeovnv1.AnnotationMACAddress] = "100.64.0.2", "0a:58:64:40:00:02"
	c.api.set("nodes", node)
	c.begin(hosttest.NewOVSDB(t).Endpoint())
	failures := func() (all []string) {
		for _, told := range c.api.toldEvents() {
			if strings.HasPrefix(told, "woven-daemon: Node node-0 "+host.ReasonFailed+": ") {
				all = append(all, told)
			}
		}
		return all
	}
	hosttest.Eventually(t, "the Event", func() bool { return len(failures()) > 0 })
	before := c.looks()
	hosttest.Eventually(t, "another try", func() bool { return c.looks() > before+1 })
	if told := failures(); len(told) != 1 || !strings.Contains(told[0], "ip_forward") {
		t.Errorf("told %q", told)
	}
	allow()
	hosttest.Eventually(t, "the setting", func() bool {
		text, err := os.ReadFile(forwarding)
		return err == nil && strings.TrimSpace(string(text)) == "1"
	})
}

// makeReadOnly makes a directory of this process' own mounts read-only, until the test ends or undo is called.
func makeReadOnly(t *testing.T, dir string) (undo func()) {
	t.Helper()
	hosttest.Must(t, unix.Mount(dir, dir, "", unix.MS_BIND, ""))
	undo = func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }
	t.Cleanup(undo)
	hosttest.Must(t, unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""))
	return undo
}
