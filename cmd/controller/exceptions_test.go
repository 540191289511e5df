package main

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
)

// known gives a node an address that users know it by.
func (w *world) known(node *corev1.Node, address string) {
	w.t.Helper()
	if err := w.Get(w.t.Context(), client.ObjectKeyFromObject(node), node); err != nil {
		w.t.Fatal(err)
	}
	before := node.DeepCopy()
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: address}}
	if err := w.Status().Patch(w.t.Context(), node, client.MergeFrom(before)); err != nil {
		w.t.Fatal(err)
	}
}

// joined waits for a node's address on the join subnet.
func (w *world) joined(name string) (address string) {
	w.t.Helper()
	reconciletest.Eventually(w.t, "the address of node "+name, func() string {
		var node corev1.Node
		if err := w.Get(w.t.Context(), types.NamespacedName{Name: name}, &node); err != nil {
			return err.Error()
		}
		if address = node.Annotations[v1.AnnotationIPAddress]; address == "" {
			return "it has none"
		}
		return ""
	})
	return address
}

// TestExceptedNodeComesAndGoes is about the processes of a node that a policy excepts: they call from the join subnet, by an
// address that the author of the policy does not know.
func TestExceptedNodeComesAndGoes(t *testing.T) {
	w := newWorld(t)
	p := newPolicy("db", map[string]string{"app": "db"})
	p.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{
		{IPBlock: &networkingv1.IPBlock{CIDR: "100.64.0.0/16", Except: []string{"192.0.2.2/32"}}},
	}}}
	w.create(p)
	w.inForce(p)
	lets := func(address string, yes bool) {
		t.Helper()
		reconciletest.Eventually(t, "what the policy does with "+address, func() string {
			sets := w.nb.Ctl("--bare", "--columns=addresses", "list", "Address_Set")
			match := w.nb.Ctl("--bare", "--columns=match", "find", "ACL", "name=networkpolicy/shop/db/ingress/0")
			whole := strings.Contains(match, "100.64.0.0/16")
			if in := whole || strings.Contains(sets+" ", address+" ") || strings.Contains(sets, address+"\n"); in != yes {
				return match + sets
			}
			return ""
		})
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n2"}}
	w.create(node)
	join := w.joined("n2")
	lets(join, true)
	w.known(node, "192.0.2.2")
	lets(join, false)
	w.stop()
	w.start()
	w.inForce(p)
	lets(join, false)
	w.known(node, "192.0.2.3") // which is no exception
	lets(join, true)
	w.known(node, "192.0.2.2")
	lets(join, false)
	w.remove(node)
	lets(join, true)
}
