//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/test/e2e/framework"
)

// awaitPlaced waits until OVN's template for a Service has as many backends for clients at a place on all nodes; -1 is no
// answer at all. A place is "node_node1" or "zone_zone1".
func awaitPlaced(t *testing.T, db *framework.Northbound, s *corev1.Service, place string, backends int) {
	t.Helper()
	ctx := within(t, 30*time.Second, fmt.Sprintf("balancing %s for %s", s.Name, place))
	variable := "vip_" + strings.NewReplacer(".", "_", ":", "_").Replace(s.Spec.ClusterIP) + "_" + place
	must(t, db.Await(ctx, func() bool {
		got := -1
		rows, err := framework.Rows(db, func(lb *nb.LoadBalancer) bool {
			list, ok := lb.Vips["^"+variable+":80"]
			if ok {
				got = len(strings.FieldsFunc(list, func(r rune) bool { return r == ',' }))
			}
			return ok
		})
		known, err2 := framework.Rows(db, func(v *nb.ChassisTemplateVar) bool { return v.Variables[variable] != "" })
		return err == nil && err2 == nil && len(rows) <= 1 && len(known) >= 1 && got == backends
	}))
	must(t, cluster.Synced(ctx))
}

// hears checks who answers a pod at a Service, in ten tries.
func hears(t *testing.T, caller *corev1.Pod, s *corev1.Service, want ...*corev1.Pod) {
	t.Helper()
	for range 10 {
		got, err := cluster.Fetch(t.Context(), caller, url(s.Spec.ClusterIP, 80, "/hostname"))
		if len(want) == 0 {
			if err == nil || !strings.Contains(err.Error(), curlRefused) {
				t.Fatalf("%s, on %s, is not refused but hears %q (%v)", caller.Name, caller.Spec.NodeName, got, err)
			}
			continue
		}
		must(t, err)
		if !slices.ContainsFunc(want, func(p *corev1.Pod) bool { return p.Name == got }) {
			t.Fatalf("%s, on %s, hears %s", caller.Name, caller.Spec.NodeName, got)
		}
	}
}

func TestServiceOfItsNode(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	db := cluster.Northbound(t)
	near := framework.Server("near", framework.On(here), framework.Labelled("app", "web"))
	callerHere, callerThere := framework.Server("caller-here", framework.On(here)), framework.Server("caller-there", framework.On(there))
	local := service("local", "web", corev1.ServiceTypeClusterIP)
	local.Spec.InternalTrafficPolicy = ptr.To(corev1.ServiceInternalTrafficPolicyLocal)
	ns.Add(local)
	ns.Start(near, callerHere, callerThere)
	awaitPlaced(t, db, local, "node_"+here, 1)
	hears(t, callerHere, local, near)
	hears(t, near, local, near)
	hears(t, callerThere, local)
	fetchFromNode(t, here, url(local.Spec.ClusterIP, 80, "/hostname"), "near")

	far := framework.Server("far", framework.On(there), framework.Labelled("app", "web"))
	ns.Start(far)
	awaitPlaced(t, db, local, "node_"+there, 1)
	hears(t, callerThere, local, far)
	hears(t, callerHere, local, near)
	hearsByUDP(t, callerThere, local.Spec.ClusterIP, 81, "far")
	ns.Stop(near)
	awaitPlaced(t, db, local, "node_"+here, -1)
	hears(t, callerHere, local)
}

// zoneOf is the place of a node's zone, as awaitPlaced wants it.
func zoneOf(t *testing.T, name string) string {
	t.Helper()
	var node corev1.Node
	must(t, cluster.Get(t.Context(), client.ObjectKey{Name: name}, &node))
	return "zone_" + node.Labels[corev1.LabelTopologyZone]
}

