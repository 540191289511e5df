//go:build oracle

package main

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ovs/ovstest"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
)

// flows are the logical flows of the default subnet's switch that have to do with something.
func (o *oracle) flows(about string) string {
	o.t.Helper()
	o.northd.Sync()
	all := ovstest.Run(o.t, "ovn-sbctl", "--db="+o.northd.SB.Endpoint(), "--no-leader-only", "lflow-list", "ovn-default")
	var out []string
	for _, line := range strings.Split(all, "\n") {
		if strings.Contains(line, about) {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return strings.Join(out, "\n")
}

// has waits until the column of a row has the text in it.
func (o *oracle) has(table, where, column, want string) {
	o.t.Helper()
	reconciletest.Eventually(o.t, table+" "+where+" with "+want, func() string {
		if got := o.nb.Ctl("--bare", "--columns="+column, "find", table, where); !strings.Contains(got, want) {
			return "it has " + got
		}
		return ""
	})
}

// endpointOn is an endpoint of a pod on the node n1.
func endpointOn(pod *corev1.Pod) discoveryv1.Endpoint {
	return discoveryv1.Endpoint{Addresses: []string{pod.Annotations[v1.AnnotationIPAddress]}, NodeName: ptr.To("n1")}
}

func TestOracleServiceForTheOutside(t *testing.T) {
	o := newOracle(t)
	client, server := o.pod(newPod("client")), o.pod(newPod("server"))
	service, endpoints := newService()
	service.Spec.Type = corev1.ServiceTypeLoadBalancer
	service.Spec.ExternalIPs = []string{"203.0.113.7"}
	service.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	service.Spec.Ports[0].NodePort = 30080
	service.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "203.0.113.8"}}
	endpoints.Endpoints = []discoveryv1.Endpoint{endpointOn(server)}
	o.create(service, endpoints)
	o.row("Load_Balancer", `"shop/web/tcp"`, "protocol", "tcp")
	for _, to := range []struct{ address, port string }{
		{"10.96.0.10", "80"}, {"203.0.113.7", "80"}, {"203.0.113.8", "80"}, {"192.0.2.1", "30080"},
	} {
		o.reaches(client, o.packet(client, to.address, "tcp && tcp.src == 40000 && tcp.dst == "+to.port), "server.shop")
	}
	o.reaches(client, o.packet(client, "192.0.2.1", "tcp && tcp.src == 40000 && tcp.dst == 22"), "node-n1")
}

func TestOracleServiceOfSCTP(t *testing.T) {
	o := newOracle(t)
	client, server := o.pod(newPod("client")), o.pod(newPod("server"))
	service, endpoints := newService()
	service.Spec.Ports[0].Protocol, endpoints.Ports[0].Protocol = corev1.ProtocolSCTP, ptr.To(corev1.ProtocolSCTP)
	endpoints.Endpoints = []discoveryv1.Endpoint{endpointOn(server)}
	o.create(service, endpoints)
	o.row("Load_Balancer", `"shop/web/sctp"`, "protocol", "sctp")
	o.reaches(client, o.packet(client, "10.96.0.10", "sctp && sctp.src == 40000 && sctp.dst == 80"), "server.shop")
	if got := o.trace(client, o.packet(client, "10.96.0.10", "tcp && tcp.src == 40000 && tcp.dst == 80")); strings.Contains(got, "server.shop") {
		t.Errorf("TCP reaches a Service of SCTP:\n%s", got)
	}
}

func TestOracleServiceOnTheHostNetwork(t *testing.T) {
	o := newOracle(t)
	client := o.pod(newPod("client"))
	service, endpoints := newService()
	endpoints.Endpoints = []discoveryv1.Endpoint{{Addresses: []string{"192.0.2.1"}, NodeName: ptr.To("n1")}}
	o.create(service, endpoints)
	o.row("Load_Balancer", `"shop/web/tcp"`, "protocol", "tcp")
	o.reaches(client, o.packet(client, "10.96.0.10", "tcp && tcp.src == 40000 && tcp.dst == 80"), "node-n1")
}

