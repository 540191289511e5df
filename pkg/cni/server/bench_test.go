package server

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-logr/logr"

	"github.com/woven-cni/woven/pkg/cni/sandbox"
	"github.com/woven-cni/woven/pkg/host/hosttest"
	"github.com/woven-cni/woven/pkg/host/vsdb"
)

// plugged is a server on a real ovsdb-server whose node has as many pods as a full one.
type plugged struct {
	*testing.B
	*Server
	ovsdb *hosttest.OVSDB
	next  atomic.Int64
}

func newPlugged(b *testing.B) *plugged {
	b.Helper()
	p := &plugged{B: b, ovsdb: hosttest.NewOVSDB(b)}
	p.Server = New(openSwitch(b, p.ovsdb.Endpoint()), NewPods(), &node{}, logr.Discard())
	for range 110 {
		p.attach(b.Context())
	}
	b.ResetTimer()
	return p
}

func openSwitch(b *testing.B, endpoint string) *vsdb.DB {
	b.Helper()
	db, err := vsdb.Open(b.Context(), endpoint)
	hosttest.Must(b, err)
	return db
}

// attach does to Open vSwitch what an ADD does, and returns the port's name.
func (p *plugged) attach(ctx context.Context) string {
	i := p.next.Add(1)
	mac, _ := net.ParseMAC("0a:58:0a:10:00:05")
	pod := &Pod{Namespace: "shop", Name: fmt.Sprintf("web-%d", i), UID: "u", Network: &Network{
		MAC: mac, Addresses: []netip.Prefix{netip.MustParsePrefix("10.16.0.5/16")},
	}}
	record := sandbox.Record{ContainerID: fmt.Sprintf("c%d", i), IfName: "eth0", PodUID: "u", NetNS: "/run/netns/c"}
	hosttest.Must(p.B, p.plug(ctx, pod, record))
	return record.Attachment().HostName()
}

// BenchmarkPlug is what an ADD and a DEL cost in Open vSwitch: one transaction each.
func BenchmarkPlug(b *testing.B) {
	p := newPlugged(b)
	for b.Loop() {
		hosttest.Must(b, p.unplug(b.Context(), p.attach(b.Context())))
	}
}

// BenchmarkPlugInBurst is the same for pods that come together.
func BenchmarkPlugInBurst(b *testing.B) {
	p := newPlugged(b)
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			hosttest.Must(b, p.unplug(b.Context(), p.attach(b.Context())))
		}
	})
}

// BenchmarkInstalled is the same, with OVN's answer between.
func BenchmarkInstalled(b *testing.B) {
	p := newPlugged(b)
	const installed = `{"op":"mutate","table":"Interface","where":[["name","==","%s"]],` +
		`"mutations":[["external_ids","insert",["map",[["ovn-installed","true"]]]]]}`
	for b.Loop() {
		name := p.attach(b.Context())
		go p.ovsdb.Transact(strings.Replace(installed, "%s", name, 1))
		hosttest.Must(b, p.awaitInstalled(b.Context(), name))
		hosttest.Must(b, p.unplug(b.Context(), name))
	}
}
