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
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/test/e2e/framework"
)

// sctpPort is where near listens for SCTP, a protocol that the kernel of a namespace's node may lack.
const sctpPort = 8082

// kernelBed is what the tests of the kernel's datapath share. Pods take long to start on an emulated machine, so there
// are few of them.
type kernelBed struct {
	node, other       string // where the kernel switches packets, and where it need not
	ns                *framework.Namespace
	caller, near, far *corev1.Pod // caller and near are on node, far is on other
	further           *corev1.Pod // on a third node, or nil: what traffic between far and it is like is what one compares with
}

// TestKernel is what the kernel's datapath does, on a node that has it, beside nodes that may have the other one.
func TestKernel(t *testing.T) {
	b := newKernelBed(t)
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"datapath", b.datapath},
		{"traffic", b.traffic},
		{"flows", b.flows},
		{"Services", b.services},
		{"NetworkPolicy", b.policy},
		{"outside", func(t *testing.T) { seenAsNodes(t, b.ns.For(t), b.caller) }},
		{"queues and VLANs", b.queues},
		{"heals", b.heals},
	} {
		t.Run(part.name, part.run)
	}
}

func newKernelBed(t *testing.T) *kernelBed {
	t.Helper()
	var nodes corev1.NodeList
	must(t, cluster.List(t.Context(), &nodes, client.MatchingLabels{v1.LabelOVSDatapathType: v1.DatapathKernel}))
	if len(nodes.Items) == 0 {
		t.Skip("no node has the kernel datapath (make up VM_NODES=1 adds a virtual machine that does)")
	}
	b := &kernelBed{node: nodes.Items[len(nodes.Items)-1].Name, ns: cluster.Namespace(t, nil)}
	others := slices.DeleteFunc(slices.Clone(cluster.Nodes), func(n string) bool { return n == b.node })
	b.other = others[0]
	b.caller = framework.Server("caller", framework.On(b.node))
	b.near = framework.Server("near", framework.On(b.node), framework.Labelled("app", "web"), framework.Labelled("sctp", "yes"))
	b.near.Spec.Containers[0].Args = append(b.near.Spec.Containers[0].Args, fmt.Sprintf("--sctp-port=%d", sctpPort))
	b.far = framework.Server("far", framework.On(b.other), framework.Labelled("app", "web"))
	pods := []*corev1.Pod{b.caller, b.near, b.far}
	if len(others) > 1 {
		b.further = framework.Server("further", framework.On(others[1]))
		pods = append(pods, b.further)
	}
	began := time.Now()
	b.ns.Start(pods...)
	t.Logf("the pods took %s", time.Since(began).Round(time.Second))
	for _, p := range pods {
		b.ns.Echo(p)
	}
	return b
}

// onSwitch runs a command beside the node's ovs-vswitchd.
func (b *kernelBed) onSwitch(t *testing.T, command ...string) string {
	t.Helper()
	pod := do[*corev1.Pod](t)(cluster.PodOf(t.Context(), framework.Switch, b.node))
	return do[string](t)(cluster.ExecIn(t.Context(), pod, "ovs-vswitchd", command...))
}

// onNode runs a script on the node.
func (b *kernelBed) onNode(t *testing.T, script string) string {
	t.Helper()
	return do[string](t)(cluster.OnNode(t.Context(), b.node, script))
}

// link is the name of a pod's interface on the node.
func (b *kernelBed) link(t *testing.T, p *corev1.Pod) string {
	t.Helper()
	return b.onSwitch(t, "ovs-vsctl", "--bare", "--columns=name", "find", "Interface", `external_ids:iface-id="`+portName(p)+`"`)
}

// The node says what it has, and none of what the userspace datapath needs is there.
func (b *kernelBed) datapath(t *testing.T) {
	if got := b.onSwitch(t, "ovs-appctl", "dpif/show"); !strings.Contains(got, "system@ovs-system") {
		t.Errorf("the switch has the datapaths %q", got)
	}
	if got := b.onSwitch(t, "ovs-vsctl", "list-br"); got != framework.IntegrationBridge {
		t.Errorf("the switch has the bridges %q: the tunnel needs none", got)
	}
	if got := b.onNode(t, "ip -d link show genev_sys_6081"); !strings.Contains(got, "geneve") {
		t.Errorf("the kernel's tunnel is %q", got)
	}
	const offload = "ethtool -k %s | grep ^tx-checksumming"
	for where, got := range map[string]string{
		"the pod":  b.ns.For(t).Run(b.caller, "sh", "-c", fmt.Sprintf(offload, "eth0")),
		"its veth": b.onNode(t, fmt.Sprintf(offload, b.link(t, b.caller))),
		"ovn0":     b.onNode(t, fmt.Sprintf(offload, "ovn0")),
	} {
		if !strings.Contains(got, "on") {
			t.Errorf("%s computes checksums in software: %s", where, got)
		}
	}
	fetchFromNode(t, b.node, url("127.0.0.1", 10665, "/metrics"), `woven_datapath_info{type="kernel"} 1`)
}

