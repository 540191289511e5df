//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/test/e2e/framework"
)

// kernelNode is a node where the kernel switches packets, and another node, where it need not. Without one, a test has
// nothing to say.
func kernelNode(t *testing.T) (kernel, other string) {
	t.Helper()
	var nodes corev1.NodeList
	must(t, cluster.List(t.Context(), &nodes, client.MatchingLabels{v1.LabelOVSDatapathType: v1.DatapathKernel}))
	if len(nodes.Items) == 0 {
		t.Skip("no node has the kernel datapath (make up VM_NODES=1 adds a virtual machine that does)")
	}
	kernel = nodes.Items[len(nodes.Items)-1].Name
	return kernel, cluster.Nodes[slices.IndexFunc(cluster.Nodes, func(n string) bool { return n != kernel })]
}

// onSwitch runs a command beside a node's ovs-vswitchd.
func onSwitch(t *testing.T, node string, command ...string) string {
	t.Helper()
	pod := do[*corev1.Pod](t)(cluster.PodOf(t.Context(), framework.Switch, node))
	return do[string](t)(cluster.ExecIn(t.Context(), pod, "ovs-vswitchd", command...))
}

// onNode runs a script on a node.
func onNode(t *testing.T, node, script string) string {
	t.Helper()
	return do[string](t)(cluster.OnNode(t.Context(), node, script))
}

// The node says what it has, and none of what the userspace datapath needs is there.
func TestKernelDatapath(t *testing.T) {
	kernel, _ := kernelNode(t)
	ns := cluster.Namespace(t, nil)
	p := framework.Server("web", framework.On(kernel))
	ns.Start(p)
	if got := onSwitch(t, kernel, "ovs-appctl", "dpif/show"); !strings.Contains(got, "system@ovs-system") {
		t.Errorf("the switch has the datapaths %q", got)
	}
	if got := onSwitch(t, kernel, "ovs-vsctl", "list-br"); got != framework.IntegrationBridge {
		t.Errorf("the switch has the bridges %q: the tunnel needs none", got)
	}
	if got := onNode(t, kernel, "ip -d link show genev_sys_6081"); !strings.Contains(got, "geneve") {
		t.Errorf("the kernel's tunnel is %q", got)
	}
	const offload = "ethtool -k %s | grep ^tx-checksumming"
	for where, got := range map[string]string{
		"the pod":  ns.Run(p, "sh", "-c", fmt.Sprintf(offload, "eth0")),
		"its veth": onNode(t, kernel, fmt.Sprintf(offload, interfaceOf(t, kernel, p))),
		"ovn0":     onNode(t, kernel, fmt.Sprintf(offload, "ovn0")),
	} {
		if !strings.Contains(got, "on") {
			t.Errorf("%s computes checksums in software: %s", where, got)
		}
	}
	address := do[string](t)(cluster.NodeAddress(t.Context(), kernel))
	fetchFromHere(t, url(address, 10665, "/metrics"), `woven_datapath_info{type="kernel"} 1`)
}

// interfaceOf is the name of a pod's interface on its node.
func interfaceOf(t *testing.T, node string, p *corev1.Pod) string {
	t.Helper()
	return onSwitch(t, node, "ovs-vsctl", "--bare", "--columns=name", "find", "Interface", "external_ids:iface-id="+portName(p))
}

