package server

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A pod that nobody gives addresses is deleted: who waits for them must not keep its kubelet waiting.
func TestAwaitEndsWithThePod(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-0", UID: "1"}}
	leaving := pod.DeepCopy()
	leaving.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	pods := NewPods()
	pods.Set(pod)
	ended := make(chan error, 1)
	go func() {
		_, err := pods.Await(t.Context(), "shop", "web-0", "1")
		ended <- err
	}()
	pods.Set(leaving)
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "is being deleted") {
			t.Errorf("got %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("still waiting")
	}
}