// Pods of one kernel reach each other, and those of a node with the other datapath, with checksums left to devices.
func (b *kernelBed) traffic(t *testing.T) {
	mtu := do[int](t)(strconv.Atoi(b.ns.For(t).Run(b.caller, "cat", "/sys/class/net/eth0/mtu")))
	if want := tunnelMTU(t, b.node) - geneveOverhead; mtu != want {
		t.Errorf("the pod's MTU is %d, and the tunnel has room for %d", mtu, want)
	}
	ways := [][2]*corev1.Pod{{b.caller, b.near}, {b.caller, b.far}, {b.far, b.caller}}
	if b.further != nil {
		ways = append(ways, [2]*corev1.Pod{b.far, b.further})
	}
	for _, way := range ways {
		from, to := way[0], way[1]
		t.Run(from.Name+" to "+to.Name, func(t *testing.T) {
			ns := b.ns.For(t)
			ns.FetchUntil(from, served(to, "/hostname"), to.Name)
			must(t, ns.SendSized(within(t, time.Minute, "a full packet"), from, to, mtu))
			err := ns.SendSized(t.Context(), from, to, mtu+1)
			if err == nil || !strings.Contains(err.Error(), "message too long") {
				t.Errorf("a packet of %d bytes: got %v, want it refused as too long", mtu+1, err)
			}
			t.Log(lastLine(ns.Run(from, "ping", "-c20", "-i0.2", "-q", to.Status.PodIP)))
			t.Log(throughput(t, ns, from, to))
		})
	}
}

// throughput sends over TCP for some seconds and returns iperf3's last word. TCP finds every wrong checksum, and iperf3
// fails when nothing arrives.
func throughput(t *testing.T, ns *framework.Namespace, from, to *corev1.Pod) string {
	t.Helper()
	ns.Run(to, "iperf3", "--server", "--one-off", "--daemon")
	out := ns.Run(from, "timeout", "60", "iperf3", "--time=3", "--client="+to.Status.PodIP)
	i := strings.LastIndex(out, "receiver")
	if i < 0 {
		t.Fatalf("iperf3 says %s", out)
	}
	return lastLine(out[:i+len("receiver")])
}

func lastLine(text string) string {
	return text[strings.LastIndexByte(strings.TrimSpace(text), '\n')+1:]
}

// What flows is in the kernel: a packet that ovs-vswitchd has seen is followed by others that it has not.
func (b *kernelBed) flows(t *testing.T) {
	stream := b.ns.For(t).Stream("udp", b.caller, b.far, pace)
	link := regexp.QuoteMeta(b.link(t, b.caller))
	dump := func() string { return b.onSwitch(t, "ovs-appctl", "dpctl/dump-flows", "--names") }
	for name, flow := range map[string]string{
		"out":  `in_port\(` + link + `\).* packets:([0-9]+),.*actions:.*set\(tunnel\(.*genev_sys_6081`,
		"back": `tunnel\(.*in_port\(genev_sys_6081\).* packets:([0-9]+),.*actions:.*` + link,
	} {
		err := framework.Until(within(t, 20*time.Second, "a flow "+name+" with 50 packets"), func(context.Context) error {
			most := 0
			for _, m := range regexp.MustCompile(flow).FindAllStringSubmatch(dump(), -1) {
				n, _ := strconv.Atoi(m[1]) // digits
				most = max(most, n)
			}
			if most < 50 {
				return fmt.Errorf("%d packets", most)
			}
			return nil
		})
		if err != nil {
			t.Errorf("%v; the kernel has\n%s", err, dump())
		}
	}
	if r := stream.Stop(); r.Lost() > 0 {
		t.Errorf("lost %d of %d", r.Lost(), r.Sent)
	}
}

