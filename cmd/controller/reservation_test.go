package main

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
)

// newIP is what a user writes to reserve an address for a pod of the tests' namespace.
func newIP(pod, subnet, address string) *v1.IP {
	return &v1.IP{
		ObjectMeta: metav1.ObjectMeta{Name: pod + ".shop"},
		Spec:       v1.IPSpec{PodName: pod, Namespace: "shop", Subnet: subnet, V4IPAddress: address},
	}
}

// reserved waits until an IP object says that it reserves an address.
func (w *world) reserved(name, address string) {
	w.t.Helper()
	reconciletest.Eventually(w.t, "the reservation of IP "+name, func() string {
		var ip v1.IP
		if err := w.Get(w.t.Context(), types.NamespacedName{Name: name}, &ip); err != nil {
			return err.Error()
		}
		if ip.Labels[v1.LabelIPReserved] != "true" || ip.Spec.IPAddress != address || ip.Spec.V4IPAddress != address || ip.Spec.MACAddress == "" {
			return fmt.Sprintf("it is %v %+v", ip.Labels, ip.Spec)
		}
		return ""
	})
}

// recordedOn waits until an IP object names the node of the pod that has its address.
func (w *world) recordedOn(name, node string) {
	w.t.Helper()
	reconciletest.Eventually(w.t, "the node of IP "+name, func() string {
		var ip v1.IP
		if err := w.Get(w.t.Context(), types.NamespacedName{Name: name}, &ip); err != nil {
			return err.Error()
		}
		if ip.Spec.NodeName != node {
			return fmt.Sprintf("it is %q, not %q", ip.Spec.NodeName, node)
		}
		return ""
	})
}

// gone removes a pod and waits until its row is gone too.
func (w *world) gone(pod *corev1.Pod) {
	w.t.Helper()
	w.remove(pod)
	w.row("Logical_Switch_Port", pod.Name+".shop", "name", "")
}

// TestIPKeepsItsAddress is the life of a reservation: nobody but its pod gets the address, before the pod comes, when it has
// gone, and over restarts; deleting the IP object frees it, and the pod that waits for it starts.
func TestIPKeepsItsAddress(t *testing.T) {
	w := newWorld(t)
	w.create(newIP("web-0", "ovn-default", "10.16.0.2"))
	w.reserved("web-0.shop", "10.16.0.2")
	others := 2
	withheld := func() {
		t.Helper()
		for range 2 {
			others++
			pod := aged(fmt.Sprintf("other-%d", others), 0)
			w.create(pod)
			w.told(pod, fmt.Sprintf("10.16.0.%d", others))
			w.restart()
		}
	}
	withheld()
	thief := aged("thief", time.Hour, v1.AnnotationIPAddress, "10.16.0.2")
	w.create(thief)
	w.event("AcquireAddressFailed", "shop/thief", "10.16.0.2 is reserved by IP web-0.shop")

	pod := aged("web-0", 0)
	w.create(pod)
	w.told(pod, "10.16.0.2")
	w.row("Logical_Switch_Port", "web-0.shop", "addresses", "0a:58:0a:10:00:02 10.16.0.2")
	w.reserved("web-0.shop", "10.16.0.2")
	w.gone(pod)
	withheld()
	w.reserved("web-0.shop", "10.16.0.2")

	pod = aged("web-0", 0)
	pod.UID = "again"
	w.create(pod)
	w.told(pod, "10.16.0.2")
	w.reserved("web-0.shop", "10.16.0.2")
	w.recordedOn("web-0.shop", pod.Spec.NodeName)
	writes := w.Writes(&v1.IP{})
	w.restart()
	others++
	last := aged("last", 0)
	w.create(last)
	w.recorded("last", fmt.Sprintf("10.16.0.%d", others))
	w.told(pod, "10.16.0.2")
	if n := w.Writes(&v1.IP{}) - writes; n != 0 {
		t.Errorf("a restart cost %d writes of IP objects", n)
	}
	w.gone(pod)
	w.event("AcquireAddressFailed", "shop/thief", "10.16.0.2 is reserved by IP web-0.shop")
	w.remove(newIP("web-0", "", ""))
	w.told(thief, "10.16.0.2")
}

