package main

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
)

// TestPodIsToldWhatItsPortWaitsFor holds that a pod whose Subnet is valid and waits for its Vpc has an Event that says so, and starts
// when the Vpc comes.
func TestPodIsToldWhatItsPortWaitsFor(t *testing.T) {
	w := newWorld(t)
	subnet := newSubnet("inner", "10.30.0.0/24")
	subnet.Spec.Vpc = "tenant"
	w.create(subnet)
	w.condition("inner", v1.ConditionProgrammed, "False Waiting")
	pod := newPod("web-0", v1.AnnotationLogicalSwitch, "inner")
	w.create(pod)
	w.event("Warning Waiting shop/web-0: waiting for Subnet inner, which does not exist or is not ready")
	w.create(&v1.Vpc{ObjectMeta: metav1.ObjectMeta{Name: "tenant", Generation: 1}})
	w.told(pod, "10.30.0.2")
}