func (b *kernelBed) services(t *testing.T) {
	ns := b.ns.For(t)
	db := cluster.Northbound(t)
	web, sctp := service("web", "web", corev1.ServiceTypeNodePort), service("sctp", "web", corev1.ServiceTypeClusterIP)
	sctp.Spec.Selector = map[string]string{"sctp": "yes"}
	sctp.Spec.Ports = []corev1.ServicePort{
		{Name: "sctp", Port: 83, TargetPort: intstr.FromInt32(sctpPort), Protocol: corev1.ProtocolSCTP},
	}
	ns.Add(web, sctp)
	awaitBalanced(t, db, web.Spec.ClusterIP, 80, 2)
	awaitBalanced(t, db, web.Spec.ClusterIP, 81, 2)
	awaitBalanced(t, db, sctp.Spec.ClusterIP, 83, 1)
	t.Run("TCP", func(t *testing.T) { spread(t, b.caller, "http", web.Spec.ClusterIP, 80) })
	t.Run("conntrack zones are the kernel's", func(t *testing.T) {
		tracked := b.onNode(t, "conntrack -L 2>/dev/null | grep "+b.caller.Status.PodIP)
		if !regexp.MustCompile(`dst=` + regexp.QuoteMeta(web.Spec.ClusterIP) + ` .* zone=[1-9]`).MatchString(tracked) {
			t.Errorf("the kernel tracks\n%s\nand no connection to the Service in a zone", tracked)
		}
	})
	t.Run("UDP", func(t *testing.T) { spread(t, b.caller, "udp", web.Spec.ClusterIP, 81) })
	t.Run("of itself", func(t *testing.T) { spread(t, b.near, "http", web.Spec.ClusterIP, 80) })
	t.Run("by name", func(t *testing.T) {
		b.ns.For(t).FetchUntil(b.caller, "http://web."+b.ns.Name+".svc.cluster.local/hostname", "")
	})
	t.Run("from the node", func(t *testing.T) { fetchFromNode(t, b.node, url(web.Spec.ClusterIP, 80, "/hostname"), "") })
	t.Run("at the node's port", func(t *testing.T) {
		address := do[string](t)(cluster.NodeAddress(t.Context(), b.node))
		fetchFromHere(t, url(address, int(web.Spec.Ports[0].NodePort), "/hostname"), "")
	})
	for _, to := range []struct {
		name, host string
		port       int
	}{{"SCTP to a pod", b.near.Status.PodIP, sctpPort}, {"SCTP to a Service", sctp.Spec.ClusterIP, 83}} {
		t.Run(to.name, func(t *testing.T) {
			if got := do[[]string](t)(dial(t.Context(), b.caller, "sctp", to.host, to.port, "hostname")); !slices.Equal(got, []string{"near"}) {
				t.Errorf("got an answer of %v", got)
			}
		})
	}
}

// A policy of a pod on the kernel's node lets in whom it names, whichever datapath his node has, and nobody else.
func (b *kernelBed) policy(t *testing.T) {
	ns := b.ns.For(t)
	reachNear := func(caller, far bool) {
		t.Helper()
		reaches(t, b.caller, b.near.Status.PodIP, framework.HTTPPort, caller)
		reaches(t, b.far, b.near.Status.PodIP, framework.HTTPPort, far)
	}
	reachNear(true, true)
	p := ingressTo("web", letIn(podPeer("app", "caller")))
	addPolicy(t, ns, p)
	reachNear(true, false)
	editPolicy(t, p, func(spec *networkPolicySpec) {
		spec.Ingress = []networkingv1.NetworkPolicyIngressRule{letIn(podPeer("app", "web"))}
	})
	reachNear(false, true)
	must(t, cluster.Delete(t.Context(), p))
	ns.FetchUntil(b.caller, served(b.near, "/hostname"), "near")
}

