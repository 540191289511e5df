package main

import (
	"maps"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
)

// plan is what the features would do for an object.
func (w *world) plan(object client.Object) []reconcile.Planned {
	w.t.Helper()
	planned, err := reconcile.Plan(w.t.Context(), w.env, features, object)
	if err != nil {
		w.t.Fatal(err)
	}
	return planned
}

// ofAllKinds is a new object of each kind that a feature is for.
func ofAllKinds() []client.Object {
	policy := newPolicy("db", map[string]string{"app": "db"})
	policy.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: from("web")}}
	inner := labelled("db-1", "db")
	service, _ := newService()
	subject := v1alpha1.AdminNetworkPolicySubject{Namespaces: &metav1.LabelSelector{}}
	return []client.Object{
		newVpc("tenant"), newSubnet("web", "10.30.0.0/24"), newNode("n9", "192.0.2.9"), inner, service, policy, newIP("kept", "ovn-default", "10.16.0.50"),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "lab"}}, denyAll("deny"),
		&v1alpha1.AdminNetworkPolicy{
			ObjectMeta: metav1.ObjectMeta{Name: "admin", Generation: 1},
			Spec: v1alpha1.AdminNetworkPolicySpec{Priority: 5, Subject: subject, Ingress: []v1alpha1.AdminNetworkPolicyIngressRule{{
				Action: v1alpha1.AdminNetworkPolicyRuleActionDeny, From: []v1alpha1.AdminNetworkPolicyIngressPeer{{Namespaces: &metav1.LabelSelector{}}},
			}}},
		},
		&v1alpha1.BaselineAdminNetworkPolicy{
			ObjectMeta: metav1.ObjectMeta{Name: "default", Generation: 1},
			Spec: v1alpha1.BaselineAdminNetworkPolicySpec{Subject: subject, Ingress: []v1alpha1.BaselineAdminNetworkPolicyIngressRule{{
				Action: v1alpha1.BaselineAdminNetworkPolicyRuleActionDeny,
				From:   []v1alpha1.AdminNetworkPolicyIngressPeer{{Namespaces: &metav1.LabelSelector{}}},
			}}},
		},
	}
}

// TestPlanChangesNothing asks each feature what it would do for an object that is not there: nothing is sent, written or told
// by that, and when the object comes, exactly that is done.
func TestPlanChangesNothing(t *testing.T) {
	w := newWorld(t)
	_, endpoints := newService()
	w.create(endpoints)
	w.addressed(labelled("db-0", "db"))
	w.recorded("db-0", "10.16.0.2")
	w.usage("ovn-default", 1)
	w.sent.Take()
	w.Events.Take()
	writes := func() (n int) {
		for _, kind := range []client.Object{&corev1.Pod{}, &corev1.Node{}, &corev1.Namespace{}, &v1.Subnet{}, &v1.Vpc{}, &v1.IP{}, &networkingv1.NetworkPolicy{}} {
			n += w.Writes(kind)
		}
		return n
	}
	before := writes()

	asked := map[string]bool{}
	for _, object := range ofAllKinds() {
		for _, p := range w.plan(object) {
			if p.Waiting != nil || len(p.Problems) > 0 {
				t.Errorf("%s would wait for %v, or is refused: %s", p.Owner, p.Waiting, p.Problems)
			}
			asked[p.Owner.Feature] = true
		}
	}
	want := []string{
		"adminnetworkpolicy", "baselineadminnetworkpolicy", "chassis", "clusternetworkpolicy", "namespace", "networkpolicy", "node", "pod", "reservation",
		"service", "subnet", "vpc",
	}
	if got := slices.Sorted(maps.Keys(asked)); !slices.Equal(got, want) {
		t.Errorf("the features that have planned are %q, want %q", got, want)
	}
	if sent, told := w.sent.Take(), w.Events.Take(); len(sent)+len(told) > 0 || writes() != before {
		t.Errorf("the plans have sent %q, told %q and written %d times", sent, told, writes()-before)
	}

	for _, object := range ofAllKinds() {
		planned := w.plan(object)
		w.create(object)
		for _, p := range planned {
			reconciletest.Eventually(t, "what was planned for "+p.Owner.String(), func() string {
				left, err := w.env.DB.Plan(p.Owner, p.Desired)
				if err != nil {
					return err.Error()
				}
				return left.String()
			})
		}
	}
}

// TestPlanTakesNothing holds that neither a lease nor a group is taken: whoever comes next gets what was planned for another.
func TestPlanTakesNothing(t *testing.T) {
	w := newWorld(t)
	for range 3 {
		for _, name := range []string{"a", "b"} {
			planned := w.plan(newPod(name))
			if len(planned) != 1 || len(planned[0].Desired.Rows) != 1 || planned[0].Plan.Empty() {
				t.Fatalf("planned is %+v", planned)
			}
		}
		w.plan(newPolicy("p", map[string]string{"app": "db"}))
		w.plan(newIP("c", "ovn-default", "10.16.0.2"))
	}
	pod := newPod("c")
	w.create(pod)
	if got := w.address(pod); got != "10.16.0.2" {
		t.Errorf("the first pod gets %s", got)
	}
	if groups := w.groups(); groups != 0 {
		t.Errorf("%d groups were made", groups)
	}
	// What is there already is planned as it is, and edited as it would be.
	var now v1.Subnet
	if err := w.Get(t.Context(), client.ObjectKey{Name: "ovn-default"}, &now); err != nil {
		t.Fatal(err)
	}
	if p := w.plan(&now)[0]; !p.Plan.Empty() || len(p.Problems) > 0 {
		t.Errorf("of a Subnet as it is, %s would change (%s)", p.Plan, p.Problems)
	}
	now.Generation++
	now.Spec.CIDRBlock = "10.17.0.0/16"
	if p := w.plan(&now)[0]; len(p.Problems.Blocking()) == 0 {
		t.Error("an edit that cuts a pod off would be accepted")
	}
}
