//go:build oracle

package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ovs/ovstest"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
)

func port(protocol corev1.Protocol, p intstr.IntOrString) networkingv1.NetworkPolicyPort {
	return networkingv1.NetworkPolicyPort{Protocol: &protocol, Port: &p}
}

// near is a packet to a pod of the same switch.
func (o *oracle) near(from, to *corev1.Pod, rest string) string {
	o.t.Helper()
	return strings.Replace(o.packet(from, to.Annotations[v1.AnnotationIPAddress], rest),
		"eth.dst == "+gatewayMAC(o, from), "eth.dst == "+to.Annotations[v1.AnnotationMACAddress], 1)
}

func dst(protocol string, port int) string {
	return fmt.Sprintf("%s && %s.src == 40000 && %s.dst == %d", protocol, protocol, protocol, port)
}

func (o *oracle) lets(from, to *corev1.Pod, what string, yes bool) {
	o.t.Helper()
	packet := o.near(from, to, what)
	got := o.trace(from, packet)
	if reached := strings.Contains(got, `output("`+to.Name+`.shop")`); reached != yes {
		o.t.Errorf("%s reaches %s by %s: %t, want %t:\n%s", from.Name, to.Name, what, reached, yes, got)
	}
}

func TestOracleNetworkPolicyIngress(t *testing.T) {
	o := newOracle(t)
	db := o.pod(labelled("db", "db", corev1.ContainerPort{Name: "sql", ContainerPort: 5432}))
	web, other := o.pod(labelled("web", "web")), o.pod(labelled("other", "other"))
	o.lets(other, db, dst("tcp", 1), true)

	p := newPolicy("db", map[string]string{"app": "db"})
	o.create(p)
	o.inForce(p)
	for _, what := range []string{ping, dst("tcp", 5432), dst("udp", 53), dst("sctp", 7)} {
		o.lets(web, db, what, false)
		o.lets(db, web, what, true)
	}
	node := `inport == "node-n1" && eth.src == ` + strings.Fields(o.nb.Ctl("--bare", "--columns=addresses", "find", "Logical_Switch_Port", "name=node-n1"))[0] +
		" && eth.dst == " + strings.TrimSpace(o.nb.Ctl("--bare", "--columns=mac", "find", "Logical_Router_Port", "name=ovn-cluster-join")) +
		" && ip4.src == 100.64.0.2 && ip4.dst == " + db.Annotations[v1.AnnotationIPAddress] + " && ip.ttl == 64 && " + ping
	if got := o.traceFrom("join", node); !strings.Contains(got, `output("db.shop")`) {
		t.Errorf("a pod's own node does not reach it:\n%s", got)
	}

	edit(o.world, p, func(p *networkingv1.NetworkPolicy) {
		p.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{
			{From: from("web"), Ports: []networkingv1.NetworkPolicyPort{
				port(corev1.ProtocolTCP, intstr.FromString("sql")),
				port(corev1.ProtocolSCTP, intstr.FromInt32(7777)),
				{Protocol: ptr.To(corev1.ProtocolUDP), Port: ptr.To(intstr.FromInt32(8000)), EndPort: ptr.To[int32](8010)},
			}},
		}
		p.Generation++
	})
	o.inForce(p)
	for what, yes := range map[string]bool{
		dst("tcp", 5432): true, dst("tcp", 5433): false, dst("sctp", 7777): true, dst("sctp", 7778): false,
		dst("udp", 7999): false, dst("udp", 8000): true, dst("udp", 8010): true, dst("udp", 8011): false, ping: false,
	} {
		o.lets(web, db, what, yes)
		o.lets(other, db, what, false)
	}
}

func TestOracleNetworkPolicyBlocks(t *testing.T) {
	o := newOracle(t)
	db, a, b := o.pod(labelled("db", "db")), o.pod(labelled("a", "a")), o.pod(labelled("b", "b"))
	hole := a.Annotations[v1.AnnotationIPAddress] + "/32"
	p := newPolicy("db", map[string]string{"app": "db"})
	p.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{
		From: []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "10.16.0.0/16", Except: []string{hole}}}},
	}}
	o.create(p)
	o.inForce(p)
	o.lets(a, db, ping, false)
	o.lets(b, db, ping, true)
	edit(o.world, p, func(p *networkingv1.NetworkPolicy) {
		p.Spec.Ingress[0].From = append(p.Spec.Ingress[0].From, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: hole}})
		p.Generation++
	})
	o.inForce(p)
	o.lets(a, db, ping, true)
}

