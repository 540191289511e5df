package server

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/woven-cni/woven/pkg/cni/sandbox"
	"github.com/woven-cni/woven/pkg/host/hosttest"
	"github.com/woven-cni/woven/pkg/host/vsdb"
)

// These tests are about what nobody asked the daemon for: its own end in the middle of a call, a database that is lost, and
// hands of others in Open vSwitch.

// A daemon that dies leaves what the next one's Sweep, or the runtime's next call, cleans.
func TestSweepAndRepeatedCallsAfterACrash(t *testing.T) {
	b := newBench(t)
	attachTo := func(container, pod string) (path string, end func()) {
		b.pod(pod, pod+"-uid")
		path, end = hosttest.NetNS(t)
		b.mustCall(b.request("ADD", container, pod, path))
		return path, end
	}
	whole, _ := attachTo("whole", "whole")
	_, endNamespace := attachTo("ended", "ended")
	portless, _ := attachTo("portless", "portless")
	_, _ = attachTo("podless", "podless")
	b.ovsdb.VSCtl("del-port", hostName("portless"))
	b.ovsdb.VSCtl("del-port", hostName("podless"))
	b.ovsdb.VSCtl("add-port", "br-int", "foreign0")
	b.halt()
	endNamespace()
	hosttest.Eventually(t, "the namespace took its veth", func() bool {
		up, err := sandbox.HostEndUp(hostName("ended"))
		return err == nil && !up
	})
	pods := NewPods()
	b.start(pods)
	for _, pod := range []string{"whole", "portless", "ended"} {
		b.pod(pod, pod+"-uid")
	}
	if err := b.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	for container, want := range map[string]bool{"whole": true, "portless": true, "ended": false, "podless": false} {
		iface := b.Switch.Interface(hostName(container))
		if have := iface != nil; have != want {
			t.Errorf("port of %s: %t, want %t", container, have, want)
		}
	}
	if iface := b.Switch.Interface(hostName("portless")); iface != nil && iface.ExternalIDs["iface-id"] != "portless.shop" {
		t.Errorf("restored port has %v", iface.ExternalIDs)
	}
	b.wantCounts(2, 2)
	b.mustCall(b.request("DEL", "whole", "whole", whole))
	b.mustCall(b.request("DEL", "portless", "portless", portless))
	b.mustCall(b.request("DEL", "ended", "ended", ""))
	b.wantCounts(0, 0)
}

func TestPortsComeBackAfterTheLossOfTheDatabase(t *testing.T) {
	b := newBench(t)
	b.pod("web", "web-uid")
	path, _ := hosttest.NetNS(t)
	answer := b.mustCall(b.request("ADD", "c1", "web", path))
	b.ovsdb.Stop()
	hosttest.Eventually(t, "the session is over", func() bool { return !b.Switch.Connected() })
	b.ovsdb.Recreate()
	hosttest.Eventually(t, "ovn-controller's bridge is back", func() bool { return b.Switch.Bridge(vsdb.IntegrationBridge) != nil })
	if err := b.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.mustCall(b.check("c1", "web", path, answer))
}

func TestSweepPutsBackAPortThatWasRemovedByHand(t *testing.T) {
	b := newBench(t)
	b.pod("web", "web-uid")
	path, _ := hosttest.NetNS(t)
	answer := b.mustCall(b.request("ADD", "c1", "web", path))
	b.ovsdb.VSCtl("del-port", hostName("c1"))
	hosttest.Eventually(t, "the daemon sees it", func() bool { return b.Switch.Port(hostName("c1")) == nil })
	hosttest.Must(t, b.Sweep(t.Context()))
	b.mustCall(b.check("c1", "web", path, answer))
	b.mustCall(b.request("DEL", "c1", "web", path))
	hosttest.Must(t, b.Sweep(t.Context()))
	b.wantCounts(0, 0)
}

// An ADD that was cut off after any of its steps is finished by a repeated one.
func TestAddAfterAnAddThatWasCutOff(t *testing.T) {
	b := newBench(t)
	for name, leave := range map[string]func(t *testing.T, ns *sandbox.NetNS, spec sandbox.Spec, pod *Pod){
		"veth": func(t *testing.T, ns *sandbox.NetNS, spec sandbox.Spec, _ *Pod) { hosttest.Must(t, ns.Create(spec)) },
		"veth and port": func(t *testing.T, ns *sandbox.NetNS, spec sandbox.Spec, pod *Pod) {
			hosttest.Must(t, errors.Join(ns.Create(spec), b.plug(t.Context(), pod, spec.Record)))
		},
		"port": func(t *testing.T, _ *sandbox.NetNS, spec sandbox.Spec, pod *Pod) {
			hosttest.Must(t, b.plug(t.Context(), pod, spec.Record))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b.ovn.paused <- true
			name := strings.ReplaceAll(name, " ", "-")
			b.pod(name, name+"-uid")
			path, _ := hosttest.NetNS(t)
			request := b.request("ADD", "c"+name, name, path)
			c, err := parse(request)
			hosttest.Must(t, err)
			ns, err := sandbox.Open(path)
			hosttest.Must(t, err)
			defer ns.Close()
			pod := b.Pods.WithUID(name + "-uid")
			leave(t, ns, b.spec(c, pod), pod)
			b.ovn.paused <- false
			if name != "veth" { // what is left may be installed by the time of the repeated call
				b.ovsdb.VSCtl("--if-exists", "remove", "Interface", hostName("c"+name), "external_ids", "ovn-installed")
			}
			if name != "veth-and-port" {
				b.mustCall(request)
			} else {
				b.mustCall(b.request("DEL", "c"+name, name, path)) // a runtime's answer to a failed ADD
				b.mustCall(request)
			}
			b.mustCall(b.request("DEL", "c"+name, name, path))
			b.wantCounts(0, 0)
		})
	}
}

