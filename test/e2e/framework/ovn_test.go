package framework

import (
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A container that has just restarted does not lead because the one before it did, by the same name.
func TestHolds(t *testing.T) {
	started := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	pod := namedPod("woven-controller-0", corev1.ConditionTrue)
	pod.Spec.NodeName = "node1"
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{
		Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(started)},
	}}}
	for _, tc := range []struct {
		name, identity string
		renewed        time.Duration
		want           bool
	}{
		{"the pod", "woven-controller-0_ab", time.Second, true},
		{"its node", "node1_ab", time.Second, true},
		{"another", "woven-controller-1_ab", time.Second, false},
		{"the container before", "woven-controller-0_ab", -time.Second, false},
	} {
		lease := &coordinationv1.Lease{Spec: coordinationv1.LeaseSpec{
			HolderIdentity: &tc.identity, RenewTime: &metav1.MicroTime{Time: started.Add(tc.renewed)},
		}}
		if got := holds(lease, pod); got != tc.want {
			t.Errorf("%s holds the lease: %t, want %t", tc.name, got, tc.want)
		}
	}
}
