package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
)

// aged is a labelled pod; those with a greater age are older.
func aged(name string, age time.Duration, annotations ...string) *corev1.Pod {
	pod := newPod(name, annotations...)
	pod.Labels = map[string]string{"app": "web"}
	pod.CreationTimestamp = metav1.NewTime(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC).Add(-age))
	return pod
}

// addressesOf are the addresses of a pod's row.
func (w *world) addressesOf(pod string) string {
	w.t.Helper()
	return strings.TrimSpace(w.nb.Ctl("--bare", "--columns=addresses", "find", "Logical_Switch_Port", "name="+pod+".shop"))
}

// noted waits until a pod's row has a value among its external_ids.
func (w *world) noted(pod, key, want string) {
	w.t.Helper()
	reconciletest.Eventually(w.t, key+" of the row of pod "+pod, func() string {
		got := w.nb.Ctl("--if-exists", "get", "Logical_Switch_Port", pod+".shop", "external_ids:"+key)
		if strings.Trim(strings.TrimSpace(got), `"`) != want {
			return "it is " + got
		}
		return ""
	})
}

// told waits until a pod's annotations are our answer for it and say this address.
func (w *world) told(pod *corev1.Pod, address string) {
	w.t.Helper()
	reconciletest.Eventually(w.t, "the answer for pod "+pod.Name, func() string {
		var now corev1.Pod
		if err := w.Get(w.t.Context(), client.ObjectKeyFromObject(pod), &now); err != nil {
			return err.Error()
		}
		a := now.Annotations
		if a[v1.AnnotationAllocatedUID] != string(now.UID) || a[v1.AnnotationIPAddress] != address || a[v1.AnnotationAllocated] != "true" {
			return fmt.Sprintf("it is %v", a)
		}
		return ""
	})
}

// recorded waits until a pod's IP object says this address.
func (w *world) recorded(pod, address string) {
	w.t.Helper()
	reconciletest.Eventually(w.t, "the IP object of pod "+pod, func() string {
		var ip v1.IP
		if err := w.Get(w.t.Context(), types.NamespacedName{Name: pod + ".shop"}, &ip); err != nil {
			return err.Error()
		}
		if ip.Spec.IPAddress != address {
			return "it says " + ip.Spec.IPAddress
		}
		return ""
	})
}

// followed creates a policy for all pods of the test, and wants these to be in its group.
func (w *world) followed(pods ...*corev1.Pod) {
	w.t.Helper()
	p := newPolicy("after", map[string]string{"app": "web"})
	w.create(p)
	w.inForce(p)
	reconciletest.Eventually(w.t, "the group of a new policy", func() string {
		ports := strings.Fields(w.nb.Ctl("--bare", "--columns=ports", "find", "Port_Group", "external_ids:namespace=shop"))
		for _, pod := range pods {
			row := strings.TrimSpace(w.nb.Ctl("--bare", "--columns=_uuid", "find", "Logical_Switch_Port", "name="+pod.Name+".shop"))
			if row == "" || !slices.Contains(ports, row) {
				return pod.Name + " is not in it"
			}
		}
		return ""
	})
}

func (w *world) restart() {
	w.t.Helper()
	w.stop()
	w.start()
}

