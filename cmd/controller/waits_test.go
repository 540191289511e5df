package main

import (
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
)

// crowded is a Subnet with one address to give, 10.30.0.2, which pod first has.
func crowded(w *world, namespaces ...string) (*v1.Subnet, *corev1.Pod) {
	w.t.Helper()
	subnet := newSubnet("crowded", "10.30.0.0/29", namespaces...)
	subnet.Spec.ExcludeIps = []string{"10.30.0.3..10.30.0.6"}
	w.create(subnet)
	w.ready("crowded")
	first := aged("first", time.Hour, v1.AnnotationLogicalSwitch, "crowded")
	w.addressed(first)
	return subnet, first
}

// roomy is a Subnet with addresses to give, of which the first is 10.31.0.2.
func roomy(w *world, change func(*v1.SubnetSpec)) *v1.Subnet {
	w.t.Helper()
	subnet := newSubnet("roomy", "10.31.0.0/24")
	if change != nil {
		change(&subnet.Spec)
	}
	w.create(subnet)
	w.ready("roomy")
	return subnet
}

// red selects the namespaces of team red.
var red = []metav1.LabelSelector{{MatchLabels: map[string]string{"team": "red"}}}

// shop is the tests' namespace.
func shop() *corev1.Namespace { return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}} }

// TestWaitingPodStartsByWhatHelpsIt holds that a pod without addresses is looked at again when anything changes that could
// give it some, and by nothing but that: nobody touches the pod.
func TestWaitingPodStartsByWhatHelpsIt(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		// prepare makes a world in which the pod gets nothing, and returns what helps it.
		prepare func(w *world) (help func())
		asks    []string
		why     string // of the Event that the pod gets at first
		want    string
	}{
		"an address is freed": {why: "is full", want: "10.30.0.2", prepare: func(w *world) func() {
			_, first := crowded(w, "shop")
			return func() { w.remove(first) }
		}},
		"a Subnet for its namespace comes": {why: "is full", want: "10.31.0.2", prepare: func(w *world) func() {
			crowded(w, "shop")
			return func() { w.create(newSubnet("roomy", "10.31.0.0/24", "shop")) }
		}},
		"a Subnet is bound to its namespace": {why: "is full", want: "10.31.0.2", prepare: func(w *world) func() {
			crowded(w, "shop")
			more := roomy(w, nil)
			return func() { edit(w, more, func(s *v1.Subnet) { s.Spec.Namespaces = []string{"lab", "shop"} }) }
		}},
		"a Subnet comes to select its namespace": {why: "is full", want: "10.31.0.2", prepare: func(w *world) func() {
			crowded(w, "shop")
			more := roomy(w, nil)
			edit(w, shop(), func(ns *corev1.Namespace) { ns.Labels = map[string]string{"team": "red"} })
			return func() { edit(w, more, func(s *v1.Subnet) { s.Spec.NamespaceSelectors = red }) }
		}},
		"its namespace is relabelled": {why: "is full", want: "10.31.0.2", prepare: func(w *world) func() {
			crowded(w, "shop")
			roomy(w, func(s *v1.SubnetSpec) { s.NamespaceSelectors = red })
			return func() { edit(w, shop(), func(ns *corev1.Namespace) { ns.Labels = map[string]string{"team": "red"} }) }
		}},
		"its Subnet is bound to its namespace no more": {why: "is full", want: "10.16.0.2", prepare: func(w *world) func() {
			full, _ := crowded(w, "shop")
			return func() { edit(w, full, func(s *v1.Subnet) { s.Spec.Namespaces = nil }) }
		}},
		"its Vpc's default is another": {why: "is full", want: "10.31.0.2", prepare: func(w *world) func() {
			crowded(w)
			roomy(w, nil)
			vpc := newTenant(v1.VpcSpec{Namespaces: []string{"shop"}, DefaultSubnet: "crowded"})
			w.create(vpc)
			w.row("Logical_Router", vpc.Name, "name", vpc.Name) // the controller knows of the Vpc
			return func() { edit(w, vpc, func(v *v1.Vpc) { v.Spec.DefaultSubnet = "roomy" }) }
		}},
		"a Vpc gets its namespace": {why: "is full", want: "10.31.0.2", prepare: func(w *world) func() {
			fillDefault(w)
			roomy(w, nil)
			vpc := newTenant(v1.VpcSpec{DefaultSubnet: "roomy"})
			w.create(vpc)
			return func() { edit(w, vpc, func(v *v1.Vpc) { v.Spec.Namespaces = []string{"shop"} }) }
		}},
		"a Vpc for its namespace comes": {why: "is full", want: "10.31.0.2", prepare: func(w *world) func() {
			fillDefault(w)
			roomy(w, nil)
			return func() { w.create(newTenant(v1.VpcSpec{Namespaces: []string{"shop"}, DefaultSubnet: "roomy"})) }
		}},
		"excludeIps are shortened": {why: "is full", want: "10.30.0.3", prepare: func(w *world) func() {
			full, _ := crowded(w, "shop")
			return func() { edit(w, full, func(s *v1.Subnet) { s.Spec.ExcludeIps = []string{"10.30.0.4..10.30.0.6"} }) }
		}},
		"the range is grown": {why: "is full", want: "10.30.0.8", prepare: func(w *world) func() {
			full, _ := crowded(w, "shop")
			return func() { edit(w, full, func(s *v1.Subnet) { s.Spec.CIDRBlock = "10.30.0.0/28" }) }
		}},
		"the range is grown to the address that it asks for": {
			asks: []string{v1.AnnotationIPAddress, "10.30.0.9"}, why: "outside 10.30.0.0/29", want: "10.30.0.9",
			prepare: func(w *world) func() {
				full, _ := crowded(w, "shop")
				return func() { edit(w, full, func(s *v1.Subnet) { s.Spec.CIDRBlock = "10.30.0.0/28" }) }
			},
		},
		"the address that it asks for is freed": {
			asks: []string{v1.AnnotationIPAddress, "10.30.0.2"}, why: "10.30.0.2 is in use by pod shop/first", want: "10.30.0.2",
			prepare: func(w *world) func() {
				_, first := crowded(w, "shop")
				return func() { w.remove(first) }
			},
		},
		"the IP that reserves the address that it asks for is deleted": {
			asks: []string{v1.AnnotationIPAddress, "10.16.0.9"}, why: "10.16.0.9 is reserved by IP web-0.shop", want: "10.16.0.9",
			prepare: func(w *world) func() {
				ip := newIP("web-0", "ovn-default", "10.16.0.9")
				w.create(ip)
				w.reserved("web-0.shop", "10.16.0.9")
				return func() { w.remove(ip) }
			},
		},
		"the IP that reserves the last address is deleted": {why: "is full", want: "10.30.0.2", prepare: func(w *world) func() {
			_, first := crowded(w, "shop")
			ip := newIP("web-0", "crowded", "10.30.0.2")
			w.create(ip)
			w.event("NotReserved", "10.30.0.2 is in use by pod shop/first")
			w.remove(first)
			w.reserved("web-0.shop", "10.30.0.2")
			return func() { w.remove(ip) }
		}},
		"its Subnet's spec is mended": {
			asks: []string{v1.AnnotationLogicalSwitch, "roomy"}, why: "is not valid", want: "10.31.0.2",
			prepare: func(w *world) func() {
				broken := newSubnet("roomy", "10.31.0.0/33")
				w.create(broken)
				return func() { edit(w, broken, func(s *v1.Subnet) { s.Spec.CIDRBlock = "10.31.0.0/24" }) }
			},
		},
		"what its Subnet overlaps goes": {
			asks: []string{v1.AnnotationLogicalSwitch, "late"}, why: "overlaps 10.31.0.0/24 of subnet roomy", want: "10.31.0.2",
			prepare: func(w *world) func() {
				more := roomy(w, nil)
				w.create(newSubnet("late", "10.31.0.0/16")) // the pod comes before anybody has judged it, or just after
				return func() { w.remove(more) }
			},
		},
		"its Subnet comes": {
			asks: []string{v1.AnnotationLogicalSwitch, "roomy"}, why: "does not exist", want: "10.31.0.2",
			prepare: func(w *world) func() {
				return func() { w.create(newSubnet("roomy", "10.31.0.0/24")) }
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.startsBy(tc.prepare(w), tc.asks, tc.why, tc.want)
		})
	}
}

