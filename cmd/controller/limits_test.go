package main

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/policy/rules"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
)

// newBoundedWorld is a world in which policies may come to little.
func newBoundedWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.stop()
	w.options.PolicyLimits, w.options.NamespaceGroups = rules.Limits{Groups: 128}, 12
	w.start()
	return w
}

// fromMany lets in pods of so many labels, each by a rule of its own.
func fromMany(prefix string, count int) (out []networkingv1.NetworkPolicyIngressRule) {
	for i := range count {
		out = append(out, networkingv1.NetworkPolicyIngressRule{From: from(fmt.Sprint(prefix, i))})
	}
	return out
}

// groups are how many port groups there are for ways to select pods.
func (w *world) groups() int {
	w.t.Helper()
	return strings.Count(w.nb.Ctl("--bare", "--columns=name", "list", "Port_Group"), "g_")
}

// allows are the ACLs of a policy that let something in.
func (w *world) allows(policy string) int {
	w.t.Helper()
	return len(strings.Fields(w.nb.Ctl("--bare", "--columns=_uuid", "find", "ACL", "action=allow-related", "external_ids:woven/owner=networkpolicy/shop/"+policy)))
}

// TestPolicyOfThousandPeers is about a policy whose author wants more of OVN than his share.
func TestPolicyOfThousandPeers(t *testing.T) {
	w := newBoundedWorld(t)
	p := newPolicy("greedy", map[string]string{"app": "db"})
	p.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{}, {From: from("web")}}
	for i := range 1000 {
		p.Spec.Ingress[0].From = append(p.Spec.Ingress[0].From, from(fmt.Sprint("peer-", i))...)
	}
	w.create(p)
	w.inForce(p)
	w.status(p, "with it the policy has 1001 groups of pods, and 128 is the most")
	w.event("PolicyLimitExceeded", "shop/greedy")
	if got := w.groups(); got != 2 {
		t.Errorf("there are %d groups", got)
	}
	if got := w.allows("greedy"); got != 1 {
		t.Errorf("%d rules are in force", got)
	}
	edit(w, p, func(p *networkingv1.NetworkPolicy) {
		p.Spec.Ingress[0].From, p.Generation = from("peer-1"), p.Generation+1
	})
	w.status(p, fmt.Sprintf(`"inForce":true,"generation":%d,"pods":0,"nodes":0}`, p.Generation))
}

// TestNamespaceOfManyPolicies is about the share of a namespace: who has it keeps it, also over a restart, and who was refused gets
// it when it is free.
func TestNamespaceOfManyPolicies(t *testing.T) {
	w := newBoundedWorld(t)
	first := newPolicy("first", nil)
	first.Spec.Ingress = fromMany("a-", 8)
	second := newPolicy("second", nil)
	second.Spec.Ingress = fromMany("b-", 8)
	w.create(first)
	w.inForce(first)
	w.create(second)
	w.inForce(second)
	w.status(second, v1.ReasonLimitExceeded)
	check := func(when string) {
		t.Helper()
		if a, b := w.allows("first"), w.allows("second"); a != 8 || b != 3 {
			t.Errorf("%s: %d and %d rules are in force, want 8 and 3", when, a, b)
		}
	}
	check("at first")
	before := w.nb.Ctl("--bare", "--columns=name,match", "list", "ACL")

	w.stop()
	w.start()
	w.sent.Take()
	reconciletest.Eventually(t, "the second look at both", func() string {
		w.inForce(first)
		w.inForce(second)
		return ""
	})
	p := newPolicy("third", nil)
	p.Spec.Ingress = fromMany("c-", 1)
	w.create(p)
	w.status(p, v1.ReasonLimitExceeded)
	check("after a restart")
	w.remove(p)
	reconciletest.Eventually(t, "the same ACLs as before", func() string {
		if after := w.nb.Ctl("--bare", "--columns=name,match", "list", "ACL"); len(after) != len(before) {
			return after
		}
		return ""
	})

	w.remove(first)
	reconciletest.Eventually(t, "the room for the second", func() string {
		if got := w.allows("second"); got != 8 {
			return fmt.Sprintf("%d rules are in force", got)
		}
		return ""
	})
	w.status(second, fmt.Sprintf(`"inForce":true,"generation":%d,"pods":0,"nodes":0}`, second.Generation))

	// Nonsense in an edit leaves what denies in force, and gives back the room.
	edit(w, second, func(p *networkingv1.NetworkPolicy) {
		for i := range p.Spec.Ingress {
			p.Spec.Ingress[i].From[0].PodSelector.MatchLabels["app"] = "no label\n"
		}
		p.Generation++
	})
	w.inForce(second)
	if got := w.allows("second"); got != 0 {
		t.Errorf("%d rules of nonsense are in force", got)
	}
	w.create(newPolicy("fourth", nil))
	w.inForce(newPolicy("fourth", nil))
}

// TestSidecarsPort is about what the cache keeps of a pod.
func TestSidecarsPort(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "db"}}
	pod.Spec.InitContainers = []corev1.Container{
		{Name: "proxy", Image: "example.com/proxy", RestartPolicy: &always, Ports: []corev1.ContainerPort{{Name: "mesh", ContainerPort: 15001}}},
		{Name: "prepare", Image: "example.com/prepare"},
	}
	kept, err := trimPod(pod)
	if err != nil {
		t.Fatal(err)
	}
	got := kept.(*corev1.Pod).Spec.InitContainers
	if len(got) != 2 || got[0].RestartPolicy == nil || len(got[0].Ports) != 1 || got[0].Image != "" || got[1].RestartPolicy != nil {
		t.Errorf("the cache keeps %+v", got)
	}
}