func TestOracleNetworkPolicyEgressThroughService(t *testing.T) {
	o := newOracle(t)
	client, server, other := o.pod(labelled("client", "client")), o.pod(labelled("server", "server")), o.pod(labelled("other", "other"))
	service, endpoints := newService()
	endpoints.Endpoints[0].Addresses = []string{server.Annotations[v1.AnnotationIPAddress]}
	o.create(service, endpoints)
	o.row("Load_Balancer", `"shop/web/tcp"`, "protocol", "tcp")
	call := o.packet(client, "10.96.0.10", dst("tcp", 80))
	o.reaches(client, call, "server.shop")

	p := newPolicy("client", map[string]string{"app": "client"})
	p.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}
	p.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{To: from("server"), Ports: []networkingv1.NetworkPolicyPort{port(corev1.ProtocolTCP, intstr.FromInt32(8080))}}}
	o.create(p)
	o.inForce(p)
	o.reaches(client, call, "server.shop")
	o.lets(client, other, ping, false)
	o.lets(other, client, ping, true)
	edit(o.world, p, func(p *networkingv1.NetworkPolicy) {
		p.Spec.Egress[0].To = from("other")
		p.Generation++
	})
	o.inForce(p)
	o.dropped(client, call)
}

func TestOracleTiers(t *testing.T) {
	o := newOracle(t)
	db, web, other := o.pod(labelled("db", "db")), o.pod(labelled("web", "web")), o.pod(labelled("other", "other"))
	check := func(byWeb, byOther bool) {
		t.Helper()
		o.lets(web, db, dst("sctp", 80), byWeb)
		o.lets(other, db, dst("sctp", 80), byOther)
	}
	peers := func(app string) []v1alpha2.ClusterNetworkPolicyIngressPeer {
		return []v1alpha2.ClusterNetworkPolicyIngressPeer{{Pods: &v1alpha2.NamespacedPod{PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}}}}
	}
	everybody := []v1alpha2.ClusterNetworkPolicyIngressPeer{{Namespaces: &metav1.LabelSelector{}}}
	rule := func(a v1alpha2.ClusterNetworkPolicyRuleAction, from []v1alpha2.ClusterNetworkPolicyIngressPeer) v1alpha2.ClusterNetworkPolicyIngressRule {
		return v1alpha2.ClusterNetworkPolicyIngressRule{Action: a, From: from}
	}
	policy := func(name string, tier v1alpha2.Tier, priority int32, rules ...v1alpha2.ClusterNetworkPolicyIngressRule) *v1alpha2.ClusterNetworkPolicy {
		p := &v1alpha2.ClusterNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 1}, Spec: v1alpha2.ClusterNetworkPolicySpec{
			Tier: tier, Priority: priority, Subject: v1alpha2.ClusterNetworkPolicySubject{Pods: &v1alpha2.NamespacedPod{
				PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "db"}},
			}}, Ingress: rules,
		}}
		o.create(p)
		o.awaitReady(p)
		return p
	}
	const accept, deny, pass = v1alpha2.ClusterNetworkPolicyRuleActionAccept, v1alpha2.ClusterNetworkPolicyRuleActionDeny, v1alpha2.ClusterNetworkPolicyRuleActionPass
	policy("base", v1alpha2.BaselineTier, 500, rule(deny, everybody))
	check(false, false)
	policy("base-first", v1alpha2.BaselineTier, 499, rule(pass, peers("web")))
	check(true, false)
	np := newPolicy("db", map[string]string{"app": "db"})
	np.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: from("other")}}
	o.create(np)
	o.inForce(np)
	check(false, true)
	low := policy("low", v1alpha2.AdminTier, 1000, rule(accept, peers("web")), rule(deny, everybody))
	check(true, false)
	policy("high", v1alpha2.AdminTier, 0, rule(pass, everybody))
	check(false, true)
	o.remove(low)
	o.remove(np)
	reconciletest.Eventually(t, "the end of the NetworkPolicy", func() string {
		return strings.TrimSpace(o.nb.Ctl("--bare", "--columns=name", "find", "ACL", "tier=2", "action=drop"))
	})
	check(true, false)
}