func TestServicePrefersPlaces(t *testing.T) {
	if len(cluster.Nodes) < 3 {
		t.Skip("needs a third node, without endpoints")
	}
	ns := cluster.Namespace(t, nil)
	db := cluster.Northbound(t)
	third := cluster.Nodes[2]
	near := framework.Server("near", framework.On(here), framework.Labelled("app", "web"))
	far := framework.Server("far", framework.On(there), framework.Labelled("app", "web"))
	callerHere, callerThird := framework.Server("caller-here", framework.On(here)), framework.Server("caller-third", framework.On(third))
	services := map[string]*corev1.Service{}
	for _, d := range []string{
		corev1.ServiceTrafficDistributionPreferClose, corev1.ServiceTrafficDistributionPreferSameZone,
		corev1.ServiceTrafficDistributionPreferSameNode,
	} {
		s := service(strings.ToLower(d), "web", corev1.ServiceTypeClusterIP)
		s.Spec.TrafficDistribution = &d
		ns.Add(s)
		services[d] = s
	}
	ns.Start(near, far, callerHere, callerThird)
	place := func(distribution, node string) string {
		if distribution == corev1.ServiceTrafficDistributionPreferSameNode {
			return "node_" + node
		}
		return zoneOf(t, node)
	}
	for d, s := range services {
		t.Run(d, func(t *testing.T) {
			awaitPlaced(t, db, s, place(d, here), 1)
			awaitPlaced(t, db, s, place(d, third), 2)
			hears(t, callerHere, s, near)
			hears(t, callerThird, s, near, far)
			if got := host(t, do[string](t)(cluster.Fetch(t.Context(), callerHere, url(s.Spec.ClusterIP, 80, "/clientip")))); got != callerHere.Status.PodIP {
				t.Errorf("the pod sees its caller as %s", got)
			}
		})
	}
	ns.Stop(near)
	for d, s := range services {
		t.Run(d+" falls back", func(t *testing.T) {
			awaitPlaced(t, db, s, place(d, third), 1)
			hears(t, callerHere, s, far)
		})
	}
}

// All variables that an ovn-controller knows may go and others come before it has looked. It must take that in its stride.
func TestPlacedServiceIsReplaced(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	db := cluster.Northbound(t)
	callerHere := framework.Server("caller-here", framework.On(here), framework.Labelled("app", "web"))
	ns.Start(callerHere)
	local := func(name string) *corev1.Service {
		s := service(name, "web", corev1.ServiceTypeClusterIP)
		s.Spec.InternalTrafficPolicy = ptr.To(corev1.ServiceInternalTrafficPolicyLocal)
		ns.Add(s)
		return s
	}
	former := local("former")
	awaitPlaced(t, db, former, "node_"+here, 1)
	pod := do[*corev1.Pod](t)(cluster.PodOf(t.Context(), framework.Switch, here))
	control := func(ctx context.Context, command string) error {
		return second(cluster.ExecIn(ctx, pod, "ovn-controller", "ovn-appctl", "-t", "ovn-controller", command))
	}
	must(t, control(t.Context(), "debug/pause"))
	t.Cleanup(func() { _ = control(context.Background(), "debug/resume") })
	variables := func(some bool) {
		must(t, db.Await(within(t, 30*time.Second, "the variables"), func() bool {
			rows, err := framework.Rows(db, func(v *nb.ChassisTemplateVar) bool { return v.Chassis == here && len(v.Variables) > 0 })
			return err == nil && (len(rows) > 0) == some
		}))
		must(t, second(cluster.NBCtl(within(t, 30*time.Second, "northd"), "--wait=sb", "sync")))
	}
	must(t, cluster.Delete(t.Context(), former))
	variables(false)
	latter := local("latter")
	variables(true)
	must(t, control(t.Context(), "debug/resume"))
	awaitPlaced(t, db, latter, "node_"+here, 1)
	hears(t, callerHere, latter, callerHere)
	for _, c := range do[[]string](t)(cluster.Crashes(t.Context())) {
		t.Errorf("%s has crashed", c)
	}
}