// TestIPDeletedUnderItsPod holds that the pod keeps the address until it goes, and that the address is free then.
func TestIPDeletedUnderItsPod(t *testing.T) {
	w := newWorld(t)
	w.create(newIP("web-0", "ovn-default", "10.16.0.2"))
	w.reserved("web-0.shop", "10.16.0.2")
	pod := aged("web-0", time.Hour)
	w.addressed(pod)
	w.remove(newIP("web-0", "", ""))
	w.recorded("web-0", "10.16.0.2")
	w.told(pod, "10.16.0.2")
	thief := aged("thief", 0, v1.AnnotationIPAddress, "10.16.0.2")
	w.create(thief)
	w.event("AcquireAddressFailed", "shop/thief", "10.16.0.2 is in use by pod shop/web-0")
	w.remove(pod)
	w.told(thief, "10.16.0.2")
}

// TestIPLabelledLater is a user who decides to keep the address of a pod that runs, and later not to.
func TestIPLabelledLater(t *testing.T) {
	w := newWorld(t)
	pod := aged("web-0", time.Hour)
	w.addressed(pod)
	w.recorded("web-0", "10.16.0.2")
	label := func(value string) {
		edit(w, newIP("web-0", "", ""), func(ip *v1.IP) { ip.Labels[v1.LabelIPReserved] = value })
	}
	label("true")
	w.reserved("web-0.shop", "10.16.0.2")
	w.restart()
	w.gone(pod)
	thief := aged("thief", 0, v1.AnnotationIPAddress, "10.16.0.2")
	w.create(thief)
	w.event("AcquireAddressFailed", "shop/thief", "10.16.0.2 is ") // reserved, or the pod's until the controller knows that its row has gone
	label("false")
	w.told(thief, "10.16.0.2")
	reconciletest.Eventually(t, "the end of the record", func() string {
		if err := w.Get(t.Context(), types.NamespacedName{Name: "web-0.shop"}, &v1.IP{}); !errors.IsNotFound(err) {
			return fmt.Sprint(err)
		}
		return ""
	})
}

// TestIPIsKnownWithoutTheDatabase makes the database anew while the controller is away: the address is its pod's all the same.
func TestIPIsKnownWithoutTheDatabase(t *testing.T) {
	t.Parallel()
	for name, started := range map[string]bool{"while its pod is away": false, "while its pod runs": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.create(newIP("web-0", "ovn-default", "10.16.0.2"))
			w.reserved("web-0.shop", "10.16.0.2")
			pod := aged("web-0", 0)
			if started {
				w.addressed(pod)
			}
			w.stop()
			w.nb.Kill()
			w.nb.Empty()
			w.nb.Restart()
			thief := aged("thief", time.Hour, v1.AnnotationIPAddress, "10.16.0.2")
			other := aged("other", time.Hour)
			w.create(thief, other)
			w.start()
			w.told(other, "10.16.0.3")
			w.event("AcquireAddressFailed", "shop/thief", "10.16.0.2 is")
			if !started {
				w.create(pod)
			}
			w.told(pod, "10.16.0.2")
			w.gone(pod)
			w.reserved("web-0.shop", "10.16.0.2")
		})
	}
}

// TestIPOfAnySubnetAndAddress holds what a reservation may leave open, and what it decides.
func TestIPOfAnySubnetAndAddress(t *testing.T) {
	w := newWorld(t)
	w.create(newIP("web-0", "ovn-default", ""))
	w.reserved("web-0.shop", "10.16.0.2")

	elsewhere := newIP("web-1", "roomy", "10.31.0.9") // a Subnet to which the namespace is not bound, and that comes later
	w.create(elsewhere)
	w.event("NotReserved", "web-1.shop", "subnet roomy does not exist")
	roomy(w, nil)
	w.reserved("web-1.shop", "10.31.0.9")
	pod := aged("web-1", 0)
	w.create(pod)
	w.told(pod, "10.31.0.9")
	w.row("Logical_Switch_Port", "web-1.shop", "addresses", "0a:58:0a:1f:00:09 10.31.0.9")

	late := aged("late", 0, v1.AnnotationLogicalSwitch, "nowhere") // it waits, and is given an address by its IP object
	w.create(late)
	w.event("AcquireAddressFailed", "shop/late", "nowhere")
	w.create(newIP("late", "roomy", "10.31.0.7"))
	w.told(late, "10.31.0.7")

	edit(w, newIP("web-0", "", ""), func(ip *v1.IP) { ip.Spec.IPAddress, ip.Spec.V4IPAddress, ip.Spec.MACAddress = "", "10.16.0.8", "" })
	w.reserved("web-0.shop", "10.16.0.8")
	next := aged("next", 0, v1.AnnotationIPAddress, "10.16.0.2")
	w.create(next)
	w.told(next, "10.16.0.2")

	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}
	w.create(&v1.IP{ObjectMeta: metav1.ObjectMeta{Name: "node-n1"}, Spec: v1.IPSpec{PodName: "n1", Subnet: "join", V4IPAddress: "100.64.0.7"}})
	w.reserved("node-n1", "100.64.0.7")
	w.create(node)
	w.row("Logical_Switch_Port", "node-n1", "addresses", "0a:58:64:40:00:07 100.64.0.7")
}

