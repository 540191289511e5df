package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
)

// newIPPool is an IPPool of addresses with commas between, for some namespaces or for all.
func newIPPool(name, subnet, ips string, namespaces ...string) *v1.IPPool {
	return &v1.IPPool{
		ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 1, CreationTimestamp: metav1.NewTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))},
		Spec:       v1.IPPoolSpec{Subnet: subnet, IPs: strings.Split(ips, ","), Namespaces: namespaces},
	}
}

// poolIs waits until the condition of an IPPool reads "Status Reason".
func (w *world) poolIs(name string, kind v1.ConditionType, want string) {
	w.t.Helper()
	reconciletest.Eventually(w.t, fmt.Sprintf("%s %s of IPPool %s", kind, want, name), func() string {
		p := now(w, newIPPool(name, "", ""))
		c := v1.FindCondition(p.Status.Conditions, kind)
		if c == nil {
			return "there is no such condition"
		}
		if got := string(c.Status) + " " + c.Reason; got != want || c.ObservedGeneration != p.Generation {
			return fmt.Sprintf("it is %s of generation %d, now %d: %s", got, c.ObservedGeneration, p.Generation, c.Message)
		}
		return ""
	})
}

// pooled creates IPPools and waits until they are in force.
func (w *world) pooled(pools ...*v1.IPPool) {
	w.t.Helper()
	for _, p := range pools {
		w.create(p)
		w.poolIs(p.Name, v1.ConditionReady, "True Ready")
	}
}

// poolUsage waits until the status of an IPPool says how many IPv4 addresses are in use, and which are free.
func (w *world) poolUsage(name string, using float64, free string) {
	w.t.Helper()
	reconciletest.Eventually(w.t, "the usage of IPPool "+name, func() string {
		st := now(w, newIPPool(name, "", "")).Status
		if float64(st.V4UsingIPs) != using || st.V4AvailableIPRange != free {
			return fmt.Sprintf("%v are in use, and %s are free", st.V4UsingIPs, st.V4AvailableIPRange)
		}
		return ""
	})
}

// available waits until a Subnet says how many IPv4 addresses it has to give that are in no pool.
func (w *world) available(subnet string, want float64) {
	w.t.Helper()
	reconciletest.Eventually(w.t, "what subnet "+subnet+" has to give", func() string {
		if got := now(w, newSubnet(subnet, "")).Status.V4AvailableIPs; float64(got) != want {
			return fmt.Sprintf("it is %v, not %v", got, want)
		}
		return ""
	})
}

// addresses waits for the members of an Address_Set; none is a set that is not there.
func (w *world) addresses(set string, want ...string) {
	w.t.Helper()
	reconciletest.Eventually(w.t, "the members of Address_Set "+set, func() string {
		got := strings.Fields(w.nb.Ctl("--bare", "--columns=addresses", "find", "Address_Set", "name="+set))
		slices.Sort(got)
		if !slices.Equal(got, want) {
			return fmt.Sprintf("they are %v", got)
		}
		return ""
	})
}

// inPool is the annotation of a pod that asks for addresses of IPPools, or for one of some addresses.
func inPool(wish string) []string { return []string{v1.AnnotationIPPool, wish} }

func TestIPPool(t *testing.T) {
	w := newWorld(t)
	pool := newIPPool("front-pool", "ovn-default", "10.16.0.2,10.16.0.10..10.16.0.11")
	pool.Spec.EnableAddressSet = true
	w.pooled(pool)
	w.addresses("front.pool", "10.16.0.10/31", "10.16.0.2")
	w.available("ovn-default", 1<<16-3-3) // without the network's, the broadcast, the gateway and the pool's
	w.addressed(newPod("other"))
	first, second := newPod("first", inPool("front-pool")...), newPod("second", inPool("front-pool")...)
	w.addressed(first, second)
	for pod, want := range map[string]string{"other": "10.16.0.3", "first": "10.16.0.2", "second": "10.16.0.10"} {
		if got := w.address(newPod(pod)); got != want {
			t.Errorf("pod %s has %s, and should have %s", pod, got, want)
		}
	}
	w.poolUsage("front-pool", 2, "10.16.0.11")
	w.usage("ovn-default", 3)
	w.checkQuietRestart()
	w.remove(first)
	w.poolUsage("front-pool", 1, "10.16.0.2,10.16.0.11")
	edit(w, pool, func(p *v1.IPPool) { p.Spec.EnableAddressSet, p.Spec.IPs = false, []string{"10.16.0.10/30"} })
	w.addresses("front.pool")
	w.poolUsage("front-pool", 1, "10.16.0.8-10.16.0.9,10.16.0.11")
	w.available("ovn-default", 1<<16-3-4-1)
}