// Ports that somebody else has made stay, whatever they say of themselves; ports of a version that did not say whose its rows
// are go as ours do.
func TestPortsOfOthersAndOfBefore(t *testing.T) {
	b := newBench(t)
	b.pod("web", "web-uid")
	path, _ := hosttest.NetNS(t)
	addPort := func(name, vendor string) {
		b.ovsdb.VSCtl("add-port", "br-int", name, "--",
			"set", "Port", name, "external_ids:vendor="+vendor, "--", "set", "Interface", name,
			"external_ids:vendor="+vendor, "external_ids:iface-id=web.shop", "external_ids:container_id="+name, "external_ids:ifname=eth0")
	}
	addPort("theirs0", "somebody")
	addPort("before0", vsdb.Vendor)
	addPort(hostName("c0"), vsdb.Vendor)
	hosttest.Eventually(t, "the daemon sees them", func() bool { return b.Switch.Port(hostName("c0")) != nil })
	b.mustCall(b.request("DEL", "c0", "web", path))
	if b.Switch.Port(hostName("c0")) != nil || b.Switch.Port("before0") == nil {
		t.Error("DEL of an old port did not take it out, or took another")
	}
	b.mustCall(b.request("ADD", "c1", "web", path))
	if b.Switch.Port("before0") != nil {
		t.Error("an older sandbox of the pod, from before, is still there")
	}
	b.mustCall(b.request("DEL", "c1", "web", path))
	if b.Switch.Port("theirs0") == nil {
		t.Error("somebody else's port was taken out")
	}
	b.wantCounts(0, 0)
}

// A runtime that gives up while Open vSwitch does not answer leaves no port behind, whenever the transaction comes through.
func TestAddGivenUpInTheMiddleOfItsTransaction(t *testing.T) {
	b := newBench(t)
	b.pod("web", "web-uid")
	path, _ := hosttest.NetNS(t)
	resume := b.ovsdb.Pause()
	answered := make(chan *types.Error, 1)
	ctx, giveUp := context.WithCancel(t.Context())
	go func() {
		_, refusal := b.call(ctx, b.request("ADD", "c1", "web", path))
		answered <- refusal
	}()
	hosttest.Eventually(t, "the link is there", func() bool {
		ends, err := sandbox.HostEnds()
		return err == nil && len(ends) == 1
	})
	giveUp()
	if refusal := <-answered; refusal == nil {
		t.Error("an ADD that was given up succeeded")
	}
	given := time.Now()
	hosttest.Eventually(t, "the daemon is through with the call, or waits for Open vSwitch", func() bool {
		b.claims.mu.Lock()
		defer b.claims.mu.Unlock()
		return len(b.claims.byPod) == 0 || time.Since(given) > time.Second
	})
	resume()
	hosttest.Eventually(t, "the daemon has taken back all of it", func() bool {
		links, ports := b.counts()
		return links == 0 && ports == 0 && strings.TrimSpace(b.ovsdb.VSCtl("list-ports", "br-int")) == ""
	})
	b.mustCall(b.request("ADD", "c2", "web", path))
	b.wantCounts(1, 1)
}

// What somebody does to a port's rows is put right, and a restart of the daemon, which finds them right, sends nothing.
func TestSweepPutsRightWhatSomebodyChanged(t *testing.T) {
	b := newBench(t)
	pod := b.pod("web", "web-uid")
	path, _ := hosttest.NetNS(t)
	answer := b.mustCall(b.request("ADD", "c1", "web", path))
	name := hostName("c1")
	for what, args := range map[string][]string{
		"another iface-id": {"set", "Interface", name, "external_ids:iface-id=else.shop"},
		"no ids at all":    {"clear", "Interface", name, "external_ids", "--", "clear", "Port", name, "external_ids"},
	} {
		before := b.Switch.Interface(name)
		b.ovsdb.VSCtl(args...)
		hosttest.Eventually(t, "the daemon hears of "+what, func() bool { return b.Switch.Interface(name).Interface != before.Interface })
		hosttest.Must(t, b.Sweep(t.Context()))
		hosttest.Eventually(t, "the flows are there after "+what, func() bool { return b.Switch.Interface(name).Installed() })
		b.mustCall(b.check("c1", "web", path, answer))
	}
	b.halt()
	pods := NewPods()
	b.start(pods)
	pods.Set(pod.Namespace, pod.Name, pod)
	b.sent.Store("")
	hosttest.Must(t, b.Sweep(t.Context()))
	if sent := b.sent.Load(); sent != "" {
		t.Errorf("a restart sent %s", sent)
	}
	b.mustCall(b.request("DEL", "c1", "web", path))
	b.wantCounts(0, 0)
}
