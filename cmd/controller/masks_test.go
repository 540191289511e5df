package main

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
)

// TestPodsKeepTheirMask grows a Subnet under a pod, whose interface goes on with the old mask: what it takes for the broadcast
// is nobody's while the pod lives, before and after a restart, and the first to ask for it gets it afterwards.
func TestPodsKeepTheirMask(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]func(*world){
		"the same controller": func(*world) {}, "after a restart": (*world).restart,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			small := newSubnet("small", "10.30.0.0/30", "shop")
			w.create(small)
			w.ready("small")
			old := aged("old", time.Hour)
			w.addressed(old)
			edit(w, small, func(s *v1.Subnet) { s.Spec.CIDRBlock = "10.30.0.0/29" })
			w.ready("small")
			again(w)
			next := aged("next", 0)
			w.create(next)
			w.told(next, "10.30.0.4")
			asks := aged("asks", 0, v1.AnnotationIPAddress, "10.30.0.3")
			w.create(asks)
			w.event("AcquireAddressFailed", "shop/asks", "10.30.0.3 is the first or last address of 10.30.0.0/30, which the interface of pod shop/old still has")
			w.mask(old, "10.30.0.0/30")
			w.mask(next, "10.30.0.0/29")
			w.remove(old)
			w.told(asks, "10.30.0.3")
		})
	}
}

// mask checks what a pod is told of its range.
func (w *world) mask(pod *corev1.Pod, want string) {
	w.t.Helper()
	var now corev1.Pod
	if err := w.Get(w.t.Context(), client.ObjectKeyFromObject(pod), &now); err != nil {
		w.t.Fatal(err)
	}
	if got := now.Annotations[v1.AnnotationCIDR]; got != want {
		w.t.Errorf("pod %s is told the range %s, not %s", pod.Name, got, want)
	}
}
