//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/test/e2e/framework"
)

// kubelet is a port of every node that pods may call: what shows that a way to nodes is open.
const kubelet = 10250

// shut are the TCP ports of nodes that pods may not call: the databases', their raft clusters', metrics and probes.
var shut = []int{6641, 6642, 6643, 6644, 10660, 10665}

// doorsBed is an attacker's namespace: pods on two nodes, and Services whose endpoints it wrote by hand.
type doorsBed struct {
	ns *framework.Namespace
	// attackers have no capabilities but, the first, NET_RAW.
	attackers []*corev1.Pod
	database  string                     // node of a member of ovn-central
	forged    map[string]*corev1.Service // to ports of that node, and to the end of a tunnel
}

func newDoorsBed(t *testing.T) *doorsBed {
	t.Helper()
	b := &doorsBed{ns: cluster.Namespace(t, nil), forged: map[string]*corev1.Service{}}
	b.database = do[*corev1.Pod](t)(cluster.PodOf(t.Context(), framework.Central, "")).Spec.NodeName
	b.attackers = []*corev1.Pod{
		framework.Server("raw", framework.On(here), framework.Without("NET_RAW")),
		framework.Server("plain", framework.On(here), framework.Without()),
		framework.Server("elsewhere", framework.On(there), framework.Without()),
	}
	b.ns.Start(b.attackers...)
	b.ns.Equip(b.attackers...)
	b.forge("forged", do[string](t)(cluster.NodeAddress(t.Context(), b.database)), corev1.ProtocolTCP, append([]int{kubelet}, shut...))
	return b
}

// forge makes a Service without pods that leads to ports of an address.
func (b *doorsBed) forge(name, address string, protocol corev1.Protocol, ports []int) {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort}}
	family := discoveryv1.AddressTypeIPv4
	if strings.Contains(address, ":") {
		family = discoveryv1.AddressTypeIPv6
	}
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: name}},
		AddressType: family, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{address}}},
	}
	for _, port := range ports {
		number, id := int32(port), "p"+strconv.Itoa(port) //nolint:gosec // a port
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Name: id, Protocol: protocol, Port: number, TargetPort: intstr.FromInt32(number)})
		slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: &id, Protocol: &protocol, Port: &number})
	}
	b.ns.Add(s)
	b.ns.Add(slice)
	b.forged[name] = s
}

// ways are all addresses by which a pod could come to a port of the forged Service.
func (b *doorsBed) ways(t *testing.T, name string, port int) []string {
	t.Helper()
	s := b.forged[name]
	i := slices.IndexFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return int(p.Port) == port })
	at := []string{net.JoinHostPort(s.Spec.ClusterIP, strconv.Itoa(port))}
	for _, node := range cluster.Nodes {
		nodePort := strconv.Itoa(int(s.Spec.Ports[i].NodePort))
		at = append(at, net.JoinHostPort(do[string](t)(cluster.NodeAddress(t.Context(), node)), nodePort))
	}
	return at
}

// nodeAnnotation is what the controller or the daemon has written on a Node.
func nodeAnnotation(t *testing.T, node, key string) string {
	t.Helper()
	var n corev1.Node
	must(t, cluster.Get(t.Context(), client.ObjectKey{Name: node}, &n))
	return n.Annotations[key]
}

// joinAddress is a node's address on the join subnet.
func joinAddress(t *testing.T, node string) string {
	t.Helper()
	first, _, _ := strings.Cut(nodeAnnotation(t, node, v1.AnnotationIPAddress), ",")
	return first
}

// tunnelEnd is where a node's tunnels end.
func tunnelEnd(t *testing.T, node string) string {
	t.Helper()
	pod := do[*corev1.Pod](t)(cluster.PodOf(t.Context(), framework.Switch, node))
	out := do[string](t)(cluster.ExecIn(t.Context(), pod, "ovs-vswitchd", "ovs-vsctl", "get", "Open_vSwitch", ".", "external_ids:ovn-encap-ip"))
	return strings.Trim(out, `"`)
}

// closed are addresses that no pod may reach by TCP, and open some that every pod reaches, in the same ways.
func (b *doorsBed) addresses(t *testing.T) (closed, open []string) {
	t.Helper()
	for _, node := range cluster.Nodes {
		address, join, tunnel := do[string](t)(cluster.NodeAddress(t.Context(), node)), joinAddress(t, node), tunnelEnd(t, node)
		for _, port := range shut {
			for _, at := range []string{address, join, tunnel} {
				closed = append(closed, net.JoinHostPort(at, strconv.Itoa(port)))
			}
		}
		closed = append(closed, net.JoinHostPort(join, strconv.Itoa(kubelet)))
		open = append(open, net.JoinHostPort(address, strconv.Itoa(kubelet)))
	}
	for name, port := range map[string]string{"ovn-nb": "6641", "ovn-sb": "6642"} {
		var s corev1.Service
		must(t, cluster.Get(t.Context(), client.ObjectKey{Namespace: framework.System, Name: name}, &s))
		closed = append(closed, net.JoinHostPort(s.Spec.ClusterIP, port))
	}
	for _, port := range shut {
		closed = append(closed, b.ways(t, "forged", port)...)
	}
	return closed, append(open, b.ways(t, "forged", kubelet)...)
}