// TestEditedAnnotationsMoveNobody is what anybody can do who may edit pods: whatever the annotations of a living pod come
// to say, and whenever the controller reads them, the pod and those it would rob keep what they have, are told the truth,
// and follow policies.
func TestEditedAnnotationsMoveNobody(t *testing.T) {
	t.Parallel()
	for name, edited := range map[string]map[string]string{
		"another's address":    {v1.AnnotationIPAddress: "10.16.0.2", v1.AnnotationMACAddress: "0a:58:0a:10:00:02"},
		"the gateway":          {v1.AnnotationIPAddress: "10.16.0.1"},
		"a free address":       {v1.AnnotationIPAddress: "10.16.7.7", v1.AnnotationMACAddress: "0a:58:0a:10:07:07"},
		"another subnet":       {v1.AnnotationIPAddress: "10.30.0.9", v1.AnnotationLogicalSwitch: "other"},
		"the join subnet":      {v1.AnnotationIPAddress: "100.64.0.9", v1.AnnotationLogicalSwitch: "join"},
		"a subnet that is not": {v1.AnnotationLogicalSwitch: "nowhere"},
		"nonsense":             {v1.AnnotationIPAddress: "ten"},
		"too long to be read":  {v1.AnnotationLogicalSwitch: strings.Repeat("net,", 50_000)},
		"no answer":            {v1.AnnotationAllocated: "", v1.AnnotationAllocatedUID: "", v1.AnnotationIPAddress: "", v1.AnnotationLogicalSwitch: ""},
	} {
		for when, away := range map[string]bool{"and restarted": false, "while away": true} {
			t.Run(name+" "+when, func(t *testing.T) {
				w := newWorld(t)
				w.create(newSubnet("other", "10.30.0.0/24"))
				w.ready("other")
				victim, thief := aged("victim", time.Hour), aged("thief", time.Minute)
				w.addressed(victim, thief)
				forge := func() {
					edit(w, thief, func(p *corev1.Pod) { maps.Copy(p.Annotations, edited) })
				}
				if away {
					w.stop()
					forge()
					w.start()
				} else {
					forge()
					w.told(thief, "10.16.0.3")
					w.restart()
				}
				w.told(thief, "10.16.0.3")
				w.told(victim, "10.16.0.2")
				w.row("Logical_Switch_Port", "thief.shop", "addresses", "0a:58:0a:10:00:03 10.16.0.3")
				w.row("Logical_Switch_Port", "victim.shop", "addresses", "0a:58:0a:10:00:02 10.16.0.2")
				w.noted("thief", "ls", "ovn-default")
				w.recorded("thief", "10.16.0.3")
				w.followed(victim, thief)
				if name != "no answer" {
					w.event("AddressKept", "shop/thief", "10.16.0.3")
				}
			})
		}
	}
}

// TestKeptIsToldOnce holds that an edit costs one Event, and not one for each look at the pod.
func TestKeptIsToldOnce(t *testing.T) {
	w := newWorld(t)
	pod := aged("web-0", time.Hour)
	w.addressed(pod)
	edit(w, pod, func(p *corev1.Pod) { p.Annotations[v1.AnnotationIPAddress] = "10.16.7.7" })
	w.told(pod, "10.16.0.2")
	told := w.Events.Take()
	for _, label := range []string{"a", "b", "c"} {
		edit(w, pod, func(p *corev1.Pod) { p.Labels["app"] = label })
	}
	w.restart()
	marker := newPod("marker")
	w.create(marker)
	w.told(marker, "10.16.0.3")
	if told = append(told, w.Events.Take()...); len(told) != 1 {
		t.Errorf("there were %q", told)
	}
}

// TestForgedAllocationsRobNobody is ten pods that cannot be scheduled, made while the controller is away with the text of an
// allocation that another pod has.
func TestForgedAllocationsRobNobody(t *testing.T) {
	w := newWorld(t)
	victim := aged("victim", time.Minute)
	w.addressed(victim)
	w.stop()
	thieves := make([]*corev1.Pod, 10)
	for i := range thieves {
		thieves[i] = aged(fmt.Sprintf("a-thief-%d", i), time.Hour, // older, and first by name
			v1.AnnotationAllocated, "true", v1.AnnotationAllocatedUID, "victim", v1.AnnotationRouted, "true",
			v1.AnnotationIPAddress, "10.16.0.2", v1.AnnotationMACAddress, "0a:58:0a:10:00:02",
			v1.AnnotationLogicalSwitch, "ovn-default", v1.AnnotationCIDR, "10.16.0.0/16", v1.AnnotationGateway, "10.16.0.1")
		thieves[i].Spec.NodeName = ""
		w.create(thieves[i])
	}
	w.start()
	w.told(victim, "10.16.0.2")
	seen := map[string]bool{"10.16.0.2": true, "10.16.0.1": true}
	for _, thief := range thieves {
		w.noted(thief.Name, "uid", thief.Name)
		_, address, _ := strings.Cut(w.addressesOf(thief.Name), " ")
		if seen[address] {
			t.Errorf("%s has %s, which is another's", thief.Name, address)
		}
		seen[address] = true
		w.told(thief, address)
	}
	w.row("Logical_Switch_Port", "victim.shop", "addresses", "0a:58:0a:10:00:02 10.16.0.2")
	w.followed(slices.Concat(thieves, []*corev1.Pod{victim})...)
	w.event("AddressKept", "shop/a-thief", "10.16.0.2 is in use by pod shop/victim")
}