// TestOraclePodReachesItself: a pod that calls a Service may be the one that answers it. NetworkPolicies keep all others from
// it, also through the Service, but nobody from himself. ovn-trace forgets flags where the egress pipeline begins, which
// chassis do not (TestNetworkPolicy, end to end): it shows that OVN sets the flag, and the flows that they are asked for it.
func TestOraclePodReachesItself(t *testing.T) {
	o := newOracle(t)
	db, other := o.pod(labelled("db", "db")), o.pod(labelled("other", "other"))
	service, endpoints := newService()
	endpoints.Endpoints[0].Addresses = []string{db.Annotations[v1.AnnotationIPAddress]}
	o.create(service, endpoints)
	o.row("Load_Balancer", `"shop/web/tcp"`, "protocol", "tcp")
	call := func(from *corev1.Pod) string { return o.packet(from, "10.96.0.10", dst("tcp", 80)) }
	o.reaches(other, call(other), "db.shop")
	p := newPolicy("db", map[string]string{"app": "db"})
	p.Spec.PolicyTypes = append(p.Spec.PolicyTypes, networkingv1.PolicyTypeEgress)
	o.create(p)
	o.inForce(p)
	o.dropped(other, call(other))
	o.northd.Sync()
	trace := ovstest.Run(t, "ovn-trace", "--db="+o.northd.SB.Endpoint(), "--no-leader-only", "--ct=new", "--ct=new", "ovn-default", call(db))
	if in, _, out := strings.Cut(trace, `egress(dp="ovn-default", inport="db.shop", outport="db.shop")`); !out || !strings.Contains(in, "flags.loopback = 1") {
		t.Errorf("what a pod sends itself is not sent back to it, or without the flag:\n%s", trace)
	}
	for _, hint := range []string{"reg0[7]", "reg0[8]"} { // a new connection, and one that is there
		if flows := o.flows(hint + " == 1 && (ip && flags.loopback)"); !strings.Contains(flows, "reg8[16] = 1") || !strings.Contains(flows, "ls_out_acl_eval") {
			t.Errorf("northd makes no flow that lets %s in: %s", hint, flows)
		}
	}
}

func addressOf(pod *corev1.Pod, family int) string {
	v4, v6, _ := strings.Cut(pod.Annotations[v1.AnnotationIPAddress], ",")
	return map[int]string{4: v4, 6: v6}[family]
}

// TestOracleDualStackPolicies: each family is for itself where a policy speaks of addresses, and pods are both.
func TestOracleDualStackPolicies(t *testing.T) {
	o := newOracleOf(t, dualStack())
	db, web, other := o.pod(labelled("db", "db")), o.pod(labelled("web", "web")), o.pod(labelled("other", "other"))
	lets := func(from, to *corev1.Pod, family int, yes bool) {
		t.Helper()
		packet := fmt.Sprintf("inport == %q && eth.src == %s && eth.dst == %s && ip%d.src == %s && ip%d.dst == %s && ip.ttl == 64 && %s",
			from.Name+".shop", from.Annotations[v1.AnnotationMACAddress], to.Annotations[v1.AnnotationMACAddress],
			family, addressOf(from, family), family, addressOf(to, family), dst("tcp", 5432))
		if got := o.trace(from, packet); strings.Contains(got, `output("`+to.Name+`.shop")`) != yes {
			t.Errorf("%s reaches %s by IPv%d: %t, want %t:\n%s", from.Name, to.Name, family, !yes, yes, got)
		}
	}
	p := newPolicy("db", map[string]string{"app": "db"})
	o.create(p)
	many := letFrom("2001:db8:1::/48")
	for i := range 20 {
		many = append(many, letFrom(fmt.Sprintf("2001:db8:%x::/48", 2*i+16))...)
	}
	type families struct{ v4, v6 bool }
	none, both := families{}, families{true, true}
	for _, step := range []struct {
		name       string
		from       []networkingv1.NetworkPolicyPeer
		web, other families
	}{
		{"nobody", nil, none, none},
		{"pods", from("web"), both, none},
		{"an address of IPv6", letFrom(addressOf(web, 6) + "/128"), families{v6: true}, none},
		{"an address of IPv4", letFrom(addressOf(web, 4) + "/32"), families{v4: true}, none},
		{"all of IPv6 but one", letFrom("::/0", addressOf(web, 6)+"/128"), none, families{v6: true}},
		{"one of each", append(letFrom(addressOf(web, 4)+"/32"), letFrom(addressOf(other, 6)+"/128")...), families{v4: true}, families{v6: true}},
		{"many of IPv6, and pods", append(append(many, letFrom(addressOf(other, 6)+"/128")...), from("web")...), both, families{v6: true}},
	} {
		t.Log(step.name)
		edit(o.world, p, func(p *networkingv1.NetworkPolicy) {
			p.Spec.Ingress = nil
			if step.from != nil {
				p.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: step.from}}
			}
			p.Generation++
		})
		o.inForce(p)
		lets(web, db, 4, step.web.v4)
		lets(web, db, 6, step.web.v6)
		lets(other, db, 4, step.other.v4)
		lets(other, db, 6, step.other.v6)
	}
	egress := newPolicy("other", map[string]string{"app": "other"})
	egress.Spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}
	egress.Spec.Egress = []networkingv1.NetworkPolicyEgressRule{{To: letFrom(addressOf(web, 6) + "/128")}}
	o.create(egress)
	o.inForce(egress)
	lets(other, web, 4, false)
	lets(other, web, 6, true)
	lets(other, db, 6, false)
}