// TestIPPoolOfNamespaces holds that the pods of a namespace get addresses of its pools, the oldest first, and nobody else.
func TestIPPoolOfNamespaces(t *testing.T) {
	w := newWorld(t)
	w.create(newSubnet("web", "10.30.0.0/24"), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "lab"}})
	w.ready("web")
	second := newIPPool("a-second", "web", "10.30.0.20", "shop")
	second.CreationTimestamp = metav1.NewTime(second.CreationTimestamp.Add(time.Hour))
	w.pooled(newIPPool("b-first", "web", "10.30.0.10", "shop"), second)
	reconciletest.Eventually(t, "the pools of namespace shop", func() string {
		if got := now(w, shop()).Annotations[v1.AnnotationIPPool]; got != "b-first,a-second" {
			return "they are " + got
		}
		return ""
	})
	first, next := newPod("m-0"), newPod("m-1")
	w.create(first)
	w.told(first, "10.30.0.10")
	w.create(next)
	w.told(next, "10.30.0.20")
	late := newPod("m-2")
	w.create(late)
	w.event("AcquireAddressFailed", "shop/m-2", "IPPool b-first, a-second of subnet web is full")
	lab := newPod("lab-0", v1.AnnotationLogicalSwitch, "web")
	lab.Namespace = "lab"
	w.create(lab)
	if got := w.address(lab); got != "10.30.0.2" {
		t.Errorf("a pod of another namespace has %s", got)
	}
	w.remove(next)
	w.told(late, "10.30.0.20")
}

// TestIPPoolIsNoStrangers holds that nobody gets addresses of a pool that is another namespace's, or of another Subnet than the
// pod names, and is told so.
func TestIPPoolIsNoStrangers(t *testing.T) {
	w := newWorld(t)
	w.create(newSubnet("web", "10.30.0.0/24"))
	w.ready("web")
	w.pooled(newIPPool("theirs", "ovn-default", "10.16.0.10..10.16.0.19", "lab"), newIPPool("webs", "web", "10.30.0.10"))
	for wish, why := range map[string]string{
		"theirs": "IPPool theirs is that of namespace lab", "none": "IPPool none does not exist",
		"10.16.0.10": "10.16.0.10 cannot be given: it is of IPPool theirs, which is that of namespace lab",
		"10.30.0.10": "outside 10.16.0.0/16", "webs,10.30.0.11": "not both",
	} {
		pod := newPod("by-"+strings.Map(func(r rune) rune {
			if r == '.' || r == ',' {
				return '-'
			}
			return r
		}, wish), inPool(wish)...)
		w.create(pod)
		w.event("AcquireAddressFailed", "shop/"+pod.Name, why)
	}
	static := newPod("static", v1.AnnotationIPAddress, "10.16.0.15")
	w.create(static)
	w.event("AcquireAddressFailed", "shop/static", "it is of IPPool theirs")
	w.create(newPod("elsewhere", append(inPool("webs"), v1.AnnotationLogicalSwitch, "ovn-default")...))
	w.event("AcquireAddressFailed", "shop/elsewhere", "IPPool webs is of subnet web, which the pod does not name")
	edit(w, newIPPool("theirs", "", ""), func(p *v1.IPPool) { p.Spec.Namespaces = []string{"lab", "shop"} })
	w.told(static, "10.16.0.15")
}

// TestPodsChooseAmongAddresses holds what pods get that list addresses: the first that is free, in their order, and each pod of a
// StatefulSet the one of its number.
func TestPodsChooseAmongAddresses(t *testing.T) {
	w := newWorld(t)
	list := inPool("10.16.0.30,10.16.0.20")
	first, second, third := newPod("first", list...), newPod("second", list...), newPod("third", list...)
	w.create(first)
	w.told(first, "10.16.0.30")
	w.create(second)
	w.told(second, "10.16.0.20")
	w.create(third)
	w.event("AcquireAddressFailed", "shop/third", "10.16.0.30 is in use by pod shop/first, 10.16.0.20 is in use by pod shop/second")
	w.remove(second)
	w.told(third, "10.16.0.20")
	for i, want := range []string{"10.16.0.40", "10.16.0.41"} {
		pod := newPod(fmt.Sprintf("db-%d", 1-i), inPool("10.16.0.41,10.16.0.40")...)
		pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "db", UID: "db", Controller: new(bool)}}
		*pod.OwnerReferences[0].Controller = true
		w.create(pod)
		w.told(pod, want)
	}
}

