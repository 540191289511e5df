//go:build oracle

package main

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ovs/ovstest"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
)

// oracle is a world whose rows a real northd turns into logical flows, through which ovn-trace sends packets.
type oracle struct {
	*world
	northd *ovstest.Northd
}

func newOracle(t *testing.T) *oracle {
	t.Helper()
	return newOracleOf(t, singleStack())
}

func newOracleOf(t *testing.T, options *Options) *oracle {
	t.Helper()
	northd := ovstest.StartNorthd(t)
	w := &world{Cluster: reconciletest.NewCluster(t), t: t, nb: northd.NB, options: options}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.0.2.1"}}
	if strings.Contains(options.DefaultCIDR, ":") {
		node.Status.Addresses = append(node.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: "2001:db8::1"})
	}
	w.Load(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}, node)
	w.start()
	w.ready("ovn-default")
	w.ready("join")
	reconciletest.Eventually(t, "the port of n1", func() string {
		if w.nb.Ctl("--bare", "--columns=name", "find", "Logical_Switch_Port", "name=node-n1") == "" {
			return "there is none"
		}
		return ""
	})
	return &oracle{w, northd}
}

// pod makes a pod and waits for its address.
func (o *oracle) pod(pod *corev1.Pod) (now *corev1.Pod) {
	o.t.Helper()
	o.create(pod)
	o.address(pod)
	now = &corev1.Pod{}
	if err := o.Get(o.t.Context(), types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}, now); err != nil {
		o.t.Fatal(err)
	}
	return now
}

// packet is what pod sends to an address: to the gateway's MAC, as hosts do beyond their own subnet, or to that of a
// neighbour.
func (o *oracle) packet(pod *corev1.Pod, to, rest string) string {
	o.t.Helper()
	a, mac := pod.Annotations, gatewayMAC(o, pod)
	return `inport == "` + pod.Name + "." + pod.Namespace + `" && eth.src == ` + a[v1.AnnotationMACAddress] + " && eth.dst == " + mac +
		" && ip4.src == " + a[v1.AnnotationIPAddress] + " && ip4.dst == " + to + " && ip.ttl == 64 && " + rest
}

const ping = "icmp4.type == 8"

// trace is what becomes of the packet, as a new connection.
func (o *oracle) trace(pod *corev1.Pod, packet string) string {
	o.t.Helper()
	return o.traceFrom(pod.Annotations[v1.AnnotationLogicalSwitch], packet)
}

// traceFrom is trace for what enters another switch than a pod's.
func (o *oracle) traceFrom(datapath, packet string) string {
	o.t.Helper()
	o.northd.Sync()
	return ovstest.Run(o.t, "ovn-trace", "--db="+o.northd.SB.Endpoint(), "--no-leader-only", "--minimal", "--ct=new", datapath, packet)
}

func (o *oracle) reaches(pod *corev1.Pod, packet, port string) {
	o.t.Helper()
	if got := o.trace(pod, packet); !strings.Contains(got, `output("`+port+`")`) {
		o.t.Errorf("%s does not reach %s:\n%s", packet, port, got)
	}
}

func (o *oracle) dropped(pod *corev1.Pod, packet string) {
	o.t.Helper()
	if got := o.trace(pod, packet); strings.Contains(got, "output(") {
		o.t.Errorf("%s gets out:\n%s", packet, got)
	}
}

func TestOraclePodToPod(t *testing.T) {
	o := newOracle(t)
	o.create(newSubnet("other", "10.30.0.0/24"))
	o.ready("other")
	a, b := o.pod(newPod("a")), o.pod(newPod("b"))
	far := o.pod(newPod("far", v1.AnnotationLogicalSwitch, "other"))

	near := strings.Replace(o.packet(a, b.Annotations[v1.AnnotationIPAddress], ping),
		"eth.dst == "+gatewayMAC(o, a), "eth.dst == "+b.Annotations[v1.AnnotationMACAddress], 1)
	o.reaches(a, near, "b.shop")
	o.reaches(a, o.packet(a, far.Annotations[v1.AnnotationIPAddress], ping), "far.shop")
	o.reaches(far, o.packet(far, a.Annotations[v1.AnnotationIPAddress], ping), "a.shop")
}

