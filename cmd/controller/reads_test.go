package main

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
)

// TestSubnetConcernsItsVpcAndNamespaces counts what Subnets cost that come beside many Namespaces, and Subnets of another Vpc: their own
// Vpc and Namespace look again, and nobody reads the others.
func TestSubnetConcernsItsVpcAndNamespaces(t *testing.T) {
	const namespaces, others, news = 200, 100, 5
	w := loneWorld(t)
	for i := range namespaces {
		w.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("ns", i)}})
	}
	for i := range others {
		w.create(newSubnet(fmt.Sprint("s", i), fmt.Sprintf("10.30.%d.0/24", i)))
	}
	vpc := newVpc("tenant")
	w.create(vpc)
	w.allReady(others + 2)
	reconciletest.Eventually(t, "the Vpc of the others", func() string {
		if n := len(now(w, newVpc("ovn-cluster")).Status.Subnets); n != others+2 {
			return fmt.Sprintf("it has %d Subnets", n)
		}
		return ""
	})
	readNamespaces, readSubnets, looks := w.Reads(&corev1.Namespace{}), w.Reads(&v1.Subnet{}), w.looks("namespace")
	var names []string
	for i := range news {
		s := subnetOf("tenant", fmt.Sprint("new", i), fmt.Sprintf("10.40.%d.0/24", i))
		s.Spec.Namespaces = []string{"ns7"}
		w.create(s)
		names = append(names, s.Name)
		w.ready(s.Name)
		reconciletest.Eventually(t, "the Subnets of the Vpc and of the Namespace", func() string {
			ns := now(w, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ns7"}})
			if got, of := ns.Annotations[v1.AnnotationLogicalSwitch], len(now(w, vpc).Status.Subnets); got != strings.Join(names, ",") || of != len(names) {
				return fmt.Sprintf("it says %q, and the Vpc has %d", got, of)
			}
			return ""
		})
	}
	n, s, l := w.Reads(&corev1.Namespace{})-readNamespaces, w.Reads(&v1.Subnet{})-readSubnets, w.looks("namespace")-looks
	t.Logf("%d Subnets cost %d reads of Namespaces, %d of Subnets, and %v looks at Namespaces", news, n, s, l)
	if n > 20*news || s > 100*news || l > 10*news {
		t.Errorf("%d Subnets cost %d reads of Namespaces, %d of Subnets, and %v looks at Namespaces", news, n, s, l)
	}
}

// TestNodesAreReadOnceForAllPolicies counts what the news of a node cost where many policies let in networks.
func TestNodesAreReadOnceForAllPolicies(t *testing.T) {
	const nodes, policies, news = 100, 60, 3
	w := loneWorld(t)
	last := newNode("last", "198.51.100.1")
	for i := range nodes - 1 {
		w.create(newNode(fmt.Sprint("n", i), fmt.Sprintf("192.0.2.%d", i+1)))
	}
	w.create(last)
	w.leadsTo("198.51.100.1", "last")
	w.leadsTo(fmt.Sprintf("192.0.2.%d", nodes-1), fmt.Sprint("n", nodes-2))
	for i := range policies {
		p := newPolicy(fmt.Sprint("p", i), map[string]string{"app": "db"})
		p.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "198.51.100.0/24"}}}}}
		w.create(p)
	}
	for i := range policies {
		w.inForce(newPolicy(fmt.Sprint("p", i), nil))
	}
	before, looks := w.Reads(&corev1.Node{}), w.looks("networkpolicy")
	for i := range news {
		address := fmt.Sprintf("198.51.100.%d", 2+i)
		w.known(last, address)
		w.leadsTo(address, "last")
		reconciletest.Eventually(t, "the look of all policies", func() string {
			if n := w.looks("networkpolicy") - looks; n < float64((i+1)*policies) {
				return fmt.Sprintf("there were %v", n)
			}
			return ""
		})
	}
	read := w.Reads(&corev1.Node{}) - before
	t.Logf("%d news of a node cost %d reads of nodes beside %d policies", news, read, policies)
	if most := news * 10 * nodes; read > most {
		t.Errorf("%d news of a node cost %d reads of nodes beside %d policies, more than %d", news, read, policies, most)
	}
}
