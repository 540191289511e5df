package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
)

func newPolicy(name string, subject map[string]string) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name), Generation: 1},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: subject},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
		},
	}
}

func from(app string) []networkingv1.NetworkPolicyPeer {
	return []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}}}
}

func namedPort(name string) *intstr.IntOrString { return ptr.To(intstr.FromString(name)) }

// labelled is a pod with a label and perhaps with ports.
func labelled(name, app string, ports ...corev1.ContainerPort) *corev1.Pod {
	pod := newPod(name)
	pod.Labels = map[string]string{"app": app}
	pod.Spec.Containers = []corev1.Container{{Name: "main", Image: "example.com/main", Ports: ports}}
	return pod
}

// inForce waits until a policy says that it is in force as it reads now.
func (w *world) inForce(p *networkingv1.NetworkPolicy) {
	w.t.Helper()
	w.status(p, fmt.Sprintf(`"inForce":true,"generation":%d,`, p.Generation))
}

// status waits until a policy's status has the words.
func (w *world) status(p *networkingv1.NetworkPolicy, words string) {
	w.t.Helper()
	reconciletest.Eventually(w.t, "the status of policy "+p.Name, func() string {
		var now networkingv1.NetworkPolicy
		if err := w.Get(w.t.Context(), client.ObjectKeyFromObject(p), &now); err != nil {
			return err.Error()
		}
		if text := now.Annotations[v1.AnnotationPolicyStatus]; !strings.Contains(text, words) {
			return fmt.Sprintf("it is %s, without %s", text, words)
		}
		return ""
	})
}

// matches are those of all ACLs of policies, sorted.
func (w *world) matches() []string {
	w.t.Helper()
	out := strings.Split(strings.TrimSpace(w.nb.Ctl("--bare", "--columns=match", "find", "ACL", "tier=2")), "\n\n")
	slices.Sort(out)
	return out
}

func TestPodJoinsItsGroupsWithItsPort(t *testing.T) {
	w := newWorld(t)
	p := newPolicy("db", map[string]string{"app": "db"})
	w.create(p)
	w.inForce(p)
	group := w.subjects(p)
	w.sent.Take()
	w.addressed(labelled("db-0", "db"))
	port := strings.TrimSpace(w.nb.Ctl("--bare", "--columns=_uuid", "find", "Logical_Switch_Port", "name=db-0.shop"))
	var with int
	for _, sent := range w.sent.Take() {
		if !strings.Contains(sent, `{"op":"insert","table":"Logical_Switch_Port","uuid":"`+port+`"`) {
			continue
		}
		with++
		if !slices.ContainsFunc(strings.Split(sent, `{"op":`), func(op string) bool {
			return strings.HasPrefix(op, `"mutate","table":"Port_Group"`) && strings.Contains(op, group) && strings.Contains(op, port)
		}) {
			t.Errorf("the port comes without group %s of its policy: %s", group, sent)
		}
	}
	if with != 1 {
		t.Errorf("%d transactions bring the port", with)
	}
	w.status(p, `"pods":1,"nodes":1`)
}

// subjects is the UUID of the group that the ACLs of a policy are on.
func (w *world) subjects(p *networkingv1.NetworkPolicy) string {
	w.t.Helper()
	with := strings.Fields(w.nb.Ctl("--bare", "--columns=_uuid", "find", "Port_Group", "acls!=[]", "external_ids:namespace="+p.Namespace))
	if len(with) != 1 {
		w.t.Fatalf("the groups of policies in namespace %s are %v", p.Namespace, with)
	}
	return with[0]
}

// TestEditIsOneTransaction is about the moment in which a policy changes over to other pods.
func TestEditIsOneTransaction(t *testing.T) {
	w := newWorld(t)
	w.addressed(labelled("db", "db"), labelled("web", "web"))
	p := newPolicy("db", map[string]string{"app": "db"})
	p.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: from("web")}}
	without := w.matches()
	w.create(p)
	w.inForce(p)
	before := w.matches()
	w.sent.Take()
	edit(w, p, func(p *networkingv1.NetworkPolicy) {
		p.Spec.PodSelector.MatchLabels["app"] = "web"
		p.Spec.Ingress[0].From = from("db")
		p.Generation++
	})
	w.inForce(p)
	var acls int
	for _, sent := range w.sent.Take() {
		if strings.Contains(sent, `"ACL"`) {
			acls++
		}
	}
	if acls != 1 {
		t.Errorf("an edit changes ACLs in %d transactions", acls)
	}
	if after := w.matches(); slices.Equal(before, after) || len(after) != len(before) {
		t.Errorf("the matches were %v and are %v", before, after)
	}
	w.remove(p)
	reconciletest.Eventually(t, "the end of the policy", func() string {
		if left := w.matches(); !slices.Equal(left, without) {
			return strings.Join(left, "\n")
		}
		return ""
	})
	// They would go in a minute or two. A controller that starts has no use for them.
	w.stop()
	w.start()
	reconciletest.Eventually(t, "the end of the groups", func() string {
		if left := w.nb.Ctl("--bare", "--columns=name", "list", "Port_Group"); strings.Contains(left, "g_") {
			return left
		}
		return ""
	})
}