// Queues and VLANs, which features to come stand on.
func (b *kernelBed) queues(t *testing.T) {
	link := b.link(t, b.near)
	t.Run("netem delays", func(t *testing.T) {
		b.onNode(t, "tc qdisc add dev "+link+" root netem delay 300ms")
		out := b.ns.For(t).Run(b.caller, "ping", "-c3", "-q", b.near.Status.PodIP)
		b.onNode(t, "tc qdisc del dev "+link+" root")
		m := regexp.MustCompile(`= ([0-9.]+)/`).FindStringSubmatch(out)
		if m == nil {
			t.Fatalf("ping says %s", out)
		}
		if fastest := do[float64](t)(strconv.ParseFloat(m[1], 64)); fastest < 300 {
			t.Errorf("the fastest answer took %.0f ms", fastest)
		}
	})
	t.Run("HTB limits", func(t *testing.T) {
		b.onSwitch(t, "ovs-vsctl", "set", "Port", link, "qos=@q", "--", "--id=@q", "create", "QoS", "type=linux-htb",
			"other-config:max-rate=20000000")
		if got := b.onNode(t, "tc class show dev "+link); !strings.Contains(got, "htb") || !strings.Contains(got, "20Mbit") {
			t.Errorf("the link has the classes %q", got)
		}
		got := throughput(t, b.ns.For(t), b.caller, b.near)
		t.Log(got)
		m := regexp.MustCompile(`([0-9.]+) Mbits/sec`).FindStringSubmatch(got)
		if m == nil || do[float64](t)(strconv.ParseFloat(m[1], 64)) > 20 {
			t.Error("that is more than 20 Mbit/s")
		}
		b.onSwitch(t, "ovs-vsctl", "clear", "Port", link, "qos", "--", "--all", "destroy", "QoS")
	})
	t.Run("VLAN interfaces", func(t *testing.T) {
		got := b.onNode(t, "ip link add link eth0 name e2evlan type vlan id 77 && ip -d link show e2evlan && ip link del e2evlan")
		if !strings.Contains(got, "vlan protocol 802.1Q id 77") {
			t.Errorf("got %q", got)
		}
	})
}

// exited has a process end as it does when its pod is deleted, but not its pod.
func exited(comp framework.Component, node, container string, outage time.Duration) blow {
	return blow{name: container + " told to exit", strike: func(ctx context.Context) (framework.Recovered, error) {
		return cluster.Strike(ctx, comp, node, container, "ovs-appctl", "-t", container, "exit")
	}, outage: outage}
}

// The kernel goes on switching while the programs that taught it are away, and those that come back take nothing away
// before they know better.
func (b *kernelBed) heals(t *testing.T) {
	const every = 2 * pace // an emulated machine is busy with less
	const tenth = 100 * time.Millisecond
	for _, blow := range []struct {
		blow
		fresh bool // a new pod shows that all is well again
	}{
		{killed(framework.Daemon, b.node, "woven-daemon", 0), true},
		{deleted(framework.Daemon, b.node, 0), false},
		{killed(framework.Switch, b.node, "ovn-controller", tenth), false},
		{exited(framework.Switch, b.node, "ovs-vswitchd", tenth), false},
		{killed(framework.Switch, b.node, "ovs-vswitchd", tenth), false},
		{deleted(framework.Switch, b.node, tenth), true},
	} {
		t.Run(blow.name, func(t *testing.T) {
			ns := b.ns.For(t)
			streams := []*framework.Stream{
				ns.Stream("udp", b.caller, b.near, every), ns.Stream("udp", b.caller, b.far, every),
				ns.Stream("udp", b.far, b.caller, every), ns.Stream("tcp", b.caller, b.far, every),
			}
			recovered := do[framework.Recovered](t)(blow.strike(within(t, time.Minute, "the blow")))
			must(t, recovered(within(t, 2*time.Minute, "the recovery")))
			for _, s := range streams {
				r := s.Stop()
				if r.Broken != "" {
					t.Errorf("the connection broke: %s", r.Broken)
				}
				if outage := time.Duration(r.Lost()) * every; outage > blow.outage {
					t.Errorf("lost %d of %d packets, for about %s, and %s is the most", r.Lost(), r.Sent, outage, blow.outage)
				}
			}
			if blow.fresh {
				b.freshPod(t)
			}
		})
	}
}

// freshPod shows that a new pod gets its network.
func (b *kernelBed) freshPod(t *testing.T) {
	t.Helper()
	ns := b.ns.For(t)
	fresh := framework.Server("fresh", framework.On(b.node))
	ns.Start(fresh)
	ns.FetchUntil(b.caller, served(fresh, "/hostname"), "fresh")
	ns.FetchUntil(fresh, served(b.far, "/hostname"), "far")
	ns.Stop(fresh)
}