// TestCopiedAnnotationsAreARequest is `kubectl debug --copy-to`: the copy runs, and the pod that was copied does not notice.
func TestCopiedAnnotationsAreARequest(t *testing.T) {
	w := newWorld(t)
	pod := aged("web-0", time.Hour)
	w.addressed(pod)
	var now corev1.Pod
	if err := w.Get(t.Context(), client.ObjectKeyFromObject(pod), &now); err != nil {
		t.Fatal(err)
	}
	twin := aged("copy", time.Minute)
	twin.Annotations = now.Annotations
	w.create(twin)
	w.told(twin, "10.16.0.3")
	w.told(pod, "10.16.0.2")
	gateway := aged("gateway", time.Minute, v1.AnnotationIPAddress, "10.16.0.1")
	w.create(gateway)
	w.event("AcquireAddressFailed", "shop/gateway", "10.16.0.1 cannot be given: it is the gateway")
	join := aged("join", time.Minute, v1.AnnotationLogicalSwitch, "join")
	w.create(join)
	w.event("AcquireAddressFailed", "shop/join", "subnet join is the nodes' own")
}

// TestRouterMACIsNobodys asks for the MAC that answers for the gateway.
func TestRouterMACIsNobodys(t *testing.T) {
	w := newWorld(t)
	mac := strings.TrimSpace(w.nb.Ctl("--bare", "--columns=mac", "find", "Logical_Router_Port", "name=ovn-cluster-ovn-default"))
	pod := aged("thief", time.Minute, v1.AnnotationMACAddress, mac)
	w.create(pod)
	w.event("AcquireAddressFailed", "shop/thief", "it is the MAC of the subnet's router")
	w.row("Logical_Switch_Port", "thief.shop", "name", "")
}

// TestDatabaseIsLost holds who has which address when the northbound database is made anew: by the IP objects, and without
// them by the answers in the annotations; a pod that came meanwhile takes no one's.
func TestDatabaseIsLost(t *testing.T) {
	t.Parallel()
	for name, objects := range map[string]bool{"the IP objects are there": true, "the IP objects are gone too": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			filler, first, second := aged("filler", time.Hour), aged("first", time.Hour), aged("second", time.Hour)
			w.addressed(filler, first, second)
			for pod, address := range map[string]string{"first": "10.16.0.3", "second": "10.16.0.4"} {
				w.recorded(pod, address)
			}
			w.remove(filler)
			w.row("Logical_Switch_Port", "filler.shop", "name", "")
			w.stop()
			w.nb.Kill()
			w.nb.Empty()
			w.nb.Restart()
			if objects {
				// What users can write says something else than the IP object.
				edit(w, first, func(p *corev1.Pod) { p.Annotations[v1.AnnotationIPAddress] = "10.16.0.4" })
			} else if err := w.DeleteAllOf(t.Context(), &v1.IP{}); err != nil {
				t.Fatal(err)
			}
			for i := range 5 {
				w.create(aged(fmt.Sprintf("a-new-%d", i), 0))
			}
			w.start()
			w.told(first, "10.16.0.3")
			w.told(second, "10.16.0.4")
			w.row("Logical_Switch_Port", "first.shop", "addresses", "0a:58:0a:10:00:03 10.16.0.3")
			w.row("Logical_Switch_Port", "second.shop", "addresses", "0a:58:0a:10:00:04 10.16.0.4")
			w.recorded("first", "10.16.0.3")
			w.followed(first, second)
		})
	}
}

