//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/test/e2e/framework"
)

// liar is the number of a fake node that no other test has.
const liar = 1000

// A Node whose kubelet reports addresses of others gets none of their packets: pods reach another node, the outside, a
// Service and each other as before, and the Subnet in which it claims an address goes on to serve new pods, also after the
// controller has started anew.
func TestNodeThatLiesAboutItsAddresses(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	db := cluster.Northbound(t)
	caller := framework.Server("caller", framework.On(here))
	victim := framework.Server("victim", framework.On(there), framework.Labelled("app", "web"))
	web := service("web", "web", corev1.ServiceTypeClusterIP)
	ns.Add(web)
	ns.Start(caller, victim)
	awaitBalanced(t, db, web.Spec.ClusterIP, 80, 1)

	node := do[string](t)(cluster.NodeAddress(t.Context(), there))
	thief := framework.FakeNode(liar)
	if strings.Contains(node, ":") {
		thief.Status.Addresses[0].Address = "fd00:31::fa:1"
	}
	for _, address := range []string{node, "8.8.8.8", victim.Status.PodIP, web.Spec.ClusterIP} {
		thief.Status.Addresses = append(thief.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: address})
	}
	ns.Add(thief)
	own := thief.Status.Addresses[0].Address
	awaitWayTo(t, db, own)

	for _, when := range []string{"at first", "after a restart"} {
		t.Run(when, func(t *testing.T) {
			ns := ns.For(t)
			if when != "at first" {
				stopControllers(t)()
				awaitWayTo(t, db, own)
			}
			// The controller has looked at all there is before it has an address for a pod.
			late := framework.Server(strings.ReplaceAll(when, " ", "-"), framework.On(there))
			ns.Start(late)
			for _, refused := range []string{"8.8.8.8", victim.Status.PodIP, web.Spec.ClusterIP} {
				if ways := waysTo(t, db, refused); len(ways) > 0 {
					t.Errorf("packets to %s are sent to %v", refused, ways)
				}
			}
			if ways := waysTo(t, db, node); len(ways) != 1 {
				t.Errorf("packets to the node %s are sent to %v", node, ways)
			}
			ns.FetchUntil(caller, url(victim.Status.PodIP, framework.HTTPPort, "/hostname"), "victim")
			ns.FetchUntil(caller, url(web.Spec.ClusterIP, 80, "/hostname"), "victim")
			ns.FetchUntil(caller, url(node, 10256, "/healthz"), "") // kube-proxy of the node
			seenAsNodes(t, ns, caller)
			ns.FetchUntil(caller, url(late.Status.PodIP, framework.HTTPPort, "/hostname"), late.Name)
			awaitCondition(t, &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: late.Annotations[v1.AnnotationLogicalSwitch]}}, ready)
		})
	}
	told := func(e *corev1.Event) bool {
		return e.InvolvedObject.Name == thief.Name && e.Reason == "AddressRefused" && strings.Contains(e.Message, victim.Status.PodIP)
	}
	_ = do[[]*corev1.Event](t)(framework.Await(within(t, 30*time.Second, "the event on the Node"), cluster, &corev1.EventList{},
		func(all []*corev1.Event) bool { return slices.ContainsFunc(all, told) }, client.InNamespace(metav1.NamespaceDefault)))
}

// waysTo are the next hops of the router policies that name an address.
func waysTo(t *testing.T, db *framework.Northbound, address string) []string {
	t.Helper()
	var hops []string
	named := func(p *nb.LogicalRouterPolicy) bool {
		words := strings.FieldsFunc(p.Match, func(r rune) bool { return strings.ContainsRune(" ,{}", r) })
		return p.Action == nb.LogicalRouterPolicyActionReroute && slices.Contains(words, address)
	}
	for _, p := range do[[]nb.LogicalRouterPolicy](t)(framework.Rows(db, named)) {
		hops = append(hops, fmt.Sprint(p.Nexthops))
	}
	return hops
}

// awaitWayTo waits until packets for a node's address are sent to it.
func awaitWayTo(t *testing.T, db *framework.Northbound, address string) {
	t.Helper()
	must(t, db.Await(within(t, 30*time.Second, "a way to "+address), func() bool { return len(waysTo(t, db, address)) == 1 }))
}