// Pods of one kernel reach each other, and those of a node with the other datapath, with checksums left to devices.
func TestKernelTraffic(t *testing.T) {
	kernel, other := kernelNode(t)
	ns := cluster.Namespace(t, nil)
	caller, near := framework.Server("caller", framework.On(kernel)), framework.Server("near", framework.On(kernel))
	far := framework.Server("far", framework.On(other))
	ns.Start(caller, near, far)
	ns.Equip(caller, far)
	for _, p := range []*corev1.Pod{near, far, caller} {
		ns.Echo(p)
	}
	mtu := do[int](t)(strconv.Atoi(ns.Run(caller, "cat", "/sys/class/net/eth0/mtu")))
	if want := tunnelMTU(t, kernel) - geneveOverhead; mtu != want {
		t.Errorf("the pod's MTU is %d, and the tunnel has room for %d", mtu, want)
	}
	for _, way := range []struct{ from, to *corev1.Pod }{{caller, near}, {caller, far}, {far, caller}} {
		t.Run(way.from.Name+" to "+way.to.Name, func(t *testing.T) {
			ns := ns.For(t)
			ns.FetchUntil(way.from, served(way.to, "/hostname"), way.to.Name)
			t.Log(lastLine(ns.Run(way.from, "ping", "-c5", "-i0.2", "-q", way.to.Status.PodIP)))
			must(t, ns.SendSized(within(t, time.Minute, "a full packet"), way.from, way.to, mtu))
			err := ns.SendSized(t.Context(), way.from, way.to, mtu+1)
			if err == nil || !strings.Contains(err.Error(), "message too long") {
				t.Errorf("a packet of %d bytes: got %v, want it refused as too long", mtu+1, err)
			}
			udp := ns.Stream("udp", way.from, way.to, pace)
			t.Log(throughput(t, ns, way.from, way.to))
			if r := udp.Stop(); r.Lost() > 0 {
				t.Errorf("beside it, lost %d of %d datagrams", r.Lost(), r.Sent)
			}
		})
	}
}

// throughput sends some megabytes over TCP and returns iperf3's last word. TCP finds every wrong checksum, and iperf3
// fails when nothing arrives.
func throughput(t *testing.T, ns *framework.Namespace, from, to *corev1.Pod) string {
	t.Helper()
	ns.Run(to, "iperf3", "--server", "--one-off", "--daemon")
	out := ns.Run(from, "timeout", "60", "iperf3", "--bytes=20M", "--client="+to.Status.PodIP)
	i := strings.LastIndex(out, "receiver")
	if i < 0 {
		t.Fatalf("iperf3 says %s", out)
	}
	return lastLine(out[:i+len("receiver")])
}

func lastLine(text string) string {
	return text[strings.LastIndexByte(strings.TrimSpace(text), '\n')+1:]
}

func TestKernelService(t *testing.T) {
	kernel, other := kernelNode(t)
	ns := cluster.Namespace(t, nil)
	db := cluster.Northbound(t)
	caller := framework.Server("caller", framework.On(kernel))
	near := framework.Server("near", framework.On(kernel), framework.Labelled("app", "web"))
	far := framework.Server("far", framework.On(other), framework.Labelled("app", "web"))
	web := service("web", "web", corev1.ServiceTypeNodePort)
	ns.Add(web)
	ns.Start(caller, near, far)
	awaitBalanced(t, db, web.Spec.ClusterIP+":80", 2)
	awaitBalanced(t, db, web.Spec.ClusterIP+":81", 2)
	for _, p := range []*corev1.Pod{near, far} {
		ns.FetchUntil(caller, served(p, "/hostname"), p.Name)
	}
	t.Run("TCP", func(t *testing.T) { spread(t, caller, "http", web.Spec.ClusterIP, 80) })
	t.Run("UDP", func(t *testing.T) { spread(t, caller, "udp", web.Spec.ClusterIP, 81) })
	t.Run("of itself", func(t *testing.T) { spread(t, near, "http", web.Spec.ClusterIP, 80) })
	t.Run("by name", func(t *testing.T) {
		ns.For(t).FetchUntil(caller, "http://web."+ns.Name+".svc.cluster.local/hostname", "")
	})
	t.Run("from the node", func(t *testing.T) { fetchFromNode(t, kernel, url(web.Spec.ClusterIP, 80, "/hostname"), "") })
	t.Run("at the node's port", func(t *testing.T) {
		address := do[string](t)(cluster.NodeAddress(t.Context(), kernel))
		fetchFromHere(t, url(address, int(web.Spec.Ports[0].NodePort), "/hostname"), "")
	})
	t.Run("conntrack zones are the kernel's", func(t *testing.T) {
		tracked := onNode(t, kernel, "conntrack -L 2>/dev/null | grep "+caller.Status.PodIP)
		if !regexp.MustCompile(`dst=` + regexp.QuoteMeta(web.Spec.ClusterIP) + ` .* zone=[1-9]`).MatchString(tracked) {
			t.Errorf("the kernel tracks\n%s\nand no connection to the Service in a zone", tracked)
		}
	})
}

func TestKernelReachesOutsideAsItsNode(t *testing.T) {
	kernel, _ := kernelNode(t)
	seenAsNode(t, []string{kernel})
}

