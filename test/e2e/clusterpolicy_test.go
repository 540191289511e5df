//go:build e2e

package e2e

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/woven-cni/woven/test/e2e/framework"
)

// addClusterPolicy creates a policy of the cluster that concerns a namespace, and waits until it is in force.
func addClusterPolicy(t *testing.T, ns *framework.Namespace, p *v1alpha2.ClusterNetworkPolicy) {
	t.Helper()
	p.Name = ns.Name + "-" + p.Name
	p.Spec.Subject.Namespaces = selected("kubernetes.io/metadata.name", ns.Name)
	ns.Add(p)
	awaitClusterPolicy(t, p)
}

func awaitClusterPolicy(t *testing.T, p *v1alpha2.ClusterNetworkPolicy) {
	t.Helper()
	awaitReady(t, p, &v1alpha2.ClusterNetworkPolicyList{}, conditionsOfCluster).DeepCopyInto(p)
}

func conditionsOfCluster(p *v1alpha2.ClusterNetworkPolicy) []metav1.Condition {
	return p.Status.Conditions
}

// awaitReady waits until a policy of any kind is in force as it reads now, on all nodes.
func awaitReady[P client.Object](t *testing.T, p P, list client.ObjectList, conditions func(P) []metav1.Condition) P {
	t.Helper()
	ctx := within(t, time.Minute, "policy "+p.GetName())
	ready := func(now P) bool {
		c := meta.FindStatusCondition(conditions(now), "Ready")
		return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == now.GetGeneration() && now.GetGeneration() >= p.GetGeneration()
	}
	found, err := framework.AwaitOne(ctx, cluster, list, client.ObjectKeyFromObject(p), ready)
	must(t, err)
	must(t, cluster.Synced(ctx))
	return found
}

func TestClusterNetworkPolicy(t *testing.T) {
	ns, guest := cluster.Namespace(t, nil), cluster.Namespace(t, nil)
	server, friend := framework.Server("server", framework.On(here)), framework.Server("friend", framework.On(there))
	visitor := framework.Server("visitor", framework.On(there))
	ns.Start(server, friend)
	guest.Start(visitor)
	from := func(n *framework.Namespace) []v1alpha2.ClusterNetworkPolicyIngressPeer {
		return []v1alpha2.ClusterNetworkPolicyIngressPeer{{Namespaces: selected("kubernetes.io/metadata.name", n.Name)}}
	}
	both := func(friendly, visiting bool) {
		t.Helper()
		reaches(t, friend, server.Status.PodIP, framework.HTTPPort, friendly)
		reaches(t, visitor, server.Status.PodIP, framework.HTTPPort, visiting)
	}
	both(true, true)
	baseline := &v1alpha2.ClusterNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "baseline"}, Spec: v1alpha2.ClusterNetworkPolicySpec{
		Tier: v1alpha2.BaselineTier, Priority: 10,
		Ingress: []v1alpha2.ClusterNetworkPolicyIngressRule{{Action: v1alpha2.ClusterNetworkPolicyRuleActionDeny, From: from(guest)}},
	}}
	addClusterPolicy(t, ns, baseline)
	both(true, false)
	np := ingressTo("server", letIn(block("10.16.0.0/16")))
	addPolicy(t, ns, np)
	both(true, true)
	admin := &v1alpha2.ClusterNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "admin"}, Spec: v1alpha2.ClusterNetworkPolicySpec{
		Tier: v1alpha2.AdminTier, Priority: 10,
		Ingress: []v1alpha2.ClusterNetworkPolicyIngressRule{
			{Action: v1alpha2.ClusterNetworkPolicyRuleActionPass, From: from(ns)},
			{Action: v1alpha2.ClusterNetworkPolicyRuleActionDeny, From: []v1alpha2.ClusterNetworkPolicyIngressPeer{{Namespaces: &metav1.LabelSelector{}}}},
		},
	}}
	addClusterPolicy(t, ns, admin)
	both(true, false)
	before := admin.DeepCopy()
	admin.Spec.Ingress[0], admin.Spec.Ingress[1] = admin.Spec.Ingress[1], admin.Spec.Ingress[0]
	must(t, cluster.Patch(t.Context(), admin, client.MergeFrom(before)))
	awaitClusterPolicy(t, admin)
	both(false, false)
	before = admin.DeepCopy()
	admin.Spec.Ingress = []v1alpha2.ClusterNetworkPolicyIngressRule{{Action: v1alpha2.ClusterNetworkPolicyRuleActionAccept, From: from(guest)}}
	must(t, cluster.Patch(t.Context(), admin, client.MergeFrom(before)))
	awaitClusterPolicy(t, admin)
	editPolicy(t, np, func(spec *networkPolicySpec) { spec.Ingress = nil })
	both(false, true)
}

