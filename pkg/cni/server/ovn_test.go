package server

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"github.com/vishvananda/netlink"

	kubeovnv1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/cni/sandbox"
	"github.com/woven-cni/woven/pkg/host"
	"github.com/woven-cni/woven/pkg/host/hosttest"
	"github.com/woven-cni/woven/pkg/host/vsdb"
)

// newOVNNode is a whole node: real databases, northd, vswitchd and ovn-controller, with the daemon's parts as they are.
func newOVNNode(t *testing.T) (*bench, *hosttest.OVN) {
	t.Helper()
	ovn := hosttest.NewOVN(t)
	ovsdb := hosttest.NewOVSDB(t)
	ovsdb.VSCtl("del-br", "br-int") // ovn-controller makes it
	nic := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth1", MTU: 1500}, PeerName: "wire"}
	hosttest.Must(t, netlink.LinkAdd(nic))
	t.Cleanup(func() { _ = netlink.LinkDel(nic) })
	hosttest.Must(t, netlink.AddrAdd(nic, &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(172, 30, 0, 1), Mask: net.CIDRMask(24, 32)}}))
	ovsdb.VSwitchd()
	ovn.Controller(ovsdb)
	for _, command := range [][]string{
		{"lr-add", "ovn-cluster"},
		{"ls-add", "join"},
		{"ls-add", "ovn-default"},
		{"lrp-add", "ovn-cluster", "ovn-cluster-join", "0a:58:64:40:00:01", "100.64.0.1/16"},
		{"lrp-add", "ovn-cluster", "ovn-cluster-ovn-default", "0a:58:0a:10:00:01", "10.16.0.1/16"},
		{
			"lsp-add", "join", "join-ovn-cluster", "--", "lsp-set-type", "join-ovn-cluster", "router", "--",
			"lsp-set-addresses", "join-ovn-cluster", "router", "--", "lsp-set-options", "join-ovn-cluster", "router-port=ovn-cluster-join",
		},
		{
			"lsp-add", "ovn-default", "ovn-default-ovn-cluster", "--", "lsp-set-type", "ovn-default-ovn-cluster", "router", "--",
			"lsp-set-addresses", "ovn-default-ovn-cluster", "router", "--", "lsp-set-options", "ovn-default-ovn-cluster", "router-port=ovn-cluster-ovn-default",
		},
		{"lsp-add", "join", "node-node1", "--", "lsp-set-addresses", "node-node1", "0a:58:64:40:00:02 100.64.0.2"},
		{"lr-policy-add", "ovn-cluster", "29000", "ip4.dst == 172.31.0.0/24", "reroute", "100.64.0.2"},
	} {
		ovn.NBCtl(command...)
	}

	log := testr.New(t)
	b := &bench{T: t, ovsdb: ovsdb, socket: filepath.Join(t.TempDir(), "cni.sock")}
	ctx, cancel := context.WithCancel(context.Background())
	db, err := vsdb.Open(ctx, ovsdb.Endpoint())
	hosttest.Must(t, err)
	h := host.New(host.Config{NodeName: "node1", Interface: "eth1", Userspace: true}, db, log)
	b.Server = New(db, NewPods(), h, log)
	listener, err := Listen(b.socket)
	hosttest.Must(t, err)
	b.stop = cancel
	b.ended.Go(func() { _ = h.Run(ctx) })
	b.ended.Go(func() { _ = b.Serve(ctx, listener) })
	t.Cleanup(b.halt)
	mac, _ := net.ParseMAC("0a:58:64:40:00:02")
	h.Set(host.Cluster{
		Node: host.Node{InternalIPs: []netip.Addr{netip.MustParseAddr("172.31.0.1")}, Join: &host.Join{
			MAC: mac, Addresses: []netip.Prefix{netip.MustParsePrefix("100.64.0.2/16")},
			Gateways: []netip.Addr{netip.MustParseAddr("100.64.0.1")},
		}},
		Remotes: []string{ovn.Southbound()},
		Subnets: map[string]host.Subnet{"ovn-default": {
			Name: "ovn-default", Routed: true, NAT: true, CIDRs: []netip.Prefix{netip.MustParsePrefix("10.16.0.0/16")},
		}},
	})
	hosttest.Eventually(t, "the node is ready", func() bool { return h.Ready() == nil })
	return b, ovn
}

// ovnPod is a pod with its switch port, as the controller makes both.
func ovnPod(b *bench, ovn *hosttest.OVN, i int) (name, address string) {
	name, address = fmt.Sprintf("web-%d", i), fmt.Sprintf("10.16.1.%d", i+1)
	mac := fmt.Sprintf("0a:58:0a:10:01:%02x", i+1)
	ovn.NBCtl("lsp-add", "ovn-default", name+".shop", "--", "lsp-set-addresses", name+".shop", mac+" "+address)
	b.pod(name, name+"-uid", map[string]string{
		kubeovnv1.AnnotationAllocated: "true", kubeovnv1.AnnotationMACAddress: mac, kubeovnv1.AnnotationIPAddress: address,
		kubeovnv1.AnnotationCIDR: "10.16.0.0/16", kubeovnv1.AnnotationGateway: "10.16.0.1",
		kubeovnv1.AnnotationLogicalSwitch: "ovn-default",
	})
	return name, address
}

func TestPodsTalkOverRealOVN(t *testing.T) {
	b, ovn := newOVNNode(t)
	var took []time.Duration
	var paths, addresses []string
	for i := range 8 {
		name, address := ovnPod(b, ovn, i)
		path, _ := hosttest.NetNS(t)
		began := time.Now()
		b.mustCall(b.request("ADD", "c"+name, name, path))
		took = append(took, time.Since(began))
		paths, addresses = append(paths, path), append(addresses, address)
	}
	slices.Sort(took)
	t.Logf("ADD took %v", took)
	inside(t, paths[0], "ping", "-c1", "-W5", addresses[1])
	inside(t, paths[0], "ping", "-c1", "-W5", "100.64.0.2")
	inside(t, paths[1], "ping", "-c1", "-W5", "-M", "do", "-s", "1414", addresses[0])
	if out, err := exec.Command("ping", "-c1", "-W5", addresses[0]).CombinedOutput(); err != nil {
		t.Errorf("node to pod: %s", out)
	}
	var listener net.Listener
	hosttest.Must(t, hosttest.Inside(t, paths[0], func() (err error) {
		listener, err = net.Listen("tcp", addresses[0]+":80")
		return err
	}))
	defer listener.Close()
	var answering sync.WaitGroup
	answering.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("hello"))
			conn.Close()
		}
	})
	talk := func() error {
		conn, err := net.DialTimeout("tcp", addresses[0]+":80", 5*time.Second)
		if err != nil {
			return err
		}
		defer conn.Close()
		hello := make([]byte, 5)
		_, err = conn.Read(hello)
		return err
	}
	if err := hosttest.Inside(t, paths[1], talk); err != nil {
		t.Errorf("TCP from pod to pod: %v", err)
	}
	if err := talk(); err != nil {
		t.Errorf("TCP from node to pod: %v", err)
	}
	listener.Close()
	answering.Wait()
	for i := range paths {
		b.mustCall(b.request("DEL", fmt.Sprintf("cweb-%d", i), fmt.Sprintf("web-%d", i), ""))
	}
	b.wantCounts(0, 0)
	hosttest.Must(t, sandbox.Reap())
}