// What flows is in the kernel: a packet that ovs-vswitchd has seen is followed by others that it has not.
func TestKernelFlows(t *testing.T) {
	kernel, other := kernelNode(t)
	ns := cluster.Namespace(t, nil)
	caller, far := framework.Server("caller", framework.On(kernel)), framework.Server("far", framework.On(other))
	ns.Start(caller, far)
	ns.Equip(caller)
	ns.Echo(far)
	stream := ns.Stream("udp", caller, far, pace)
	link := interfaceOf(t, kernel, caller)
	out := regexp.MustCompile(`in_port\(` + link + `\).* packets:([0-9]+),.*actions:.*set\(tunnel\(.*genev_sys_6081`)
	back := regexp.MustCompile(`tunnel\(.*in_port\(genev_sys_6081\).* packets:([0-9]+),.*actions:.*` + link)
	count := func(ctx context.Context, flow *regexp.Regexp) (most int, err error) {
		pod, err := cluster.PodOf(ctx, framework.Switch, kernel)
		if err != nil {
			return 0, err
		}
		flows, err := cluster.ExecIn(ctx, pod, "ovs-vswitchd", "ovs-appctl", "dpctl/dump-flows", "--names")
		for _, m := range flow.FindAllStringSubmatch(flows, -1) {
			n, _ := strconv.Atoi(m[1]) // digits
			most = max(most, n)
		}
		return most, err
	}
	for name, flow := range map[string]*regexp.Regexp{"out": out, "back": back} {
		err := framework.Until(within(t, 20*time.Second, "a flow "+name+" with 50 packets"), func(ctx context.Context) error {
			n, err := count(ctx, flow)
			if err == nil && n < 50 {
				err = fmt.Errorf("%d packets", n)
			}
			return err
		})
		if err != nil {
			t.Errorf("%v; the kernel has\n%s", err, onSwitch(t, kernel, "ovs-appctl", "dpctl/dump-flows", "--names"))
		}
	}
	if r := stream.Stop(); r.Lost() > 0 {
		t.Errorf("lost %d of %d", r.Lost(), r.Sent)
	}
}

// sctpPort is where a server listens for SCTP.
const sctpPort = 8082

// SCTP is a protocol that the kernel of a namespace's node may lack.
func TestKernelSCTP(t *testing.T) {
	kernel, _ := kernelNode(t)
	ns := cluster.Namespace(t, nil)
	caller, server := framework.Server("caller", framework.On(kernel)), framework.Server("server", framework.On(kernel))
	server.Spec.Containers[0].Args = append(server.Spec.Containers[0].Args, fmt.Sprintf("--sctp-port=%d", sctpPort))
	svc := service("sctp", "server", corev1.ServiceTypeClusterIP)
	svc.Spec.Ports = []corev1.ServicePort{
		{Name: "sctp", Port: 83, TargetPort: intstr.FromInt32(sctpPort), Protocol: corev1.ProtocolSCTP},
	}
	db := cluster.Northbound(t)
	ns.Add(svc)
	ns.Start(caller, server)
	awaitBalanced(t, db, svc.Spec.ClusterIP+":83", 1)
	ns.FetchUntil(caller, served(server, "/hostname"), "server")
	for name, to := range map[string]struct {
		host string
		port int
	}{"pod": {server.Status.PodIP, sctpPort}, "Service": {svc.Spec.ClusterIP, 83}} {
		t.Run("to a "+name, func(t *testing.T) {
			got := do[[]string](t)(dial(t.Context(), caller, "sctp", to.host, to.port, "hostname"))
			if !slices.Equal(got, []string{"server"}) {
				t.Errorf("got an answer of %v", got)
			}
		})
	}
}