// None of the ways that a pod has to a node leads to databases, metrics or probes, also while the daemon is away and after somebody
// has taken the rules away; everything else is reached as before.
func TestDoorsOfNodes(t *testing.T) {
	b := newDoorsBed(t)
	closed, open := b.addresses(t)
	for _, from := range b.attackers {
		must(t, framework.Until(within(t, time.Minute, "opening all ways"), func(ctx context.Context) error {
			reached, err := cluster.Knock(ctx, from, false, open...)
			if err == nil && len(reached) < len(open) {
				err = fmt.Errorf("%s reaches only %v of %v", from.Name, reached, open)
			}
			return err
		}))
	}
	b.knock(t, closed)
	t.Run("in fragments", func(t *testing.T) {
		if strings.Contains(closed[0], "[") {
			t.Skip("the probe cuts IPv4 only")
		}
		address := do[string](t)(cluster.NodeAddress(t.Context(), b.database))
		reached := do[[]string](t)(cluster.Knock(t.Context(), b.attackers[0], true, closed...))
		if len(reached) > 0 {
			t.Errorf("a pod reaches %v", reached)
		}
		control := net.JoinHostPort(address, strconv.Itoa(kubelet))
		if reached := do[[]string](t)(cluster.Knock(t.Context(), b.attackers[0], true, control)); len(reached) == 0 {
			t.Logf("fragments of TCP do not come to %s either", control)
		}
	})
	t.Run("while the daemon restarts", func(t *testing.T) {
		before := handles(t, here)
		recovered := do[framework.Recovered](t)(cluster.KillProcess(t.Context(), framework.Daemon, here, "woven-daemon"))
		b.knock(t, closed)
		must(t, recovered(within(t, 2*time.Minute, "the daemon's return")))
		b.knock(t, closed)
		if after := handles(t, here); after != before {
			t.Errorf("the restart changed the rules:\n%s\nto\n%s", before, after)
		}
	})
	t.Run("after the rules were taken away", func(t *testing.T) {
		for _, node := range cluster.Nodes {
			for _, take := range []string{"delete table inet woven", "flush chain inet woven doors", "delete chain inet woven forward"} {
				must(t, second(onNode(t, node, "nft "+take)))
				must(t, framework.Until(within(t, 20*time.Second, "putting back what was taken by "+take), func(context.Context) error {
					return second(onNode(t, node, "nft list chain inet woven forward && nft list chain inet woven doors | grep -q drop"))
				}))
			}
		}
		b.knock(t, closed)
	})
	t.Run("and pods start", func(t *testing.T) {
		for _, node := range cluster.Nodes {
			pod := do[*corev1.Pod](t)(cluster.PodOf(t.Context(), framework.Switch, node))
			out := do[string](t)(cluster.ExecIn(t.Context(), pod, "ovn-controller", "ovn-appctl", "-t", "ovn-controller", "connection-status"))
			if out != "connected" {
				t.Errorf("ovn-controller of %s is %s", node, out)
			}
		}
		probed := framework.Server("probed", framework.On(there))
		probed.Spec.Containers[0].ReadinessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{
			HTTPGet: &corev1.HTTPGetAction{Path: "/hostname", Port: intstr.FromInt32(framework.HTTPPort)},
		}}
		b.ns.For(t).Start(probed)
	})
}

// knock fails the test if any attacker reaches anything that is closed.
func (b *doorsBed) knock(t *testing.T, closed []string) {
	t.Helper()
	for _, from := range b.attackers {
		if reached := do[[]string](t)(cluster.Knock(t.Context(), from, false, closed...)); len(reached) > 0 {
			t.Errorf("pod %s reaches %v", from.Name, reached)
		}
	}
}

func onNode(t *testing.T, node, command string) (string, error) {
	t.Helper()
	return cluster.OnNode(t.Context(), node, fmt.Sprintf("chroot /host sh -c '%s'", command))
}

// handles are the rules of a node with their handles, which differ when they are made anew, and without their counters.
func handles(t *testing.T, node string) string {
	t.Helper()
	return do[string](t)(onNode(t, node, `nft -a list table inet woven | sed "s/packets [0-9]* bytes [0-9]*//"`))
}

