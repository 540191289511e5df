package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/vishvananda/netlink"

	"github.com/woven-cni/woven/pkg/cni"
	"github.com/woven-cni/woven/pkg/cni/sandbox"
	"github.com/woven-cni/woven/pkg/host/hosttest"
)

// These tests follow the text of the CNI specification, version 1.1.0. What is quoted is the specification's.

func hostName(container string) string {
	return sandbox.Attachment{ContainerID: container, IfName: "eth0"}.HostName()
}

// inside runs a command in a pod's namespace.
func inside(t *testing.T, path string, args ...string) {
	t.Helper()
	if out, err := exec.Command("nsenter", append([]string{"--net=" + path}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v: %s", args, err, out)
	}
}

func (b *bench) wantRefusal(request cni.Request, code uint) *types.Error {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	answer, refusal := b.call(ctx, request)
	if refusal == nil {
		b.Fatalf("%s succeeded: %s", request.Command(), answer)
	}
	if refusal.Code != code {
		b.Errorf("%s: code %d (%v), want %d", request.Command(), refusal.Code, refusal, code)
	}
	return refusal
}

func TestAddAnswersInTheAskedVersion(t *testing.T) {
	b := newBench(t)
	for i, version := range []string{"0.3.1", "0.4.0", "1.0.0", "1.1.0"} {
		pod := fmt.Sprintf("web-%d", i)
		b.pod(pod, pod+"-uid")
		path, _ := hosttest.NetNS(t)
		request := b.request("ADD", "c"+pod, pod, path)
		request.Config = b.config(map[string]any{"cniVersion": version})
		var result struct {
			CNIVersion string           `json:"cniVersion"`
			Interfaces []map[string]any `json:"interfaces"`
			IPs        []map[string]any `json:"ips"`
		}
		if err := json.Unmarshal(b.mustCall(request), &result); err != nil {
			t.Fatal(err)
		}
		if result.CNIVersion != version || len(result.Interfaces) != 2 || len(result.IPs) != 2 {
			t.Errorf("version %s: %+v", version, result)
		}
		_, hasFamily := result.IPs[0]["version"] // which ended with 1.0.0
		if old := version < "1.0.0"; old != hasFamily {
			t.Errorf("version %s: address %v", version, result.IPs[0])
		}
	}
}

// "If the plugin was supplied a prevResult as part of its input configuration, it MUST handle prevResult by either
// passing it through, or modifying it appropriately."
func TestAddPassesPrevResultOn(t *testing.T) {
	b := newBench(t)
	b.pod("web", "web-uid")
	path, _ := hosttest.NetNS(t)
	request := b.request("ADD", "c1", "web", path)
	request.Config = b.config(map[string]any{"prevResult": map[string]any{
		"cniVersion": "1.1.0", "interfaces": []map[string]any{{"name": "earlier0"}},
		"ips": []map[string]any{{"address": "192.0.2.7/24", "interface": 0}},
	}})
	answer := string(b.mustCall(request))
	for _, want := range []string{"earlier0", "192.0.2.7/24", "10.16.0.5/16", `"interface": 2`} {
		if !strings.Contains(answer, want) {
			t.Errorf("answer lacks %s: %s", want, answer)
		}
	}
}

// "If an interface of the requested name already exists in the container, the CNI plugin MUST return with an error."
func TestAddTwiceIsAnErrorAndHarmless(t *testing.T) {
	b := newBench(t)
	b.pod("web", "web-uid")
	path, _ := hosttest.NetNS(t)
	answer := b.mustCall(b.request("ADD", "c1", "web", path))
	b.wantRefusal(b.request("ADD", "c1", "web", path), types.ErrInternal)
	b.wantCounts(1, 1)
	b.mustCall(b.check("c1", "web", path, answer))
}

func TestAddWhereTheNameIsTakenByOthers(t *testing.T) {
	b := newBench(t)
	b.pod("web", "web-uid")
	path, _ := hosttest.NetNS(t)
	inside(t, path, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "other")
	b.wantRefusal(b.request("ADD", "c1", "web", path), types.ErrInternal)
	b.wantCounts(0, 0)
	inside(t, path, "ip", "link", "show", "eth0")
}

func TestAddInBadNamespaces(t *testing.T) {
	b := newBench(t)
	b.pod("web", "web-uid")
	for _, path := range []string{"/nonexistent", fmt.Sprintf("/proc/%d/ns/net", os.Getpid())} {
		b.wantRefusal(b.request("ADD", "c1", "web", path), types.ErrInvalidNetNS)
	}
	b.wantCounts(0, 0)
}

func TestAddWaitsForThePodOnTheWatch(t *testing.T) {
	b := newBench(t)
	path, _ := hosttest.NetNS(t)
	b.pod("web", "an-older-uid") // of the pod that had the name before
	answered := make(chan *types.Error)
	go func() {
		_, refusal := b.call(t.Context(), b.request("ADD", "c1", "web", path))
		answered <- refusal
	}()
	select {
	case refusal := <-answered:
		t.Fatalf("answered for another pod of the name: %v", refusal)
	case <-time.After(200 * time.Millisecond):
	}
	b.pod("web", "web-uid", map[string]string{})
	b.pod("web", "web-uid")
	if refusal := <-answered; refusal != nil {
		t.Fatal(refusal)
	}
	b.wantCounts(1, 1)
}

func TestAddOfADeletedPodEndsAtOnce(t *testing.T) {
	b := newBench(t)
	path, _ := hosttest.NetNS(t)
	pod := b.pod("web", "web-uid", map[string]string{})
	answered := make(chan *types.Error)
	go func() {
		_, refusal := b.call(t.Context(), b.request("ADD", "c1", "web", path))
		answered <- refusal
	}()
	hosttest.Eventually(t, "the call waits", func() bool {
		b.Pods.mu.Lock()
		defer b.Pods.mu.Unlock()
		return len(b.Pods.waiting) > 0
	})
	b.Pods.Set(pod.Namespace, pod.Name, nil)
	if refusal := <-answered; refusal == nil || refusal.Code != types.ErrTryAgainLater {
		t.Errorf("answer %v", refusal)
	}
	b.wantCounts(0, 0)
}

// A runtime that gives up kills the plugin.
func TestAddIsTakenBackWhenTheRuntimeLeaves(t *testing.T) {
	b := newBench(t)
	b.ovn.paused <- true
	b.pod("web", "web-uid")
	path, _ := hosttest.NetNS(t)
	ctx, leave := context.WithCancel(t.Context())
	answered := make(chan *types.Error)
	go func() {
		_, refusal := b.call(ctx, b.request("ADD", "c1", "web", path))
		answered <- refusal
	}()
	hosttest.Eventually(t, "the port is in Open vSwitch", func() bool { _, ports := b.counts(); return ports == 1 })
	leave()
	<-answered
	hosttest.Eventually(t, "nothing is left", func() bool { links, ports := b.counts(); return links == 0 && ports == 0 })
	b.ovn.paused <- false
	b.mustCall(b.request("ADD", "c1", "web", path))
}

// The veth goes while ADD waits for OVN: its namespace ended, or somebody deleted it.
func TestAddEndsAtOnceWhenTheLinkVanishes(t *testing.T) {
	for name, vanish := range map[string]func(end func()) error{
		"deleted":         func(func()) error { return sandbox.RemoveHostEnd(hostName("c1")) },
		"namespace ended": func(end func()) error { end(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.ovsdb.VSwitchd()
			b.ovn.paused <- true
			b.pod("web", "web-uid")
			path, end := hosttest.NetNS(t)
			answered := make(chan *types.Error, 1)
			go func() {
				_, refusal := b.call(t.Context(), b.request("ADD", "c1", "web", path))
				answered <- refusal
			}()
			hosttest.Eventually(t, "vswitchd has opened the link", func() bool {
				iface := b.Switch.Interface(hostName("c1"))
				return iface != nil && iface.Working()
			})
			hosttest.Must(t, vanish(end))
			select {
			case refusal := <-answered:
				if refusal == nil || !strings.Contains(refusal.Error(), "vanished") {
					t.Errorf("answer %v", refusal)
				}
			case <-time.After(time.Minute):
				t.Fatal("ADD waits for a link that is not there")
			}
			b.wantCounts(0, 0)
		})
	}
}

// What vswitchd complains of may pass, as long as the link is there.
func TestAddOutlastsAComplaint(t *testing.T) {
	b := newBench(t)
	b.ovn.paused <- true
	b.pod("web", "web-uid")
	path, _ := hosttest.NetNS(t)
	answered := make(chan *types.Error, 1)
	go func() {
		_, refusal := b.call(t.Context(), b.request("ADD", "c1", "web", path))
		answered <- refusal
	}()
	hosttest.Eventually(t, "the port is in Open vSwitch", func() bool { _, ports := b.counts(); return ports == 1 })
	b.ovsdb.VSCtl("set", "Interface", hostName("c1"), `error="could not open network device"`)
	hosttest.Eventually(t, "the daemon hears of it", func() bool { return b.Switch.Interface(hostName("c1")).Error != nil })
	b.ovn.paused <- false
	b.ovsdb.VSCtl("clear", "Interface", hostName("c1"), "error")
	if refusal := <-answered; refusal != nil {
		t.Errorf("answer %v", refusal)
	}
}

func TestNewerSandboxSupersedesTheOlder(t *testing.T) {
	b := newBench(t)
	b.pod("web", "web-uid")
	old, _ := hosttest.NetNS(t)
	path, _ := hosttest.NetNS(t)
	t.Run("attached", func(t *testing.T) {
		b.mustCall(b.request("ADD", "c1", "web", old))
		b.mustCall(b.request("ADD", "c2", "web", path))
		if _, ports := b.counts(); ports != 1 || b.Switch.Interface(hostName("c2")) == nil {
			t.Errorf("%d ports of the pod", ports)
		}
		b.mustCall(b.request("DEL", "c1", "web", old))
		if b.Switch.Interface(hostName("c2")) == nil {
			t.Error("deleting the old sandbox took the new one's port")
		}
		b.mustCall(b.request("DEL", "c2", "web", path))
	})
	t.Run("under way", func(t *testing.T) {
		old, _ := hosttest.NetNS(t)
		path, _ := hosttest.NetNS(t)
		b.ovn.paused <- true
		answered := make(chan *types.Error)
		go func() {
			_, refusal := b.call(b.Context(), b.request("ADD", "c3", "web", old))
			answered <- refusal
		}()
		hosttest.Eventually(t, "the port is in Open vSwitch", func() bool { _, ports := b.counts(); return ports == 1 })
		done := make(chan *types.Error)
		go func() {
			_, refusal := b.call(b.Context(), b.request("ADD", "c4", "web", path))
			done <- refusal
		}()
		if refusal := <-answered; refusal == nil || !strings.Contains(refusal.Error(), errSuperseded.Error()) {
			t.Errorf("the older sandbox was answered %v", refusal)
		}
		b.ovn.paused <- false
		if refusal := <-done; refusal != nil {
			t.Errorf("the newer sandbox was answered %v", refusal)
		}
		b.wantCounts(1, 1)
	})
}

// "Plugins MUST accept multiple DEL calls for the same (CNI_CONTAINERID, CNI_IFNAME) pair, and return success if the
// interface in question, or any modifications added, are missing."
func TestDelSucceedsOnWhatIsGone(t *testing.T) {
	b := newBench(t)
	pod := b.pod("web", "web-uid")
	path, end := hosttest.NetNS(t)
	b.mustCall(b.request("DEL", "never-seen", "web", ""))
	b.mustCall(b.request("ADD", "c1", "web", path))
	b.Pods.Set(pod.Namespace, pod.Name, nil) // DEL never needs it
	end()                                    // nor the namespace
	b.mustCall(b.request("DEL", "c1", "web", path))
	b.mustCall(b.request("DEL", "c1", "web", ""))
	bare := b.request("DEL", "c1", "web", "")
	delete(bare.Env, "CNI_ARGS")
	b.mustCall(bare)
	b.wantCounts(0, 0)
	hosttest.Eventually(t, "the veth is gone", func() bool {
		ends, err := sandbox.HostEnds()
		return err == nil && len(ends) == 0
	})
}

func TestDelInALivingNamespaceThenAddAgain(t *testing.T) {
	b := newBench(t)
	b.pod("web", "web-uid")
	path, _ := hosttest.NetNS(t)
	for range 3 {
		b.mustCall(b.request("ADD", "c1", "web", path))
		b.mustCall(b.request("DEL", "c1", "web", path))
	}
	hosttest.Eventually(t, "the reaper took the veth", func() bool {
		ends, err := sandbox.HostEnds()
		return err == nil && len(ends) == 0
	})
}

// "The plugin should return an error if a resource included in the CNI Result type (interface, address or route) was
// created by the plugin, and is listed in prevResult, but is missing or in an invalid state."
func TestCheckAfterTampering(t *testing.T) {
	b := newBench(t)
	for name, test := range map[string]struct {
		tamper func(t *testing.T, path, host string)
		want   string
	}{
		"nothing":    {func(*testing.T, string, string) {}, ""},
		"address":    {func(t *testing.T, p, _ string) { inside(t, p, "ip", "addr", "del", "10.16.0.5/16", "dev", "eth0") }, "lacks address 10.16.0.5/16"},
		"v6 address": {func(t *testing.T, p, _ string) { inside(t, p, "ip", "addr", "del", "fd00:10:16::5/64", "dev", "eth0") }, "lacks address fd00:10:16::5/64"},
		"route":      {func(t *testing.T, p, _ string) { inside(t, p, "ip", "route", "del", "default") }, "lacks the route to 0.0.0.0/0"},
		"mac": {func(t *testing.T, p, _ string) {
			inside(t, p, "ip", "link", "set", "eth0", "address", "0a:58:00:00:00:99")
		}, "has MAC"},
		"mtu":  {func(t *testing.T, p, _ string) { inside(t, p, "ip", "link", "set", "eth0", "mtu", "1300") }, "has MTU 1300"},
		"down": {func(t *testing.T, p, _ string) { inside(t, p, "ip", "link", "set", "eth0", "down") }, "is down"},
		"link": {func(t *testing.T, p, _ string) { inside(t, p, "ip", "link", "del", "eth0") }, "missing in the container"},
		"more routes": {func(t *testing.T, p, _ string) {
			inside(t, p, "ip", "route", "add", "192.0.2.0/24", "via", "10.16.0.9")
		}, ""},
		"port": {func(t *testing.T, _, h string) { b.ovsdb.VSCtl("del-port", h) }, "has no port"},
		"iface-id": {func(t *testing.T, _, h string) {
			b.ovn.paused <- true
			b.ovsdb.VSCtl("set", "Interface", h, "external_ids:iface-id=else.shop")
		}, "has iface-id"},
		"host link": {func(t *testing.T, _, h string) {
			link, err := netlink.LinkByName(h)
			if err = errors.Join(err, netlink.LinkSetDown(link)); err != nil {
				t.Fatal(err)
			}
		}, "is missing or down"},
	} {
		t.Run(name, func(t *testing.T) {
			pod := strings.ReplaceAll(name, " ", "-")
			b.pod(pod, pod+"-uid")
			path, _ := hosttest.NetNS(t)
			answer := b.mustCall(b.request("ADD", "c"+pod, pod, path))
			defer b.mustCall(b.request("DEL", "c"+pod, pod, path))
			test.tamper(t, path, hostName("c"+pod))
			if name == "iface-id" {
				defer func() { b.ovn.paused <- false }()
			}
			check := b.check("c"+pod, pod, path, answer)
			hosttest.Eventually(t, "the daemon sees it: "+test.want, func() bool {
				_, refusal := b.call(t.Context(), check)
				if test.want == "" {
					return refusal == nil
				}
				return refusal != nil && refusal.Code == cni.CodeAttachmentDiffers && strings.Contains(refusal.Details, test.want)
			})
		})
	}
	b.pod("web", "web-uid")
	path, _ := hosttest.NetNS(t)
	b.wantRefusal(b.request("CHECK", "c1", "web", path), types.ErrInvalidNetworkConfig) // without prevResult
}

// "The network plugin may then remove any resources related to attachments that do not exist in this set."
func TestGCRemovesWhatIsNotValid(t *testing.T) {
	b := newBench(t)
	for i := range 4 {
		pod := fmt.Sprintf("web-%d", i)
		b.pod(pod, pod+"-uid")
		path, _ := hosttest.NetNS(t)
		b.mustCall(b.request("ADD", fmt.Sprintf("c%d", i), pod, path))
	}
	b.ovsdb.VSCtl("add-port", "br-int", "foreign0")
	gc := b.request("GC", "", "", "")
	b.wantRefusal(gc, types.ErrInvalidNetworkConfig) // no list is not an empty list
	b.wantCounts(4, 4)
	valid := []map[string]string{{"containerID": "c1", "ifname": "eth0"}, {"containerID": "c2", "ifname": "eth1"}}
	gc.Config = b.config(map[string]any{"cni.dev/valid-attachments": valid})
	b.mustCall(gc)
	b.mustCall(gc)
	b.wantCounts(1, 1)
	if b.Switch.Interface(hostName("c1")) == nil || b.Switch.Interface("foreign0") == nil {
		t.Error("a valid attachment, or somebody else's port, was removed")
	}
	gc.Config = b.config(map[string]any{"cni.dev/valid-attachments": []any{}})
	b.mustCall(gc)
	b.wantCounts(0, 0)
}

// "50: The plugin is not available", "51: The plugin is not available, and existing containers in the network may have
// limited connectivity."
func TestStatus(t *testing.T) {
	b := newBench(t)
	status := b.request("STATUS", "", "", "")
	b.mustCall(status)
	b.node.err = errors.New("no integration bridge")
	b.wantRefusal(status, types.ErrPluginNotAvailable)
	b.node.disturbed = true
	b.wantRefusal(status, types.ErrLimitedConnectivity)
	b.node.err = nil
	b.mustCall(status)
	b.halt()
	hosttest.Must(t, os.RemoveAll(filepath.Dir(b.socket))) // otherwise they wait for the daemon to come back
	b.wantRefusal(status, types.ErrPluginNotAvailable)
	for _, command := range []string{"ADD", "DEL", "CHECK", "GC"} {
		b.wantRefusal(b.request(command, "c1", "web", "/x"), types.ErrTryAgainLater)
	}
}

func TestBadRequests(t *testing.T) {
	b := newBench(t)
	for _, lacking := range []string{"CNI_CONTAINERID", "CNI_IFNAME", "CNI_NETNS", "CNI_ARGS", "CNI_COMMAND"} {
		request := b.request("ADD", "c1", "web", "/x")
		delete(request.Env, lacking)
		b.wantRefusal(request, types.ErrInvalidEnvironmentVariables)
	}
	request := b.request("ADD", "c1", "web", "/x")
	request.Config = json.RawMessage(`[]`)
	b.wantRefusal(request, types.ErrDecodingFailure)
	info, err := os.Stat(b.socket)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket's mode is %v, %v", info.Mode(), err)
	}
}