// fillDefault leaves no address of the default Subnet to give.
func fillDefault(w *world) {
	w.t.Helper()
	subnet := newSubnet("ovn-default", "")
	edit(w, subnet, func(s *v1.Subnet) { s.Spec.ExcludeIps = []string{"10.16.0.1..10.16.255.254"} })
	w.ready("ovn-default")
}

// newTenant is a Vpc of users.
func newTenant(spec v1.VpcSpec) *v1.Vpc {
	return &v1.Vpc{ObjectMeta: metav1.ObjectMeta{Name: "tenant", Generation: 1}, Spec: spec}
}

// looks is how often a controller has looked at any key. controller-runtime counts those of all worlds together, so that the
// caller's has to be alone.
func (w *world) looks(controller string) (n float64) {
	w.t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "controller_runtime_reconcile_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			if hasLabel(m, "controller", controller) {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

func hasLabel(m *dto.Metric, name, value string) bool {
	for _, l := range m.GetLabel() {
		if l.GetName() == name && l.GetValue() == value {
			return true
		}
	}
	return false
}

// TestPodsWithAddressesAreLeftAlone holds that what wakes those who wait costs the others nothing.
func TestPodsWithAddressesAreLeftAlone(t *testing.T) {
	w := loneWorld(t)
	full, _ := crowded(w, "shop")
	for _, name := range []string{"a", "b", "c", "d"} {
		w.addressed(aged(name, 0, v1.AnnotationLogicalSwitch, "ovn-default"))
	}
	late := aged("late", 0)
	w.create(late)
	w.event("AcquireAddressFailed", "shop/late", "is full")
	before := w.looks("pod")
	if before == 0 {
		t.Fatal("nothing was counted")
	}
	vpc := newTenant(v1.VpcSpec{Namespaces: []string{"lab"}, DefaultSubnet: "roomy"})
	w.create(vpc)
	more := roomy(w, func(s *v1.SubnetSpec) { s.Namespaces, s.NamespaceSelectors = []string{"lab"}, red })
	edit(w, vpc, func(v *v1.Vpc) { v.Spec.Namespaces = []string{"store"} })
	edit(w, more, func(s *v1.Subnet) { s.Spec.Namespaces = []string{"lab", "store"} })
	w.ready("roomy")
	if n := w.looks("pod") - before; n != 0 {
		t.Errorf("what others have to do with cost %v looks at pods", n)
	}
	edit(w, full, func(s *v1.Subnet) { s.Spec.ExcludeIps = []string{"10.30.0.4..10.30.0.6"} })
	w.told(late, "10.30.0.3")
	// One for each event that could have helped, and those of the pod's own edits.
	if n := w.looks("pod") - before; n > 8 {
		t.Errorf("the start of one pod cost %v looks at pods", n)
	}
}

// startsBy has a pod with some annotations wait, which an Event explains, until something helps it.
func (w *world) startsBy(help func(), asks []string, why, want string) {
	w.t.Helper()
	pod := aged("late", 0, asks...)
	w.create(pod)
	w.event("AcquireAddressFailed", "shop/late", why)
	help()
	w.told(pod, want)
}