// Nobody but a node puts packets into the tunnels: not a pod, by whatever way, nor a host that is none of the cluster's.
func TestDoorsOfTunnels(t *testing.T) {
	b := newDoorsBed(t)
	for _, node := range cluster.Nodes[1:] {
		t.Run(node, func(t *testing.T) { b.forgeTunnels(t, node) })
	}
}

func (b *doorsBed) forgeTunnels(t *testing.T, node string) {
	ns := b.ns.For(t)
	victim := framework.Server("victim-"+node, framework.On(node))
	ns.Start(victim)
	sink := ns.Sink(victim)
	packet := framework.Forgery{
		Network: sbNumber(t, "Datapath_Binding", "external_ids:name="+victim.Annotations[v1.AnnotationLogicalSwitch]),
		ToPort:  sbNumber(t, "Port_Binding", "logical_port="+victim.Name+"."+victim.Namespace), FromPort: 1,
		MAC: victim.Annotations[v1.AnnotationMACAddress], Victim: net.JoinHostPort(victim.Status.PodIP, strconv.Itoa(framework.SinkPort)),
	}
	end := tunnelEnd(t, node)
	b.forge("tunnel-"+node, end, corev1.ProtocolUDP, []int{v1.TunnelPort})
	ends := b.ways(t, "tunnel-"+node, v1.TunnelPort)
	for _, address := range []string{end, do[string](t)(cluster.NodeAddress(t.Context(), node)), joinAddress(t, node)} {
		ends = append(ends, net.JoinHostPort(address, strconv.Itoa(v1.TunnelPort)))
	}
	must(t, cluster.Synced(within(t, time.Minute, "the Services' way to the nodes")))
	for range 3 { // a Service may take a moment
		for i, from := range b.attackers {
			forge(t, from, forgeries(packet, from.Name, ends, i == 0))
		}
	}
	chassis := cluster.Tools(here)
	must(t, cluster.Install(t.Context(), chassis))
	packet.To, packet.Source = net.JoinHostPort(end, strconv.Itoa(v1.TunnelPort)), tunnelEnd(t, here)
	stranger := packet
	stranger.Source, stranger.Text = do[string](t)(cluster.NodeAddress(t.Context(), here)), "a stranger's"
	if stranger.Source != packet.Source { // tunnels have an interface of their own
		forge(t, chassis, []framework.Forgery{stranger})
	}
	packet.Text = "a chassis'"
	forge(t, chassis, []framework.Forgery{packet, packet, packet})
	// The packets of the chassis came last; a call of a pod comes after them.
	must(t, framework.Until(within(t, time.Minute, "a pod's own datagram"), func(ctx context.Context) error {
		return second(cluster.Exec(ctx, b.attackers[1], "sh", "-c", fmt.Sprintf("printf done | nc -u -w 1 %s %d", victim.Status.PodIP, framework.SinkPort)))
	}))
	came := sink.Stop()
	if !slices.ContainsFunc(came, func(line string) bool { return strings.HasPrefix(line, "a chassis'") }) {
		t.Errorf("the forgery is a bad one: not even a chassis can send it; the pod heard %v", came)
	}
	for _, line := range came {
		if !strings.HasPrefix(line, "a chassis'") && !strings.HasPrefix(line, "done") {
			t.Errorf("the pod heard %s", line)
		}
	}
}

// forgeries are a packet to each of the ends, and once more in fragments if the sender can.
func forgeries(packet framework.Forgery, by string, ends []string, cut bool) []framework.Forgery {
	var out []framework.Forgery
	for _, to := range ends {
		packet.To, packet.Cut, packet.Text = to, false, by+" to "+to
		out = append(out, packet)
		if cut && !strings.Contains(to, "[") { // the probe cuts IPv4 only
			packet.Cut, packet.Text = true, by+" in fragments to "+to
			out = append(out, packet)
		}
	}
	return out
}

func forge(t *testing.T, from *corev1.Pod, all []framework.Forgery) {
	t.Helper()
	if err := cluster.Forge(t.Context(), from, all...); err != nil {
		t.Logf("%s: %v", from.Name, err) // refused is as good as dropped
	}
}

// sbNumber is OVN's number of a row in the southbound database.
func sbNumber(t *testing.T, table, where string) int {
	t.Helper()
	pod := do[*corev1.Pod](t)(cluster.PodOf(t.Context(), framework.Central, ""))
	out := do[string](t)(cluster.ExecIn(t.Context(), pod, "sb-ovsdb",
		"ovn-sbctl", "--no-leader-only", "--bare", "--columns=tunnel_key", "find", table, where))
	return do[int](t)(strconv.Atoi(out))
}
