//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/test/e2e/framework"
)

type networkPolicySpec = networkingv1.NetworkPolicySpec

// ingressTo is a policy that isolates pods from all but the peers of its rules.
func ingressTo(app string, rules ...networkingv1.NetworkPolicyIngressRule) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "to-" + app}, Spec: networkingv1.NetworkPolicySpec{
		PodSelector: *selected("app", app), PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}, Ingress: rules,
	}}
}

// egressFrom is a policy that lets pods call the peers of its rules only.
func egressFrom(app string, rules ...networkingv1.NetworkPolicyEgressRule) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "from-" + app}, Spec: networkingv1.NetworkPolicySpec{
		PodSelector: *selected("app", app), PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}, Egress: rules,
	}}
}

func selected(key, value string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
}

func podPeer(key, value string) networkingv1.NetworkPolicyPeer {
	return networkingv1.NetworkPolicyPeer{PodSelector: selected(key, value)}
}

func block(cidr string, except ...string) networkingv1.NetworkPolicyPeer {
	return networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: cidr, Except: except}}
}

func letIn(peers ...networkingv1.NetworkPolicyPeer) networkingv1.NetworkPolicyIngressRule {
	return networkingv1.NetworkPolicyIngressRule{From: peers}
}

func tcpPort(p intstr.IntOrString) networkingv1.NetworkPolicyPort {
	return networkingv1.NetworkPolicyPort{Protocol: ptr.To(corev1.ProtocolTCP), Port: &p}
}

// awaitPolicy waits until a policy is in force as it reads now, on all nodes.
func awaitPolicy(t *testing.T, p *networkingv1.NetworkPolicy) {
	t.Helper()
	ctx := within(t, time.Minute, "policy "+p.Name)
	want := fmt.Sprintf(`"inForce":true,"generation":%d,`, p.Generation)
	policies, key := &networkingv1.NetworkPolicyList{}, client.ObjectKeyFromObject(p)
	found, err := framework.AwaitOne(ctx, cluster, policies, key, func(now *networkingv1.NetworkPolicy) bool {
		return strings.Contains(now.Annotations[v1.AnnotationPolicyStatus], want)
	})
	must(t, err)
	found.DeepCopyInto(p)
	must(t, cluster.Synced(ctx))
}

// addPolicy creates a policy and waits until it is in force.
func addPolicy(t *testing.T, ns *framework.Namespace, p *networkingv1.NetworkPolicy) {
	t.Helper()
	ns.Add(p)
	awaitPolicy(t, p)
}

// editPolicy changes a policy and waits until that is in force.
func editPolicy(t *testing.T, p *networkingv1.NetworkPolicy, change func(*networkingv1.NetworkPolicySpec)) {
	t.Helper()
	before := p.DeepCopy()
	change(&p.Spec)
	must(t, cluster.Patch(t.Context(), p, client.MergeFrom(before)))
	awaitPolicy(t, p)
}

// opening is how long a connection may take to open on a busy machine; one that is kept out need not be waited for so long.
const opening = 5 * time.Second

// reaches says whether a pod can open a TCP connection. Who is kept out is not answered at all.
func reaches(t *testing.T, from *corev1.Pod, host string, port int, want bool) {
	t.Helper()
	limit := time.Second
	if want {
		limit = opening
	}
	_, err := cluster.Exec(t.Context(), from, "/agnhost", "connect", net.JoinHostPort(host, strconv.Itoa(port)),
		"--timeout="+cluster.Patience(limit).String())
	if want && err != nil || !want && (err == nil || !strings.Contains(err.Error(), "TIMEOUT")) {
		t.Errorf("%s reaches %s port %d: %t, want %t (%v)", from.Name, host, port, err == nil, want, err)
	}
}

