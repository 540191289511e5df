package main

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
)

func newVpc(name string) *v1.Vpc {
	return &v1.Vpc{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("vpc-" + name), Generation: 1}}
}

func subnetOf(vpc, name, cidr string) *v1.Subnet {
	s := &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("subnet-" + name), Generation: 1}}
	s.Spec.Vpc, s.Spec.CIDRBlock = vpc, cidr
	return s
}

// portNames are those of the ports of switches and routers, which may not meet.
func (w *world) portNames() map[string]int {
	w.t.Helper()
	out := map[string]int{}
	for _, table := range []string{"Logical_Switch_Port", "Logical_Router_Port"} {
		for _, name := range strings.Fields(w.nb.Ctl("--bare", "--columns=name", "list", table)) {
			out[name]++
		}
	}
	return out
}

func (w *world) unique() {
	w.t.Helper()
	for name, count := range w.portNames() {
		if count > 1 {
			w.t.Errorf("%d ports have the name %s", count, name)
		}
	}
}

// message waits until the message of a Subnet's condition Ready has the words.
func (w *world) message(subnet, words string) {
	w.t.Helper()
	reconciletest.Eventually(w.t, "the condition of subnet "+subnet, func() string {
		var s v1.Subnet
		if err := w.Get(w.t.Context(), types.NamespacedName{Name: subnet}, &s); err != nil {
			return err.Error()
		}
		c := v1.FindCondition(s.Status.Conditions, v1.ConditionReady)
		if c == nil || !strings.Contains(c.Message, words) {
			return fmt.Sprintf("it is %+v, without %q", c, words)
		}
		return ""
	})
}

// TestSubnetsWhosePortNamesMeet is about Vpcs that cut each other off: a-b-c is a port of the switch a and one of the router a-b.
func TestSubnetsWhosePortNamesMeet(t *testing.T) {
	w := newWorld(t)
	w.create(newVpc("b-c"), newVpc("a-b"), subnetOf("b-c", "a", "10.50.0.0/24"))
	w.ready("a")
	w.create(subnetOf("a-b", "c", "10.60.0.0/24"))
	w.condition("c", v1.ConditionReady, "False "+v1.ReasonNameTaken)
	w.message("c", "the port name a-b-c is that of subnet a")
	w.unique()

	w.stop()
	w.start()
	w.ready("a")
	w.condition("c", v1.ConditionReady, "False "+v1.ReasonNameTaken)
	w.unique()

	w.remove(subnetOf("b-c", "a", ""))
	w.ready("c")
	w.unique()
	w.create(subnetOf("b-c", "a", "10.50.0.0/24"))
	w.message("a", "the port name a-b-c is that of subnet c")
}

// TestVpcNamedLikeASubnet is about names of switches and routers, which tools look for in one list.
func TestVpcNamedLikeASubnet(t *testing.T) {
	w := newWorld(t)
	w.create(newVpc("bugn"), subnetOf("bugn", "bugn-x", "10.50.0.0/24"), subnetOf("bugn", "bugn-y", "10.51.0.0/24"))
	w.ready("bugn-x")
	w.ready("bugn-y")
	w.create(newVpc("bugn-x"), subnetOf("bugn-x", "bugn", "10.60.0.0/24"))
	reconciletest.Eventually(t, "the refusal of the Vpc", func() string {
		var vpc v1.Vpc
		if err := w.Get(t.Context(), types.NamespacedName{Name: "bugn-x"}, &vpc); err != nil {
			return err.Error()
		}
		if c := v1.FindCondition(vpc.Status.Conditions, v1.ConditionReady); c == nil || c.Message != "the switch name bugn-x is that of subnet bugn-x" {
			return fmt.Sprintf("%+v", c)
		}
		return ""
	})
	w.unique()
	w.ready("bugn-x")
}

// TestPodWhosePortNameIsTaken is about a pod that never started again, and nobody said why.
func TestPodWhosePortNameIsTaken(t *testing.T) {
	w := newWorld(t)
	w.create(newVpc("bugv"), subnetOf("bugv", "web.bug", "10.50.0.0/24"), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "bug-bugv"}})
	w.ready("web.bug")
	p := newPod("web")
	p.Namespace = "bug-bugv"
	w.create(p)
	w.event("the port name web.bug-bugv is that of subnet web.bug")
	w.unique()
	w.remove(subnetOf("bugv", "web.bug", ""))
	reconciletest.Eventually(t, "the address of the pod", func() string {
		var now corev1.Pod
		if err := w.Get(t.Context(), client.ObjectKeyFromObject(p), &now); err != nil {
			return err.Error()
		}
		if now.Annotations[v1.AnnotationIPAddress] == "" {
			return "it has none"
		}
		return ""
	})
}

// TestNodeWhosePortNameIsTaken is about a Subnet that has the name of a node's port.
func TestNodeWhosePortNameIsTaken(t *testing.T) {
	w := newWorld(t)
	w.create(newVpc("x"), subnetOf("x", "node", "10.50.0.0/24"))
	w.ready("node")
	w.create(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "x"}})
	w.event("the port name node-x is that of subnet node")
	w.unique()
	w.remove(subnetOf("x", "node", ""))
	reconciletest.Eventually(t, "the node's address", func() string {
		var now corev1.Node
		if err := w.Get(t.Context(), types.NamespacedName{Name: "x"}, &now); err != nil {
			return err.Error()
		}
		if now.Annotations[v1.AnnotationIPAddress] == "" {
			return "it has none"
		}
		return ""
	})
	w.unique()
}