func TestLabelsMovePods(t *testing.T) {
	w := newWorld(t)
	pod := labelled("db-0", "db")
	w.addressed(pod)
	p := newPolicy("db", map[string]string{"app": "db"})
	w.create(p)
	w.status(p, `"pods":1,`)
	edit(w, pod, func(p *corev1.Pod) { p.Labels["app"] = "none" })
	w.status(p, `"pods":0,`)
	group := func(want string) {
		t.Helper()
		reconciletest.Eventually(t, "ports of the group", func() string {
			if got := strings.TrimSpace(w.nb.Ctl("--bare", "--columns=ports", "find", "Port_Group", "external_ids:namespace=shop")); (got != "") != (want != "") {
				return "they are " + got
			}
			return ""
		})
	}
	group("")
	edit(w, pod, func(p *corev1.Pod) { p.Labels["app"] = "db" })
	group("one")
}

func TestRestartLeavesPoliciesAlone(t *testing.T) {
	w := newWorld(t)
	pods := []*corev1.Pod{labelled("db", "db", corev1.ContainerPort{Name: "sql", ContainerPort: 5432}), labelled("web", "web"), labelled("old", "old")}
	w.addressed(pods...)
	p := newPolicy("db", map[string]string{"app": "db"})
	p.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: from("web"), Ports: []networkingv1.NetworkPolicyPort{{Port: namedPort("sql")}}}}
	w.create(p)
	w.inForce(p)
	w.usage("ovn-default", 3)
	w.checkQuietRestart()

	w.stop()
	w.remove(p)
	next := newPolicy("next", map[string]string{"app": "old"})
	w.create(next)
	w.start()
	w.inForce(next)
	reconciletest.Eventually(t, "the end of the policy", func() string {
		if left := w.nb.Ctl("--bare", "--columns=name", "find", "ACL", "tier=2"); strings.Contains(left, "shop/db/") {
			return left
		}
		return ""
	})
}

// TestEditWhileNobodyWatches: what was in force when the last controller ended stays so until what is wanted now can be.
func TestEditWhileNobodyWatches(t *testing.T) {
	w := newWorld(t)
	w.addressed(labelled("db", "db"), labelled("web", "web"))
	p := newPolicy("db", map[string]string{"app": "db"})
	w.create(p)
	w.inForce(p)
	w.stop()
	edit(w, p, func(p *networkingv1.NetworkPolicy) {
		p.Spec.PodSelector.MatchLabels["app"] = "web"
		p.Generation++
	})
	w.start()
	w.inForce(p)
	gone := func() string {
		return strings.TrimSpace(w.nb.Ctl("--bare", "--columns=name", "find", "Port_Group", `external_ids:pods="app=db"`))
	}
	// The old group was in use when this controller began, and may stay for a minute or two. The next has no use for it.
	all := w.sent.Take()
	w.stop()
	w.start()
	reconciletest.Eventually(t, "the end of the old group", gone)
	order := ""
	for _, sent := range append(all, w.sent.Take()...) {
		for _, part := range []struct{ text, what string }{
			{`"op":"insert","table":"Port_Group"`, "group made, "},
			{`"table":"ACL"`, "policy changed"},
			{`"op":"delete","table":"Port_Group"`, "; group gone"},
		} {
			if strings.Contains(sent, part.text) {
				order += part.what
			}
		}
	}
	if want := "group made, policy changed; group gone"; order != want {
		t.Errorf("the order was %s want %s", order, want)
	}
}