// The older API does the same as the newer one, in both tiers.
func TestAdminNetworkPolicy(t *testing.T) {
	ns, guest := cluster.Namespace(t, nil), cluster.Namespace(t, nil)
	server, friend := framework.Server("server", framework.On(here)), framework.Server("friend", framework.On(there))
	visitor := framework.Server("visitor", framework.On(there))
	ns.Start(server, friend)
	guest.Start(visitor)
	subject := v1alpha1.AdminNetworkPolicySubject{Namespaces: selected("kubernetes.io/metadata.name", ns.Name)}
	from := func(n *framework.Namespace) []v1alpha1.AdminNetworkPolicyIngressPeer {
		return []v1alpha1.AdminNetworkPolicyIngressPeer{{Namespaces: selected("kubernetes.io/metadata.name", n.Name)}}
	}
	both := func(friendly, visiting bool) {
		t.Helper()
		reaches(t, friend, server.Status.PodIP, framework.HTTPPort, friendly)
		reaches(t, visitor, server.Status.PodIP, framework.HTTPPort, visiting)
	}
	baseline := &v1alpha1.BaselineAdminNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "default"}, Spec: v1alpha1.BaselineAdminNetworkPolicySpec{
		Subject: subject, Ingress: []v1alpha1.BaselineAdminNetworkPolicyIngressRule{
			{Action: v1alpha1.BaselineAdminNetworkPolicyRuleActionAllow, From: from(ns)},
			{Action: v1alpha1.BaselineAdminNetworkPolicyRuleActionDeny, From: []v1alpha1.AdminNetworkPolicyIngressPeer{{Namespaces: &metav1.LabelSelector{}}}},
		},
	}}
	ns.Add(baseline)
	awaitReady(t, baseline, &v1alpha1.BaselineAdminNetworkPolicyList{},
		func(p *v1alpha1.BaselineAdminNetworkPolicy) []metav1.Condition { return p.Status.Conditions })
	both(true, false)
	web := []v1alpha1.AdminNetworkPolicyPort{{PortNumber: &v1alpha1.Port{Protocol: corev1.ProtocolTCP, Port: framework.HTTPPort}}}
	for _, step := range []struct {
		name              string
		rule              v1alpha1.AdminNetworkPolicyIngressRule
		friendly, visitor bool
	}{
		{"deny", v1alpha1.AdminNetworkPolicyIngressRule{Action: v1alpha1.AdminNetworkPolicyRuleActionDeny, From: from(ns)}, false, false},
		{"allow a port", v1alpha1.AdminNetworkPolicyIngressRule{
			Action: v1alpha1.AdminNetworkPolicyRuleActionAllow, From: from(guest), Ports: &web,
		}, true, true},
		{"pass", v1alpha1.AdminNetworkPolicyIngressRule{Action: v1alpha1.AdminNetworkPolicyRuleActionPass, From: from(guest)}, true, false},
	} {
		t.Run(step.name, func(t *testing.T) {
			admin := &v1alpha1.AdminNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: ns.Name}, Spec: v1alpha1.AdminNetworkPolicySpec{
				Priority: 10, Subject: subject, Ingress: []v1alpha1.AdminNetworkPolicyIngressRule{step.rule},
			}}
			ns.Add(admin)
			awaitReady(t, admin, &v1alpha1.AdminNetworkPolicyList{},
				func(p *v1alpha1.AdminNetworkPolicy) []metav1.Condition { return p.Status.Conditions })
			both(step.friendly, step.visitor)
			must(t, cluster.Delete(t.Context(), admin))
		})
	}
}