// TestIPThatCannotBeHad holds that an IP object that makes no sense, or wants what is another's, says so in an Event and
// harms nothing that is in use.
func TestIPThatCannotBeHad(t *testing.T) {
	w := newWorld(t)
	victim := aged("victim", time.Hour)
	w.addressed(victim)
	w.recorded("victim", "10.16.0.2")
	for name, tc := range map[string]struct {
		change func(*v1.IP)
		why    string
	}{
		"a pod's address":           {func(ip *v1.IP) { ip.Spec.V4IPAddress = "10.16.0.2" }, "10.16.0.2 is in use by pod shop/victim"},
		"a pod's MAC":               {func(ip *v1.IP) { ip.Spec.MACAddress = "0a:58:0a:10:00:02" }, "is in use by pod shop/victim"},
		"the gateway":               {func(ip *v1.IP) { ip.Spec.V4IPAddress = "10.16.0.1" }, "it is the gateway"},
		"outside":                   {func(ip *v1.IP) { ip.Spec.V4IPAddress = "10.99.0.1" }, "outside 10.16.0.0/16"},
		"another name":              {func(ip *v1.IP) { ip.Name = "my-address" }, "must have the name web-0.shop"},
		"no pod":                    {func(ip *v1.IP) { ip.Spec.PodName, ip.Spec.Namespace = "", "" }, "must have the name"},
		"no subnet":                 {func(ip *v1.IP) { ip.Spec.Subnet = "" }, "spec.subnet names none"},
		"the nodes' subnet":         {func(ip *v1.IP) { ip.Spec.Subnet, ip.Spec.V4IPAddress = "join", "100.64.0.9" }, "subnet join is the nodes' own"},
		"no address":                {func(ip *v1.IP) { ip.Spec.V4IPAddress = "ten" }, `"ten" is not an address`},
		"two addresses that differ": {func(ip *v1.IP) { ip.Spec.IPAddress = "10.16.0.9" }, "spec.ipAddress says 10.16.0.9"},
		"a node on a pod's subnet": {func(ip *v1.IP) {
			ip.Name, ip.Spec.PodName, ip.Spec.Namespace = "node-n9", "n9", ""
		}, "subnet ovn-default is not the nodes' own"},
	} {
		ip := newIP("web-0", "ovn-default", "10.16.0.7")
		tc.change(ip)
		w.create(ip)
		t.Log(name)
		w.event("NotReserved", " "+ip.Name+":", tc.why)
		if name == "a pod's address" {
			w.restart()
			w.told(victim, "10.16.0.2")
		}
		w.remove(ip)
	}
	w.row("Logical_Switch_Port", "victim.shop", "addresses", "0a:58:0a:10:00:02 10.16.0.2")
	w.create(newIP("web-0", "ovn-default", "10.16.0.2"))
	w.event("NotReserved", "web-0.shop", "10.16.0.2 is in use by pod shop/victim")
	w.gone(victim)
	w.reserved("web-0.shop", "10.16.0.2")
}

// TestIPDecidesBeforeThePodsAnnotations holds that what an IP object reserves for a pod is what the pod gets.
func TestIPDecidesBeforeThePodsAnnotations(t *testing.T) {
	w := newWorld(t)
	w.create(newIP("web-0", "ovn-default", "10.16.0.2"))
	w.reserved("web-0.shop", "10.16.0.2")
	pod := aged("web-0", 0, v1.AnnotationIPAddress, "10.16.0.9")
	w.create(pod)
	w.told(pod, "10.16.0.2")
	w.event("AddressKept", "shop/web-0", "10.16.0.2")
	w.stop()
	w.remove(pod)
	next := aged("web-0", 0, v1.AnnotationIPAddress, "10.16.0.5")
	next.UID = "next"
	w.create(next)
	w.start()
	w.told(next, "10.16.0.2")
	w.noted("web-0", "uid", "next")
}