func TestGroupEmptiedByHandIsFilledAgain(t *testing.T) {
	w := newWorld(t)
	w.addressed(labelled("db", "db"))
	p := newPolicy("db", map[string]string{"app": "db"})
	w.create(p)
	w.inForce(p)
	name := strings.TrimSpace(w.nb.Ctl("--bare", "--columns=name", "find", "Port_Group", "external_ids:namespace=shop"))
	members := func() string {
		if w.nb.Ctl("--bare", "--columns=ports", "find", "Port_Group", "name="+name) == "\n" {
			return "it has no ports"
		}
		if w.nb.Ctl("--bare", "--columns=acls", "find", "Port_Group", "name="+name) == "\n" {
			return "it has no ACLs"
		}
		return ""
	}
	w.nb.Ctl("clear", "Port_Group", name, "ports")
	reconciletest.Eventually(t, "the group", members)
	w.nb.Ctl("destroy", "Port_Group", name)
	reconciletest.Eventually(t, "the group that was deleted", func() string {
		if w.nb.Ctl("--bare", "--columns=name", "find", "Port_Group", "name="+name) == "" {
			return "it is gone"
		}
		return members()
	})
}

// awaitReady waits until a policy of the cluster says that it is in force as it reads now.
func (w *world) awaitReady(p *v1alpha2.ClusterNetworkPolicy) {
	w.t.Helper()
	reconciletest.Eventually(w.t, "policy "+p.Name, func() string {
		var now v1alpha2.ClusterNetworkPolicy
		if err := w.Get(w.t.Context(), client.ObjectKeyFromObject(p), &now); err != nil {
			return err.Error()
		}
		c := meta.FindStatusCondition(now.Status.Conditions, "Ready")
		if c == nil || c.Status != metav1.ConditionTrue || c.ObservedGeneration != p.Generation {
			return fmt.Sprintf("it is %+v", c)
		}
		return ""
	})
}

// denyAll is a policy of the cluster that lets nobody in.
func denyAll(name string) *v1alpha2.ClusterNetworkPolicy {
	return &v1alpha2.ClusterNetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 1}, Spec: v1alpha2.ClusterNetworkPolicySpec{
		Tier: v1alpha2.AdminTier, Subject: v1alpha2.ClusterNetworkPolicySubject{Namespaces: &metav1.LabelSelector{}},
		Ingress: []v1alpha2.ClusterNetworkPolicyIngressRule{{
			Action: v1alpha2.ClusterNetworkPolicyRuleActionDeny,
			From:   []v1alpha2.ClusterNetworkPolicyIngressPeer{{Namespaces: &metav1.LabelSelector{}}},
		}},
	}}
}

// noDenials waits until the admin tier denies nothing.
func (w *world) noDenials() {
	w.t.Helper()
	reconciletest.Eventually(w.t, "the end of its ACLs", func() string {
		return strings.TrimSpace(w.nb.Ctl("--bare", "--columns=name", "find", "ACL", "tier=1", "action=drop"))
	})
}

func TestClusterNetworkPolicyTellsItsCondition(t *testing.T) {
	w := newWorld(t)
	w.addressed(labelled("db", "db"))
	p := denyAll("guard")
	w.create(p)
	w.awaitReady(p)
	reconciletest.Eventually(t, "the condition", func() string {
		if err := w.Get(t.Context(), client.ObjectKeyFromObject(p), p); err != nil {
			return err.Error()
		}
		c := meta.FindStatusCondition(p.Status.Conditions, "Ready")
		if c.Message != "in force for 1 pods on 1 nodes" {
			return fmt.Sprintf("it is %+v", c)
		}
		return ""
	})
	w.remove(p)
	w.noDenials()
}

// TestKindOfPolicyThatComesLater: custom resources may be installed when the controller runs already.
func TestKindOfPolicyThatComesLater(t *testing.T) {
	w := newWorld(t)
	w.stop()
	gain := w.Lack(schema.GroupKind{Group: v1alpha2.GroupName, Kind: "ClusterNetworkPolicy"})
	w.start()
	crd := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: "clusternetworkpolicies." + v1alpha2.GroupName}}
	crd.Spec.Versions = []apiextensionsv1.CustomResourceDefinitionVersion{{Name: "v1alpha2", Served: true}}
	w.create(crd)
	before, after := denyAll("before"), denyAll("after")
	w.create(before)
	gain()
	crd.Status.Conditions = []apiextensionsv1.CustomResourceDefinitionCondition{{
		Type: apiextensionsv1.Established, Status: apiextensionsv1.ConditionTrue,
	}}
	if err := w.Status().Update(t.Context(), crd); err != nil {
		t.Fatal(err)
	}
	w.awaitReady(before)
	w.create(after)
	w.awaitReady(after)
	w.remove(before)
	w.remove(after)
	w.noDenials()
}