// TestWaitingPodStartsByItsIPPool is TestWaitingPodStartsByWhatHelpsIt for IPPools.
func TestWaitingPodStartsByItsIPPool(t *testing.T) {
	t.Parallel()
	full := func(w *world, namespaces ...string) *v1.IPPool {
		pool := newIPPool("full", "ovn-default", "10.16.0.10", namespaces...)
		w.pooled(pool)
		w.addressed(newPod("first", inPool("full")...))
		return pool
	}
	for name, tc := range map[string]struct {
		prepare func(w *world) (help func())
		asks    []string
		why     string
		want    string
	}{
		"an address of it is freed": {asks: inPool("full"), why: "IPPool full of subnet ovn-default is full", want: "10.16.0.10", prepare: func(w *world) func() {
			full(w)
			return func() { w.remove(newPod("first")) }
		}},
		"it grows": {asks: inPool("full"), why: "is full", want: "10.16.0.20", prepare: func(w *world) func() {
			pool := full(w)
			return func() { edit(w, pool, func(p *v1.IPPool) { p.Spec.IPs = append(p.Spec.IPs, "10.16.0.20") }) }
		}},
		"it comes": {asks: inPool("late-pool"), why: "IPPool late-pool does not exist", want: "10.16.0.30", prepare: func(w *world) func() {
			return func() { w.create(newIPPool("late-pool", "ovn-default", "10.16.0.30")) }
		}},
		"its Subnet comes": {asks: inPool("early"), why: "subnet roomy does not exist", want: "10.31.0.30", prepare: func(w *world) func() {
			w.create(newIPPool("early", "roomy", "10.31.0.30"))
			w.poolIs("early", v1.ConditionReady, "False SubnetNotFound")
			return func() { w.create(newSubnet("roomy", "10.31.0.0/24")) }
		}},
		"its second choice comes": {asks: inPool("full,more"), why: "is full", want: "10.16.0.30", prepare: func(w *world) func() {
			full(w)
			return func() { w.create(newIPPool("more", "ovn-default", "10.16.0.30")) }
		}},
		"its namespace has it no more": {why: "is full", want: "10.16.0.2", prepare: func(w *world) func() {
			pool := full(w, "shop")
			return func() { edit(w, pool, func(p *v1.IPPool) { p.Spec.Namespaces = nil }) }
		}},
		"its namespace gets one": {why: "subnet ovn-default (10.16.0.0/16) is full", want: "10.31.0.30", prepare: func(w *world) func() {
			fillDefault(w)
			w.create(newSubnet("roomy", "10.31.0.0/24"))
			w.ready("roomy")
			return func() { w.create(newIPPool("roomy-pool", "roomy", "10.31.0.30", "shop")) }
		}},
		"the pool of the Subnet's last addresses ends": {why: "is full", want: "10.31.0.2", prepare: func(w *world) func() {
			w.create(newSubnet("small", "10.31.0.0/29", "shop"))
			w.ready("small")
			pool := newIPPool("all", "small", "10.31.0.0/29")
			w.pooled(pool)
			return func() { w.remove(pool) }
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.startsBy(tc.prepare(w), tc.asks, tc.why, tc.want)
		})
	}
}

// spoiltPools are edits of IPPool front, 10.16.0.10..10.16.0.13 of ovn-default, that must not come into force.
var spoiltPools = map[string]struct {
	ips    string
	reason string
}{
	"no such range":      {"10.16.0.13..10.16.0.10", v1.ReasonInvalidIPs},
	"two families":       {"10.16.0.10..fd00::1", v1.ReasonInvalidIPs},
	"no address":         {"ten", v1.ReasonInvalidIPs},
	"nothing":            {"", v1.ReasonInvalidIPs},
	"outside":            {"10.99.0.10", v1.ReasonOutsideCIDR},
	"another's, in part": {"10.16.0.10..10.16.0.20", v1.ReasonOverlap},
}