func TestNetworkPolicy(t *testing.T) {
	ns := cluster.Namespace(t, map[string]string{"team": "red"})
	guest := cluster.Namespace(t, map[string]string{"team": "blue"})
	server := framework.Server("server", framework.On(here))
	server.Spec.Containers[0].LivenessProbe = &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/hostname", Port: intstr.FromInt32(framework.HTTPPort)}},
		PeriodSeconds: 1, FailureThreshold: 2, TimeoutSeconds: 5,
	}
	server.Spec.Containers[0].ReadinessProbe = server.Spec.Containers[0].LivenessProbe.DeepCopy()
	friend, foe := framework.Server("friend", framework.On(there)), framework.Server("foe", framework.On(here))
	visitor := framework.Server("visitor", framework.On(there))
	host := framework.Server("host", framework.On(there), framework.OnHostNetwork(), framework.Listening("18080", "18081"))
	ns.Start(server, friend, foe, host)
	guest.Start(visitor)
	web := service("server", "server", corev1.ServiceTypeClusterIP)
	ns.Add(web)
	ip := server.Status.PodIP

	p := ingressTo("server")
	addPolicy(t, ns, p)
	for _, from := range []*corev1.Pod{friend, foe, visitor, host} {
		reaches(t, from, ip, framework.HTTPPort, false)
	}
	reaches(t, server, friend.Status.PodIP, framework.HTTPPort, true)
	must(t, framework.Until(within(t, 30*time.Second, "the Service"), func(ctx context.Context) error {
		_, err := cluster.Fetch(ctx, server, url(web.Spec.ClusterIP, 80, "/hostname")) // it is its own client
		return err
	}))

	type step struct {
		name  string
		rule  networkingv1.NetworkPolicyIngressRule
		allow []*corev1.Pod
	}
	nodeIP := do[string](t)(cluster.NodeAddress(t.Context(), there))
	for _, s := range []step{
		{"pods of the namespace", letIn(podPeer("app", "friend")), []*corev1.Pod{friend}},
		{"pods of other namespaces", letIn(networkingv1.NetworkPolicyPeer{NamespaceSelector: selected("team", "blue")}), []*corev1.Pod{visitor}},
		{"a block", letIn(block(friend.Status.PodIP + "/32")), []*corev1.Pod{friend}},
		{"a block with an exception", letIn(block("10.16.0.0/16", friend.Status.PodIP+"/32")), []*corev1.Pod{foe, visitor}},
		{
			"an exception beside a selector", letIn(block("10.16.0.0/16", friend.Status.PodIP+"/32"), podPeer("app", "friend")),
			[]*corev1.Pod{friend, foe, visitor},
		},
		{"a node's block", letIn(block(nodeIP + "/32")), []*corev1.Pod{host}},
		{"a named port", networkingv1.NetworkPolicyIngressRule{
			From:  []networkingv1.NetworkPolicyPeer{podPeer("app", "foe")},
			Ports: []networkingv1.NetworkPolicyPort{tcpPort(intstr.FromString("http"))},
		}, []*corev1.Pod{foe}},
		{"a range of ports", networkingv1.NetworkPolicyIngressRule{
			Ports: []networkingv1.NetworkPolicyPort{{Port: ptr.To(intstr.FromInt32(8070)), EndPort: ptr.To[int32](8080)}},
		}, []*corev1.Pod{friend, foe, visitor, host}},
		{"another port", networkingv1.NetworkPolicyIngressRule{Ports: []networkingv1.NetworkPolicyPort{tcpPort(intstr.FromInt32(8079))}}, nil},
	} {
		t.Run(s.name, func(t *testing.T) {
			editPolicy(t, p, func(spec *networkingv1.NetworkPolicySpec) {
				spec.Ingress = []networkingv1.NetworkPolicyIngressRule{s.rule}
			})
			for _, from := range []*corev1.Pod{friend, foe, visitor, host} {
				want := false
				for _, a := range s.allow {
					want = want || a == from
				}
				reaches(t, from, ip, framework.HTTPPort, want)
			}
		})
	}
	t.Run("egress through a Service", func(t *testing.T) {
		e := egressFrom("friend", networkingv1.NetworkPolicyEgressRule{To: []networkingv1.NetworkPolicyPeer{podPeer("app", "server")}})
		editPolicy(t, p, func(spec *networkingv1.NetworkPolicySpec) { spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{}} })
		addPolicy(t, ns, e)
		must(t, framework.Until(within(t, 30*time.Second, "the Service"), func(ctx context.Context) error {
			_, err := cluster.Fetch(ctx, friend, url(web.Spec.ClusterIP, 80, "/hostname"))
			return err
		}))
		reaches(t, friend, foe.Status.PodIP, framework.HTTPPort, false)
		editPolicy(t, e, func(spec *networkingv1.NetworkPolicySpec) { spec.Egress[0].To[0] = podPeer("app", "foe") })
		reaches(t, friend, web.Spec.ClusterIP, 80, false)
		reaches(t, friend, foe.Status.PodIP, framework.HTTPPort, true)
		must(t, cluster.Delete(t.Context(), e))
	})
	t.Run("labels of pods and namespaces", func(t *testing.T) {
		editPolicy(t, p, func(spec *networkingv1.NetworkPolicySpec) {
			spec.Ingress = []networkingv1.NetworkPolicyIngressRule{letIn(
				podPeer("guest", "yes"), networkingv1.NetworkPolicyPeer{NamespaceSelector: selected("team", "green")},
			)}
		})
		relabel(t, foe, "guest", "yes")
		relabel(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: guest.Name}}, "team", "green")
		for _, from := range []*corev1.Pod{foe, visitor} {
			must(t, framework.Until(within(t, 30*time.Second, "the new label of "+from.Name), func(ctx context.Context) error {
				_, err := cluster.Fetch(ctx, from, served(server, "/hostname"))
				return err
			}))
		}
		reaches(t, friend, ip, framework.HTTPPort, false)
	})
	var now corev1.Pod
	must(t, cluster.Get(t.Context(), client.ObjectKeyFromObject(server), &now))
	if s := now.Status.ContainerStatuses[0]; !s.Ready || s.RestartCount > 0 {
		t.Errorf("the kubelet's probes fail: %+v", s)
	}
}