// letFrom is a block as a peer.
func letFrom(cidr string, except ...string) []networkingv1.NetworkPolicyPeer {
	return []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: cidr, Except: except}}}
}

// TestOracleTenThousandBlocks: a policy with very many blocks is in force in good time, is told when it comes to too many,
// and is nobody else's business.
func TestOracleTenThousandBlocks(t *testing.T) {
	o := newOracle(t)
	db, web, other := o.pod(labelled("db", "db")), o.pod(labelled("web", "web")), o.pod(labelled("other", "other"))
	beside := newPolicy("web", map[string]string{"app": "web"})
	beside.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: from("other")}}
	o.create(beside)
	o.inForce(beside)
	besideHolds := func() {
		t.Helper()
		o.lets(other, web, ping, true)
		o.lets(db, web, ping, false)
	}
	besideHolds()

	p := newPolicy("db", map[string]string{"app": "db"})
	blocks := letFrom(web.Annotations[v1.AnnotationIPAddress] + "/32")
	for i := range 10_000 {
		blocks = append(blocks, letFrom(fmt.Sprintf("172.%d.%d.%d/32", 16+i>>15, i>>7&255, i<<1&255))...)
	}
	p.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: blocks}}
	began := time.Now()
	o.create(p)
	o.inForce(p)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s until the policy was in force", took)
	} else {
		t.Logf("in force after %s", took)
	}
	o.lets(web, db, ping, true)
	o.lets(other, db, ping, false)
	besideHolds()

	o.sent.Take()
	edit(o.world, p, func(p *networkingv1.NetworkPolicy) {
		p.Spec.Ingress[0].From = append(p.Spec.Ingress[0].From, letFrom(other.Annotations[v1.AnnotationIPAddress]+"/32")...)
		p.Generation++
	})
	o.inForce(p)
	o.lets(other, db, ping, true)
	if sent := strings.Join(o.sent.Take(), "\n"); len(sent) > 2000 {
		t.Errorf("one block more sends %d bytes", len(sent))
	}

	var holes []string
	for i := range 10_000 {
		holes = append(holes, fmt.Sprintf("172.%d.%d.1/32", 16+i>>8, i&255))
	}
	edit(o.world, p, func(p *networkingv1.NetworkPolicy) {
		p.Spec.Ingress[0].From = letFrom("0.0.0.0/0", holes...)
		p.Generation++
	})
	o.inForce(p)
	o.status(p, "spec.ingress[0]: the rule is left out")
	o.event("InvalidPolicy", "shop/db", "networks, and 32768 is the most")
	o.lets(web, db, ping, false)
	besideHolds()
}