// TestNodeKeepsItsAddress holds the same for nodes: what their annotations say beside the row decides nothing.
func TestNodeKeepsItsAddress(t *testing.T) {
	w := newWorld(t)
	first, second := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n2"}}
	has := func(node *corev1.Node, address string) {
		t.Helper()
		reconciletest.Eventually(t, "the address of node "+node.Name, func() string {
			if err := w.Get(t.Context(), client.ObjectKeyFromObject(node), node); err != nil {
				return err.Error()
			}
			if got := node.Annotations[v1.AnnotationIPAddress]; got != address {
				return "it is " + got
			}
			return ""
		})
	}
	w.create(first)
	has(first, "100.64.0.2")
	w.create(second)
	has(second, "100.64.0.3")
	w.stop()
	edit(w, first, func(n *corev1.Node) {
		n.Annotations[v1.AnnotationIPAddress], n.Annotations[v1.AnnotationPortName] = "100.64.0.3", "node-n2"
		n.Annotations[v1.AnnotationMACAddress] = "0a:58:64:40:00:03"
	})
	w.start()
	has(first, "100.64.0.2")
	has(second, "100.64.0.3")
	w.row("Logical_Switch_Port", "node-n1", "addresses", "0a:58:64:40:00:02 100.64.0.2")
	w.row("Logical_Switch_Port", "node-n2", "addresses", "0a:58:64:40:00:03 100.64.0.3")
}

// TestReplacedWhileAway is `kubectl replace --force` that the controller does not see: the pod of the old name that asks for
// another address gets it, and one that asks for nothing else keeps what is there.
func TestReplacedWhileAway(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		annotations []string
		want        string
	}{
		"another address": {[]string{v1.AnnotationIPAddress, "10.16.5.5"}, "10.16.5.5"},
		"another MAC":     {[]string{v1.AnnotationMACAddress, "02:00:00:00:00:07"}, "10.16.0.3"},
		"another subnet":  {[]string{v1.AnnotationLogicalSwitch, "other"}, "10.30.0.2"},
		"the same":        {[]string{v1.AnnotationIPAddress, "10.16.0.2"}, "10.16.0.2"},
		"nothing":         {nil, "10.16.0.2"},
		"its former answer": {[]string{
			v1.AnnotationAllocated, "true", v1.AnnotationAllocatedUID, "web-0", v1.AnnotationIPAddress, "10.16.0.2",
			v1.AnnotationMACAddress, "0a:58:0a:10:00:02", v1.AnnotationLogicalSwitch, "ovn-default",
		}, "10.16.0.2"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.create(newSubnet("other", "10.30.0.0/24"))
			w.ready("other")
			pod := aged("web-0", time.Hour)
			w.addressed(pod)
			w.stop()
			w.remove(pod)
			next := aged("web-0", 0, tc.annotations...)
			next.UID = "next"
			w.create(next)
			w.start()
			w.told(next, tc.want)
			w.noted("web-0", "uid", "next")
			if _, got, _ := strings.Cut(w.addressesOf("web-0"), " "); got != tc.want {
				t.Errorf("the port has %s, and the pod is told %s", got, tc.want)
			}
			w.followed(next)
		})
	}
}

// TestSubnetSpoiltWhileAway holds that a Subnet whose spec has become nonsense keeps its pods' addresses theirs.
func TestSubnetSpoiltWhileAway(t *testing.T) {
	w := newWorld(t)
	subnet := newSubnet("web", "10.30.0.0/24", "shop")
	w.create(subnet)
	w.ready("web")
	pod := aged("web-0", time.Hour)
	w.addressed(pod)
	w.stop()
	edit(w, subnet, func(s *v1.Subnet) { s.Spec.CIDRBlock = "10.30.0.0/33" })
	edit(w, pod, func(p *corev1.Pod) { p.Annotations[v1.AnnotationIPAddress] = "10.30.0.7" })
	w.start()
	w.told(pod, "10.30.0.2")
	w.followed(pod)
	edit(w, subnet, func(s *v1.Subnet) { s.Spec.CIDRBlock = "10.30.0.0/24" })
	w.ready("web")
	next := aged("a-new", 0)
	w.create(next)
	w.told(next, "10.30.0.3")
	w.row("Logical_Switch_Port", "web-0.shop", "addresses", "0a:58:0a:1e:00:02 10.30.0.2")
}

// TestPortIsBoundToItsNode holds that a pod's port can be bound by its node alone, as soon as it has one.
func TestPortIsBoundToItsNode(t *testing.T) {
	w := newWorld(t)
	pod := newPod("web-0")
	pod.Spec.NodeName = ""
	w.addressed(pod)
	w.row("Logical_Switch_Port", "web-0.shop", "options", "")
	edit(w, pod, func(p *corev1.Pod) { p.Spec.NodeName = "n1" })
	w.row("Logical_Switch_Port", "web-0.shop", "options", "requested-chassis=n1")
}