// Queues and VLANs, which features to come stand on.
func TestKernelQueues(t *testing.T) {
	kernel, _ := kernelNode(t)
	ns := cluster.Namespace(t, nil)
	caller, near := framework.Server("caller", framework.On(kernel)), framework.Server("near", framework.On(kernel))
	ns.Start(caller, near)
	link := interfaceOf(t, kernel, near)
	t.Run("netem delays", func(t *testing.T) {
		onNode(t, kernel, "tc qdisc add dev "+link+" root netem delay 300ms")
		out := ns.For(t).Run(caller, "ping", "-c3", "-q", near.Status.PodIP)
		onNode(t, kernel, "tc qdisc del dev "+link+" root")
		m := regexp.MustCompile(`= ([0-9.]+)/`).FindStringSubmatch(out)
		if m == nil {
			t.Fatalf("ping says %s", out)
		}
		if fastest := do[float64](t)(strconv.ParseFloat(m[1], 64)); fastest < 300 {
			t.Errorf("the fastest answer took %.0f ms", fastest)
		}
	})
	t.Run("HTB limits", func(t *testing.T) {
		onSwitch(t, kernel, "ovs-vsctl", "set", "Port", link, "qos=@q", "--", "--id=@q", "create", "QoS", "type=linux-htb",
			"other-config:max-rate=8000000")
		if got := onNode(t, kernel, "tc class show dev "+link); !strings.Contains(got, "htb") || !strings.Contains(got, "8Mbit") {
			t.Errorf("the link has the classes %q", got)
		}
		t.Log(throughput(t, ns.For(t), caller, near))
		onSwitch(t, kernel, "ovs-vsctl", "clear", "Port", link, "qos", "--", "--all", "destroy", "QoS")
	})
	t.Run("VLAN interfaces", func(t *testing.T) {
		got := onNode(t, kernel, "ip link add link eth0 name e2evlan type vlan id 77 && ip -d link show e2evlan && ip link del e2evlan")
		if !strings.Contains(got, "vlan protocol 802.1Q id 77") {
			t.Errorf("got %q", got)
		}
	})
}

// exited has a process end as it does when its pod is deleted, but not its pod.
func exited(comp framework.Component, node, container string) blow {
	return blow{name: container + " told to exit", strike: func(ctx context.Context) (framework.Recovered, error) {
		return cluster.Strike(ctx, comp, node, container, "ovs-appctl", "-t", container, "exit")
	}}
}

// The kernel goes on switching while the programs that taught it are away, and those that come back take nothing away
// before they know better.
func TestKernelHeals(t *testing.T) {
	kernel, other := kernelNode(t)
	ns := cluster.Namespace(t, nil)
	caller, near := framework.Server("caller", framework.On(kernel)), framework.Server("near", framework.On(kernel))
	far := framework.Server("far", framework.On(other))
	ns.Start(caller, near, far)
	ns.Equip(caller, far)
	for _, p := range []*corev1.Pod{near, far, caller} {
		ns.Echo(p)
	}
	const tenth = int(100 * time.Millisecond / pace) // packets in 100 ms
	for _, b := range []struct {
		blow
		most int // packets that a stream may lose
	}{
		{killed(framework.Daemon, kernel, "woven-daemon", true), 0},
		{deleted(framework.Daemon, kernel, true), 0},
		{killed(framework.Switch, kernel, "ovn-controller", false), tenth},
		{exited(framework.Switch, kernel, "ovs-vswitchd"), tenth},
		{killed(framework.Switch, kernel, "ovs-vswitchd", false), tenth},
		{deleted(framework.Switch, kernel, false), tenth},
	} {
		t.Run(b.name, func(t *testing.T) {
			ns := ns.For(t)
			streams := []*framework.Stream{
				ns.Stream("udp", caller, near, pace), ns.Stream("udp", caller, far, pace),
				ns.Stream("udp", far, caller, pace), ns.Stream("tcp", caller, far, pace),
			}
			recovered := do[framework.Recovered](t)(b.strike(within(t, time.Minute, "the blow")))
			must(t, recovered(within(t, 3*time.Minute, "the recovery")))
			fresh := framework.Server("fresh", framework.On(kernel))
			ns.Start(fresh)
			ns.FetchUntil(caller, served(fresh, "/hostname"), "fresh")
			ns.FetchUntil(fresh, served(far, "/hostname"), "far")
			for _, s := range streams {
				r := s.Stop()
				if r.Broken != "" {
					t.Errorf("the connection broke: %s", r.Broken)
				}
				if r.Lost() > b.most {
					t.Errorf("lost %d of %d packets, and %d are too many", r.Lost(), r.Sent, b.most+1)
				}
			}
			ns.Stop(fresh)
		})
	}
}
