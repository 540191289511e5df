package main

import (
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
)

// newStatefulSet is one that wants web-0 and web-1.
func newStatefulSet() *appsv1.StatefulSet {
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "set"},
		Spec:       appsv1.StatefulSetSpec{Replicas: ptr.To[int32](2)},
	}
}

// podOf is a pod of the tests' StatefulSet.
func podOf(name, uid string) *corev1.Pod {
	pod := aged(name, time.Hour)
	pod.UID = types.UID(uid)
	pod.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: "apps/v1", Kind: "StatefulSet", Name: "web", UID: "set", Controller: ptr.To(true),
	}}
	return pod
}

// unrecorded waits until there is no IP object of a pod.
func (w *world) unrecorded(pod string) {
	w.t.Helper()
	reconciletest.Eventually(w.t, "the end of the record of pod "+pod, func() string {
		if err := w.Get(w.t.Context(), types.NamespacedName{Name: pod + ".shop"}, &v1.IP{}); !errors.IsNotFound(err) {
			return fmt.Sprintf("the API server says %v", err)
		}
		return ""
	})
}

// without is a pod of the StatefulSet that has an address, has gone, and whose address another pod asks for in vain.
func without(w *world) (set *appsv1.StatefulSet, thief *corev1.Pod) {
	w.t.Helper()
	set = newStatefulSet()
	w.create(set)
	pod := podOf("web-1", "before")
	w.addressed(pod)
	w.recorded("web-1", "10.16.0.2")
	w.gone(pod)
	thief = aged("thief", 0, v1.AnnotationIPAddress, "10.16.0.2", v1.AnnotationLogicalSwitch, "ovn-default")
	w.create(thief)
	w.event("AcquireAddressFailed", "shop/thief", "10.16.0.2 is")
	return set, thief
}

// TestStatefulSetsPodKeepsItsAddress holds that the next pod of the name gets what the one before it had, whatever happens
// while there is none, and that the record stays.
func TestStatefulSetsPodKeepsItsAddress(t *testing.T) {
	t.Parallel()
	for name, meanwhile := range map[string]func(*world){
		"nothing":                       func(*world) {},
		"the controller is restarted":   (*world).restart,
		"the database is lost":          func(w *world) { w.stop(); w.nb.Kill(); w.nb.Empty(); w.nb.Restart(); w.start() },
		"the StatefulSet is scaled up":  func(w *world) { scale(w, 5) },
		"another pod of it goes, too":   func(w *world) { p := podOf("web-0", "zero"); w.addressed(p); w.gone(p) },
		"it comes and is not scheduled": func(w *world) { p := podOf("web-1", "pending"); p.Spec.NodeName = ""; w.addressed(p); w.gone(p) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			without(w)
			meanwhile(w)
			other := aged("other", 0)
			w.create(other)
			if got := w.address(other); got == "10.16.0.2" {
				t.Error("another pod has its address")
			}
			w.recorded("web-1", "10.16.0.2")
			next := podOf("web-1", "after")
			w.create(next)
			w.told(next, "10.16.0.2")
			w.row("Logical_Switch_Port", "web-1.shop", "addresses", "0a:58:0a:10:00:02 10.16.0.2")
			w.noted("web-1", "uid", "after")
			w.gone(next)
			w.recorded("web-1", "10.16.0.2")
		})
	}
}

func scale(w *world, replicas int32) {
	w.t.Helper()
	edit(w, newStatefulSet(), func(s *appsv1.StatefulSet) { s.Spec.Replicas = &replicas })
}

// TestAddressGoesWithTheStatefulSet holds when an address is free: the StatefulSet wants no pod of the name any more. It does
// not matter whether the controller sees that happen.
func TestAddressGoesWithTheStatefulSet(t *testing.T) {
	t.Parallel()
	for name, ends := range map[string]func(*world){
		"deleted":       func(w *world) { w.remove(newStatefulSet()) },
		"scaled down":   func(w *world) { scale(w, 1) },
		"starts higher": func(w *world) { edit(w, newStatefulSet(), startAt(2)) },
		"being deleted": func(w *world) {
			edit(w, newStatefulSet(), func(s *appsv1.StatefulSet) { s.Finalizers = []string{metav1.FinalizerDeleteDependents} })
			w.remove(newStatefulSet())
		},
	} {
		for when, away := range map[string]bool{"seen": false, "while away": true} {
			t.Run(name+" "+when, func(t *testing.T) {
				w := newWorld(t)
				_, thief := without(w)
				if away {
					w.stop()
				}
				ends(w)
				if away {
					w.start()
				}
				w.told(thief, "10.16.0.2")
				w.unrecorded("web-1")
			})
		}
	}
}

func startAt(first int32) func(*appsv1.StatefulSet) {
	return func(s *appsv1.StatefulSet) { s.Spec.Ordinals = &appsv1.StatefulSetOrdinals{Start: first} }
}

// TestStatefulSetGoesBeforeItsPod holds that a pod of a StatefulSet that has gone takes its address along.
func TestStatefulSetGoesBeforeItsPod(t *testing.T) {
	w := newWorld(t)
	set := newStatefulSet()
	set.Spec.Ordinals = &appsv1.StatefulSetOrdinals{Start: 7}
	w.create(set)
	pod, byHand := podOf("web-8", "before"), aged("web-7", time.Hour)
	w.addressed(pod, byHand)
	w.recorded("web-8", "10.16.0.2")
	w.recorded("web-7", "10.16.0.3")
	w.gone(byHand)
	w.unrecorded("web-7") // no pod of the StatefulSet's, whatever its name
	w.remove(set)
	w.gone(pod)
	w.unrecorded("web-8")
	next := aged("next", 0, v1.AnnotationIPAddress, "10.16.0.2")
	w.create(next)
	w.told(next, "10.16.0.2")
}

// TestStatefulSetMoves holds that a pod which is to be elsewhere, or asks for another address than it had, gets that, and that
// the address before is free.
func TestStatefulSetMoves(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*world)
		asks   map[string]string
		want   string
	}{
		"to another Subnet of the namespace": {want: "10.31.0.2", change: func(w *world) {
			roomy(w, func(s *v1.SubnetSpec) { s.Namespaces = []string{"shop"} })
		}},
		"to another Subnet of its own": {
			want: "10.31.0.2", asks: map[string]string{v1.AnnotationLogicalSwitch: "roomy"},
			change: func(w *world) { roomy(w, nil) },
		},
		"to another address": {want: "10.16.0.9", asks: map[string]string{v1.AnnotationIPAddress: "10.16.0.9"}, change: (*world).restart},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			_, thief := without(w)
			tc.change(w)
			next := podOf("web-1", "after")
			for k, v := range tc.asks {
				next.Annotations[k] = v
			}
			w.create(next)
			w.told(next, tc.want)
			w.told(thief, "10.16.0.2")
			w.recorded("web-1", tc.want)
			w.gone(next)
			w.recorded("web-1", tc.want)
		})
	}
}