// An event of endpoints is one change of one row, and northd takes it in without starting over, also where each node has
// its own answer.
func TestEndpointsCostOneChange(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	db := cluster.Northbound(t)
	plain, local := service("plain", "", corev1.ServiceTypeClusterIP), service("local", "", corev1.ServiceTypeClusterIP)
	local.Spec.InternalTrafficPolicy = ptr.To(corev1.ServiceInternalTrafficPolicyLocal)
	slices := map[*corev1.Service]*discoveryv1.EndpointSlice{}
	for _, s := range []*corev1.Service{plain, local} {
		s.Spec.Selector, s.Spec.Ports = nil, s.Spec.Ports[:1]
		slices[s] = &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Name: s.Name, Labels: map[string]string{discoveryv1.LabelServiceName: s.Name}},
			AddressType: discoveryv1.AddressTypeIPv4,
			Ports:       []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To[int32](80)}},
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"203.0.113.1"}, NodeName: &here}},
		}
		ns.Add(s, slices[s])
	}
	awaitBalanced(t, db, plain.Spec.ClusterIP, 80, 1)
	awaitPlaced(t, db, local, "node_"+here, 1)
	// A change of variables is a recompute: those of this test are to be everywhere, and those of others gone.
	awaitFormerTests(t, db, ns)
	must(t, db.Await(within(t, time.Minute, "settled variables"), func() bool {
		rows, err := framework.Rows(db, func(v *nb.ChassisTemplateVar) bool { return len(v.Variables) == 1 })
		return err == nil && len(rows) == len(cluster.Nodes)
	}))
	writes := len(db.Writes())
	const events = 5
	checkRecomputes(t, ns, db, "endpoints", 0, func() {
		for i := range events {
			for _, s := range []*corev1.Service{plain, local} {
				slices[s].Endpoints = append(slices[s].Endpoints, discoveryv1.Endpoint{
					Addresses: []string{fmt.Sprintf("203.0.113.%d", i+2)}, NodeName: &here,
				})
				must(t, cluster.Update(t.Context(), slices[s]))
			}
			awaitBalanced(t, db, plain.Spec.ClusterIP, 80, i+2)
			awaitPlaced(t, db, local, "node_"+here, i+2)
		}
	})
	changes := 0
	for _, w := range db.Writes()[writes:] {
		if strings.Contains(w.Row, ns.Name) {
			changes++
		}
	}
	if changes != 2*events {
		t.Errorf("%d events changed rows %d times", 2*events, changes)
	}
}

// Two pods cannot tell who of them is meant; the one that is terminating steps back, and stands in when it is alone.
func TestServiceDrainsTerminatingPods(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	db := cluster.Northbound(t)
	caller := framework.Server("caller", framework.On(here))
	leaving := framework.Server("leaving", framework.On(there), framework.Labelled("app", "web"))
	leaving.Spec.TerminationGracePeriodSeconds = ptr.To[int64](100)
	leaving.Spec.Containers[0].Args = append(leaving.Spec.Containers[0].Args, "--delay-shutdown=100")
	web := service("web", "web", corev1.ServiceTypeClusterIP)
	ns.Add(web)
	ns.Start(caller, leaving)
	awaitBalanced(t, db, web.Spec.ClusterIP, 80, 1)
	must(t, cluster.Delete(t.Context(), leaving))
	_, err := framework.Await(within(t, 30*time.Second, "terminating"), cluster, &discoveryv1.EndpointSliceList{},
		func(all []*discoveryv1.EndpointSlice) bool {
			return slices.ContainsFunc(all, func(s *discoveryv1.EndpointSlice) bool {
				return len(s.Endpoints) == 1 && ptr.Deref(s.Endpoints[0].Conditions.Terminating, false)
			})
		}, client.InNamespace(ns.Name))
	must(t, err)
	awaitBalanced(t, db, web.Spec.ClusterIP, 80, 1)
	hears(t, caller, web, leaving)
	next := framework.Server("next", framework.On(here), framework.Labelled("app", "web"))
	ns.Start(next)
	must(t, framework.Until(within(t, 30*time.Second, "stepping back"), func(ctx context.Context) error {
		got, err := cluster.Fetch(ctx, caller, url(web.Spec.ClusterIP, 80, "/hostname"))
		if err == nil && got != "next" {
			err = fmt.Errorf("%s answers", got)
		}
		return err
	}))
	hears(t, caller, web, next)
	end(t, leaving) // it would go on for its grace period
}