func TestParallelAddAndDelOfOneSandbox(t *testing.T) {
	b := newBench(t)
	b.pod("web", "web-uid")
	path, _ := hosttest.NetNS(t)
	var calls sync.WaitGroup
	for i := range 12 {
		calls.Go(func() {
			command := []string{"ADD", "DEL"}[i%2]
			_, refusal := b.call(b.Context(), b.request(command, "c1", "web", path))
			if refusal != nil && (command == "DEL" || refusal.Code != types.ErrInternal) {
				t.Errorf("%s: %v", command, refusal)
			}
		})
	}
	calls.Wait()
	b.mustCall(b.request("DEL", "c1", "web", path))
	b.wantCounts(0, 0)
}

func TestManyPodsAtOnce(t *testing.T) {
	b := newBench(t)
	const pods = 40
	var calls sync.WaitGroup
	for i := range pods {
		pod := fmt.Sprintf("web-%d", i)
		b.pod(pod, pod+"-uid")
		path, _ := hosttest.NetNS(t)
		calls.Go(func() {
			_, refusal := b.call(b.Context(), b.request("ADD", "c"+pod, pod, path))
			if refusal != nil {
				t.Errorf("%s: %v", pod, refusal)
			}
		})
	}
	calls.Wait()
	b.wantCounts(pods, pods)
	for i := range pods {
		calls.Go(func() {
			if _, refusal := b.call(b.Context(), b.request("DEL", fmt.Sprintf("cweb-%d", i), "", "")); refusal != nil {
				t.Error(refusal)
			}
		})
	}
	calls.Wait()
	b.wantCounts(0, 0)
}
