//go:build e2e

package e2e

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
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
	ctx := within(t, 30*time.Second, "policy "+p.Name)
	ready := func(now *v1alpha2.ClusterNetworkPolicy) bool {
		c := meta.FindStatusCondition(now.Status.Conditions, "Ready")
		return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == now.Generation && now.Generation >= p.Generation
	}
	found, err := framework.AwaitOne(ctx, cluster, &v1alpha2.ClusterNetworkPolicyList{}, client.ObjectKeyFromObject(p), ready)
	must(t, err)
	found.DeepCopyInto(p)
	must(t, cluster.Synced(ctx))
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