func relabel(t *testing.T, obj client.Object, key, value string) {
	t.Helper()
	must(t, cluster.Get(t.Context(), client.ObjectKeyFromObject(obj), obj))
	before := obj.DeepCopyObject().(client.Object)
	labels := obj.GetLabels()
	labels[key] = value
	obj.SetLabels(labels)
	must(t, cluster.Patch(t.Context(), obj, client.MergeFrom(before)))
}

// While a policy changes, whoever was and is let in loses nothing, and whoever was and is kept out gets nothing through.
func TestPolicyEditsLeaveNoGap(t *testing.T) {
	ns := cluster.Namespace(t, map[string]string{"team": "red"})
	server := framework.Server("server", framework.On(here), framework.Labelled("role", "db"))
	friend := framework.Server("friend", framework.On(there), framework.Labelled("role", "web"))
	foe := framework.Server("foe", framework.On(there))
	ns.Start(server, friend, foe)
	ns.Echo(server)
	ns.Equip(friend, foe)
	p := ingressTo("server", letIn(podPeer("app", "friend")))
	addPolicy(t, ns, p)

	const pace = 5 * time.Millisecond
	good, bad := ns.Calls(friend, server, pace), ns.Calls(foe, server, pace)
	rules := func(r ...networkingv1.NetworkPolicyIngressRule) func(*networkingv1.NetworkPolicySpec) {
		return func(spec *networkingv1.NetworkPolicySpec) { spec.Ingress = r }
	}
	udp := func(first, last int32) networkingv1.NetworkPolicyPort {
		return networkingv1.NetworkPolicyPort{Protocol: ptr.To(corev1.ProtocolUDP), Port: ptr.To(intstr.FromInt32(first)), EndPort: &last}
	}
	subject := func(s metav1.LabelSelector) func(*networkingv1.NetworkPolicySpec) {
		return func(spec *networkingv1.NetworkPolicySpec) { spec.PodSelector = s }
	}
	both := func(spec *networkingv1.NetworkPolicySpec) {
		spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}
	}
	port := networkingv1.NetworkPolicyIngressRule{
		From:  letIn(podPeer("app", "friend")).From,
		Ports: []networkingv1.NetworkPolicyPort{udp(framework.EchoPort, framework.EchoPort)},
	}
	span := networkingv1.NetworkPolicyIngressRule{From: letIn(podPeer("role", "web")).From, Ports: []networkingv1.NetworkPolicyPort{udp(6000, 8000)}}
	labels := networkingv1.NetworkPolicyPeer{NamespaceSelector: selected("team", "red"), PodSelector: selected("app", "friend")}
	for _, edit := range []struct {
		name   string
		change func(*networkingv1.NetworkPolicySpec)
	}{
		{"another subject with the same pod", subject(*selected("role", "db"))},
		{"all pods as subject", subject(metav1.LabelSelector{})},
		{"the subject as it was", subject(*selected("app", "server"))},
		{"another selector of the same peer", rules(letIn(podPeer("role", "web")))},
		{"a block", rules(letIn(block(friend.Status.PodIP + "/32")))},
		{"a block with an exception", rules(letIn(block("10.16.0.0/16", foe.Status.PodIP+"/32")))},
		{"a rule before it", rules(letIn(podPeer("app", "nobody")), letIn(podPeer("app", "friend")))},
		{"one of several peers", rules(letIn(podPeer("app", "nobody"), podPeer("app", "friend"), block("192.0.2.0/24")))},
		{"a port", rules(port)},
		{"a range of ports", rules(span)},
		{"a peer by the labels of namespaces", rules(letIn(labels))},
		{"the other direction as well", both},
	} {
		t.Log(edit.name)
		editPolicy(t, p, edit.change)
	}
	t.Log("another policy in its place")
	next := ingressTo("server", letIn(podPeer("app", "friend")))
	next.Name = "next"
	addPolicy(t, ns, next)
	must(t, cluster.Delete(t.Context(), p))
	t.Log("a label that matters to others only")
	relabel(t, friend, "role", "other")
	must(t, cluster.Synced(within(t, 30*time.Second, "the label")))

	if r := good.Stop(); r.Lost() > 0 {
		t.Errorf("a peer that was let in all the time: %s", r)
	}
	if r := bad.Stop(); r.Received > 0 {
		t.Errorf("a peer that was kept out all the time got %d of %d messages through", r.Received, r.Sent)
	}
}