func gatewayMAC(o *oracle, pod *corev1.Pod) string {
	o.t.Helper()
	a := pod.Annotations
	return strings.TrimSpace(o.nb.Ctl("--bare", "--columns=mac", "find", "Logical_Router_Port",
		"name="+a[v1.AnnotationLogicalRouter]+"-"+a[v1.AnnotationLogicalSwitch]))
}

// TestOracleOutsideLeavesByTheNode has one node: ovn-trace knows no chassis and takes every port for resident. That each
// chassis takes its own policy is tested where there are chassis, end to end.
func TestOracleOutsideLeavesByTheNode(t *testing.T) {
	o := newOracle(t)
	pod := o.pod(newPod("a"))
	o.reaches(pod, o.packet(pod, "203.0.113.7", ping), "node-n1")
	o.reaches(pod, o.packet(pod, "192.0.2.1", ping), "node-n1")
	o.northd.Sync()
	flows := ovstest.Run(t, "ovn-sbctl", "--db="+o.northd.SB.Endpoint(), "--no-leader-only", "lflow-list", "ovn-cluster")
	if !strings.Contains(flows, `is_chassis_resident("node-n1")`) {
		t.Error("northd does not hand is_chassis_resident on to the chassis: docs/adr/0003 does not hold for this OVN")
	}
}

func TestOracleService(t *testing.T) {
	o := newOracle(t)
	client, server := o.pod(newPod("client")), o.pod(newPod("server"))
	service, endpoints := newService()
	endpoints.Endpoints = []discoveryv1.Endpoint{{Addresses: []string{server.Annotations[v1.AnnotationIPAddress]}}}
	o.create(service, endpoints)
	o.row("Load_Balancer", `"shop/web/tcp"`, "protocol", "tcp")
	call := o.packet(client, "10.96.0.10", "tcp && tcp.src == 40000 && tcp.dst == 80")
	o.reaches(client, call, "server.shop")

	edit(o.world, endpoints, func(s *discoveryv1.EndpointSlice) { s.Endpoints = nil })
	o.row("Load_Balancer", `"shop/web/tcp"`, "vips", "10.96.0.10:80=")
	if got := o.trace(client, call); !strings.Contains(got, "reject") && !strings.Contains(got, "tcp_reset") {
		t.Errorf("without endpoints the Service does not refuse:\n%s", got)
	}
}

func TestOracleVpcIsIsolated(t *testing.T) {
	o := newOracle(t)
	o.create(&v1.Vpc{ObjectMeta: metav1.ObjectMeta{Name: "tenant", Generation: 1}})
	inner, next := newSubnet("inner", "10.40.0.0/24"), newSubnet("next", "10.41.0.0/24")
	inner.Spec.Vpc, next.Spec.Vpc = "tenant", "tenant"
	o.create(inner, next)
	o.ready("inner")
	o.ready("next")
	outside := o.pod(newPod("a"))
	inside := o.pod(newPod("in", v1.AnnotationLogicalSwitch, "inner"))
	beside := o.pod(newPod("beside", v1.AnnotationLogicalSwitch, "next"))

	o.reaches(inside, o.packet(inside, beside.Annotations[v1.AnnotationIPAddress], ping), "beside.shop")
	o.dropped(inside, o.packet(inside, outside.Annotations[v1.AnnotationIPAddress], ping))
	o.dropped(inside, o.packet(inside, "203.0.113.7", ping))
	if got := o.trace(outside, o.packet(outside, inside.Annotations[v1.AnnotationIPAddress], ping)); strings.Contains(got, "in.shop") {
		t.Errorf("a pod of the default Vpc reaches one of another:\n%s", got)
	}
}

func TestOracleSpoofedSourceIsDropped(t *testing.T) {
	o := newOracle(t)
	a, b := o.pod(newPod("a")), o.pod(newPod("b"))
	honest := o.packet(a, b.Annotations[v1.AnnotationIPAddress], ping)
	o.reaches(a, honest, "b.shop")
	o.northd.Sync()
	// OVN checks sources in flows that ovn-controller makes from the binding, which ovn-trace does not have.
	got := ovstest.Run(t, "ovn-sbctl", "--db="+o.northd.SB.Endpoint(), "--no-leader-only", "--bare", "--columns=port_security",
		"find", "Port_Binding", "logical_port=a.shop")
	if want := a.Annotations[v1.AnnotationMACAddress] + " " + a.Annotations[v1.AnnotationIPAddress]; strings.TrimSpace(got) != want {
		t.Errorf("the chassis is told to let through %q, want %q", got, want)
	}
}