// TestOracleServiceByPlace holds what docs/adr/0008 builds on: a template takes backends that are written out, so that an
// endpoint event is no recompute; and where no variable is defined, the connection is refused. ovn-trace knows no chassis
// and so no variables: it sees what a chassis sees for which there is no answer.
func TestOracleServiceByPlace(t *testing.T) {
	o := newOracle(t)
	client, server := o.pod(newPod("client")), o.pod(newPod("server"))
	service, endpoints := newService()
	service.Spec.InternalTrafficPolicy = ptr.To(corev1.ServiceInternalTrafficPolicyLocal)
	endpoints.Endpoints = []discoveryv1.Endpoint{endpointOn(server)}
	o.create(service, endpoints)
	const row = `"shop/web/tcp/by-place-v4"`
	o.row("Load_Balancer", row, "protocol", "tcp")
	o.has("Chassis_Template_Var", "chassis=n1", "variables", "vip_10_96_0_10_node_n1=10.96.0.10")
	backend := server.Annotations[v1.AnnotationIPAddress] + ":8080"
	// OVN 25.03 looks at the packet's port, later versions at the one that conntrack knows: fragments have no other.
	if got := o.flows("^vip_10_96_0_10_node_n1"); !strings.Contains(got, "ct_lb_mark(backends="+backend) {
		t.Errorf("northd made no flow to %s: %s", backend, got)
	}
	call := o.packet(client, "10.96.0.10", "tcp && tcp.src == 40000 && tcp.dst == 80")
	if got := o.trace(client, call); !strings.Contains(got, "reject") && !strings.Contains(got, "tcp_reset") {
		t.Errorf("without a variable the Service does not refuse:\n%s", got)
	}

	second := o.pod(newPod("second"))
	o.northd.Sync()
	before := o.northd.Recomputes("northd") + " " + o.northd.Recomputes("lflow")
	edit(o.world, endpoints, func(s *discoveryv1.EndpointSlice) { s.Endpoints = append(s.Endpoints, endpointOn(second)) })
	o.has("Load_Balancer", "name="+row, "vips", second.Annotations[v1.AnnotationIPAddress]+":8080")
	o.northd.Sync()
	if after := o.northd.Recomputes("northd") + " " + o.northd.Recomputes("lflow"); after != before {
		t.Errorf("an endpoint more costs recomputes of northd and lflow: before %s, after %s", before, after)
	}
}

// TestOracleServiceSessions holds what the row "repeats" is for: OVN loses the packet by which it learns a session, and a packet
// that conntrack has translated already would be learned from and lost again, did it not count as a packet to the backend.
func TestOracleServiceSessions(t *testing.T) {
	o := newOracle(t)
	client, server := o.pod(newPod("client")), o.pod(newPod("server"))
	service, endpoints := newService()
	service.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
	endpoints.Endpoints = []discoveryv1.Endpoint{endpointOn(server)}
	o.create(service, endpoints)
	backend := server.Annotations[v1.AnnotationIPAddress]
	o.row("Load_Balancer", `"shop/web/repeats"`, "vips", backend+"="+backend)
	o.row("Load_Balancer", `"shop/web/tcp"`, "options", "affinity_timeout=10800 reject=true")
	learns := o.flows("ls_in_lb_aff_learn")
	for _, part := range []string{"reg4 == 10.96.0.10", "ip4.dst == " + backend, "commit_lb_aff(", "/* drop */"} {
		if !strings.Contains(learns, part) {
			t.Errorf("the flows that learn sessions have no %q; if they drop no more, the row is in vain:\n%s", part, learns)
		}
	}
	// Whatever the port: by that of the packet, or by that which the client called, releases of OVN would miss one or the other.
	if got := o.flows("(ct.new && ip4.dst == " + backend + ")"); !strings.Contains(got, "action=(reg4 = "+backend) || !strings.Contains(got, "ls_in_lb ") {
		t.Errorf("ls_in_lb does not note that a packet to the backend goes to the backend:\n%s", got)
	}
	o.reaches(client, o.packet(client, backend, "tcp && tcp.src == 40000 && tcp.dst == 8080"), "server.shop")
}

// TestOracleAnswerLeavesByItsOwnNode: only kube-proxy of the pod's node can give the answer the address that was called.
// ovn-trace takes the ports of both nodes for resident, so it is the policy that tells.
func TestOracleAnswerLeavesByItsOwnNode(t *testing.T) {
	o := newOracle(t)
	o.create(&corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "n2"},
		Status:     corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.0.2.2"}}},
	})
	server := o.pod(newPod("server"))
	service, endpoints := newService() // without any, the switch has no use for conntrack
	o.create(service, endpoints)
	o.row("Load_Balancer", `"shop/web/tcp"`, "protocol", "tcp")
	o.has("Logical_Router_Policy", `external_ids:"woven/owner"=node/n2`, "match", "192.0.2.2")
	o.northd.Sync()
	policy := func(ct string, callersPort int) string {
		trace := ovstest.Run(t, "ovn-trace", "--db="+o.northd.SB.Endpoint(), "--no-leader-only", "--ct="+ct, "ovn-default",
			o.packet(server, "192.0.2.2", fmt.Sprintf("tcp && tcp.src == 8080 && tcp.dst == %d", callersPort)))
		_, after, _ := strings.Cut(trace, "lr_in_policy")
		line, _, _ := strings.Cut(after, "\n")
		return line
	}
	if got := policy("new", 40000); !strings.Contains(got, "priority 30000") {
		t.Errorf("what a pod sends to a node by itself takes the policy %s", got)
	}
	if got := policy("est,rpl", v1.FirstSelfCallPort-1); !strings.Contains(got, "priority 29000") {
		t.Errorf("what a pod answers to a node takes the policy %s", got)
	}
	if got := policy("est,rpl", v1.FirstSelfCallPort); !strings.Contains(got, "priority 30000") {
		t.Errorf("what a pod answers to a node that called its own port takes the policy %s", got)
	}
}