// A new denial ends connections that are older than it, whoever sends next.
func TestPolicyStopsEstablishedConnections(t *testing.T) {
	for name, policy := range map[string]*networkingv1.NetworkPolicy{"ingress": ingressTo("server"), "egress": egressFrom("client")} {
		for place, node := range map[string]string{"on one node": here, "between nodes": there} {
			t.Run(name+" "+place, func(t *testing.T) {
				ns := cluster.Namespace(t, nil)
				server, client := framework.Server("server", framework.On(here)), framework.Server("client", framework.On(node))
				ns.Start(server, client)
				ns.Echo(server)
				ns.Equip(client)
				streams := []*framework.Stream{
					ns.Stream("tcp", client, server, 20*time.Millisecond),
					ns.Stream("udp", client, server, 20*time.Millisecond),
				}
				must(t, cluster.Synced(within(t, time.Minute, "the sync"))) // meanwhile answers come
				p := policy.DeepCopy()
				began := time.Now()
				addPolicy(t, ns, p)
				took := time.Since(began)
				must(t, cluster.Synced(within(t, time.Minute, "the sync"))) // nor do answers come meanwhile
				for _, s := range streams {
					r := s.Stop()
					if r.Received == 0 {
						t.Error("there were no answers before the denial")
					}
					if lasted := r.LastAnswer.Sub(began); lasted > max(took, time.Second) {
						t.Errorf("answers came for %s after the denial, which was in force after %s", lasted, took)
					}
				}
			})
		}
	}
}

// A pod is under its policies before it can send its first packet.
func TestPolicyBeforeFirstPacket(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	server := framework.Server("server", framework.On(there))
	ns.Start(server)
	addPolicy(t, ns, egressFrom("eager"))
	knock := fmt.Sprintf("for i in 1 2 3 4 5 6 7 8 9 10; do /agnhost connect %s --timeout=100ms && echo THROUGH; done; echo TRIED",
		net.JoinHostPort(server.Status.PodIP, strconv.Itoa(framework.HTTPPort)))
	for i := range 5 {
		eager := framework.Server(fmt.Sprint("eager-", i), framework.On(here), framework.Labelled("app", "eager"))
		eager.Spec.Containers[0].Command = []string{"sh", "-c", knock}
		eager.Spec.Containers[0].Args = nil
		eager.Spec.RestartPolicy = corev1.RestartPolicyNever
		ns.Add(eager)
		done := func(p *corev1.Pod) bool { return p.Status.Phase == corev1.PodSucceeded }
		_, err := framework.AwaitOne(within(t, time.Minute, "the end of "+eager.Name), cluster, &corev1.PodList{}, client.ObjectKeyFromObject(eager), done)
		must(t, err)
		said := do[string](t)(cluster.Logs(t.Context(), eager))
		if strings.Contains(said, "THROUGH") || !strings.Contains(said, "TRIED") {
			t.Errorf("%s says %q", eager.Name, said)
		}
	}
}

// Policies come, change and go by the difference, and so do their groups and the pods in them. For what OVN 25.03 cannot do
// so, docs/adr/0007 has a budget.
func TestPolicyRecomputes(t *testing.T) {
	ns, db := cluster.Namespace(t, nil), cluster.Northbound(t)
	ns.Start(framework.Idle("server", framework.On(here)), framework.Idle("friend", framework.On(here)))
	p := ingressTo("server", letIn(podPeer("app", "friend")))
	for _, step := range []struct {
		name      string
		lflow2503 int
		do        func()
	}{
		// Its groups, their ports and the ACLs are one transaction.
		{"a policy with new groups", 1, func() { addPolicy(t, ns, p) }},
		{"an edit with the same groups", 1, func() {
			editPolicy(t, p, func(spec *networkingv1.NetworkPolicySpec) {
				spec.Ingress[0].Ports = []networkingv1.NetworkPolicyPort{tcpPort(intstr.FromInt32(80))}
			})
		}},
		{"pods that join and leave groups", 0, func() {
			more := []*corev1.Pod{
				framework.Idle("server-2", framework.Labelled("app", "server")), framework.Idle("friend-2", framework.Labelled("app", "friend")),
			}
			ns.Start(more...)
			ns.Stop(more...)
		}},
		{"the end of the policy", 1, func() {
			must(t, cluster.Delete(t.Context(), p))
			must(t, db.Await(within(t, 30*time.Second, "the end of the policy's rows"), func() bool {
				acls, err := framework.Rows(db, func(a *nb.ACL) bool { return strings.Contains(fmt.Sprint(a.ExternalIDs), ns.Name) })
				return err == nil && len(acls) == 0
			}))
		}},
	} {
		checkRecomputes(t, ns, db, step.name, step.lflow2503, step.do)
	}
}