// TestSpoiltIPPoolStaysInForce holds who has which addresses after an edit that must not come into force, whenever the controller
// reads it: pods keep theirs, new ones get the pool's, and nobody else does.
func TestSpoiltIPPoolStaysInForce(t *testing.T) {
	t.Parallel()
	for name, tc := range spoiltPools {
		for when, away := range map[string]bool{"and restarted": false, "while away": true} {
			t.Run(name+" "+when, func(t *testing.T) {
				w := newWorld(t)
				pool := newIPPool("front", "ovn-default", "10.16.0.10..10.16.0.13")
				pool.Spec.EnableAddressSet = true
				w.pooled(pool, newIPPool("rival", "ovn-default", "10.16.0.20"))
				first := aged("m-0", time.Hour, inPool("front")...)
				w.addressed(first)
				spoil := func() { edit(w, pool, func(p *v1.IPPool) { p.Spec.IPs = []string{tc.ips} }) }
				w.editedAndRestarted(away, spoil, func() { w.poolIs("front", v1.ConditionValidated, "False "+tc.reason) })
				w.addresses("front", "10.16.0.10/31", "10.16.0.12/31")
				w.told(first, "10.16.0.10")
				next := aged("a-new", 0, inPool("front")...)
				w.create(next)
				w.told(next, "10.16.0.11")
				w.create(newIPPool("late", "ovn-default", "10.16.0.13"))
				w.poolIs("late", v1.ConditionValidated, "False Overlap")
				edit(w, pool, func(p *v1.IPPool) { p.Spec.IPs = []string{"10.16.0.11..10.16.0.12"} })
				w.poolIs("front", v1.ConditionReady, "True Ready")
				w.poolIs("late", v1.ConditionReady, "True Ready")
				w.told(first, "10.16.0.10")
				w.poolUsage("front", 1, "10.16.0.12")
			})
		}
	}
}

// TestIPPoolVanishesUnderPods holds that pods keep their addresses whatever becomes of their pool, and that nobody else gets them.
func TestIPPoolVanishesUnderPods(t *testing.T) {
	w := newWorld(t)
	pool := newIPPool("front", "ovn-default", "10.16.0.2..10.16.0.3")
	w.pooled(pool)
	first, second := newPod("first", inPool("front")...), newPod("second", inPool("front")...)
	w.addressed(first, second)
	w.remove(pool)
	w.poolIs("front", v1.ConditionReady, "False InUse")
	if c := v1.FindCondition(now(w, pool).Status.Conditions, v1.ConditionReady); !strings.Contains(c.Message, "pod shop/first, pod shop/second") {
		t.Errorf("those in the way are not named: %s", c.Message)
	}
	late := newPod("late", inPool("front")...)
	w.create(late)
	w.event("AcquireAddressFailed", "shop/late", "IPPool front is being deleted")
	edit(w, pool, func(p *v1.IPPool) { p.Finalizers = nil }) // by force
	w.told(first, "10.16.0.2")
	w.addressed(newPod("other"))
	w.restart()
	another := newPod("another")
	w.create(another)
	for pod, want := range map[*corev1.Pod]string{first: "10.16.0.2", second: "10.16.0.3", newPod("other"): "10.16.0.4", another: "10.16.0.5"} {
		w.told(pod, want)
	}
}

// TestDeletedIPPoolGoesWithItsLastPod holds that a pool which nobody uses any more goes, and another one may have its addresses.
func TestDeletedIPPoolGoesWithItsLastPod(t *testing.T) {
	w := newWorld(t)
	pool := newIPPool("front", "ovn-default", "10.16.0.2")
	w.pooled(pool)
	pod := newPod("first", inPool("front")...)
	w.addressed(pod)
	w.create(newIPPool("next", "ovn-default", "10.16.0.2"))
	w.poolIs("next", v1.ConditionValidated, "False Overlap")
	w.remove(pool)
	w.poolIs("front", v1.ConditionReady, "False InUse")
	w.restart()
	w.remove(pod)
	reconciletest.Eventually(t, "the end of IPPool front", func() string {
		if err := w.Get(t.Context(), client.ObjectKeyFromObject(pool), pool); !errors.IsNotFound(err) {
			return fmt.Sprintf("the API server says %v", err)
		}
		return ""
	})
	w.poolIs("next", v1.ConditionReady, "True Ready")
}
