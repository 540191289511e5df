package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
)

func newNode(name string, addresses ...string) *corev1.Node {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(time.Now().Truncate(time.Second))}}
	for _, a := range addresses {
		node.Status.Addresses = append(node.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: a})
	}
	return node
}

// leadsTo waits until what pods send to an address is sent to the node; "" is no node.
func (w *world) leadsTo(address, node string) {
	w.t.Helper()
	reconciletest.Eventually(w.t, fmt.Sprintf("the way to %s leads to node %q", address, node), func() string {
		join := ""
		if node != "" {
			var obj corev1.Node
			if err := w.Get(w.t.Context(), client.ObjectKey{Name: node}, &obj); err != nil {
				return err.Error()
			}
			if join = obj.Annotations[v1.AnnotationIPAddress]; join == "" {
				return "the node has no address"
			}
		}
		list := w.nb.Ctl("lr-policy-list", "ovn-cluster")
		for line := range strings.Lines(list) {
			if strings.Contains(line, address) && strings.Contains(line, "reroute") && !strings.Contains(line, "chassis") {
				if fields := strings.Fields(line); join != "" && strings.Contains(line, " "+join+" ") || fields[len(fields)-1] == join {
					return ""
				}
				return line
			}
		}
		if node == "" {
			return ""
		}
		return "there is no policy for it:\n" + list
	})
}

// nowhere fails when there is a policy for an address.
func (w *world) nowhere(addresses ...string) {
	w.t.Helper()
	list := w.nb.Ctl("lr-policy-list", "ovn-cluster") + w.nb.Ctl("--bare", "--columns=addresses", "find", "Address_Set", "name=woven.nodes.v4")
	for _, a := range addresses {
		if strings.Contains(list, a) {
			w.t.Errorf("there is a row with %s:\n%s", a, list)
		}
	}
}

// TestNodeThatReportsOthersAddresses is a node whose kubelet says what it likes: nobody else is to notice.
func TestNodeThatReportsOthersAddresses(t *testing.T) {
	w := newWorld(t)
	w.create(newNode("victim", "192.0.2.1"))
	w.leadsTo("192.0.2.1", "victim")
	thief := newNode("a-thief", "192.0.2.2", "192.0.2.1", "8.8.8.8", "10.16.200.200", "10.96.0.1")
	thief.CreationTimestamp = metav1.Unix(1, 0) // an older node is no better
	w.create(thief)
	w.event("AddressRefused", "a-thief", "10.16.200.200", "Subnet ovn-default")
	for _, a := range []string{"8.8.8.8", "10.96.0.1"} {
		w.leadsTo(a, "")
	}
	for i := range 2 {
		w.leadsTo("192.0.2.2", "a-thief")
		w.leadsTo("192.0.2.1", "victim")
		w.nowhere("8.8.8.8", "10.16.200.200", "10.96.0.1")
		w.addressed(newPod(fmt.Sprint("web-", i)))
		w.ready("ovn-default")
		w.stop()
		w.start() // what is in force is not judged again
	}
	w.addressed(newPod("web-2"))
	edit(w, &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: "ovn-default"}}, func(s *v1.Subnet) { s.Spec.NatOutgoing = true })
	w.ready("ovn-default") // nor because something else of it is edited
	w.remove(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "victim"}})
	w.leadsTo("192.0.2.1", "a-thief")
}

// TestNodeAddressWaitsForASubnetToGo is the other way round as well: a new Subnet waits for the node to go.
func TestNodeAddressWaitsForASubnetToGo(t *testing.T) {
	w := newWorld(t)
	web := newSubnet("web", "10.77.0.0/24")
	w.create(web)
	w.ready("web")
	node := newNode("n1", "10.77.0.5", "192.0.2.1")
	w.create(node)
	w.event("AddressRefused", "10.77.0.5", "Subnet web")
	w.leadsTo("192.0.2.1", "n1")
	w.nowhere("10.77.0.5")
	w.remove(web)
	w.leadsTo("10.77.0.5", "n1")
	w.create(newSubnet("late", "10.77.0.0/25"))
	w.condition("late", v1.ConditionValidated, "False Overlap")
	w.remove(node)
	w.ready("late")
}
