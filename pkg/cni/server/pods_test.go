package server

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	kubeovnv1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
)

// A pod that nobody gives addresses is deleted: who waits for them must not keep its kubelet waiting.
func TestAwaitEndsWithThePod(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-0", UID: "1"}}
	leaving := pod.DeepCopy()
	leaving.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	pods := NewPods()
	set(pods, pod)
	ended := make(chan error, 1)
	go func() {
		_, err := pods.Await(t.Context(), "shop", "web-0", "1")
		ended <- err
	}()
	set(pods, leaving)
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "is being deleted") {
			t.Errorf("got %v", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("still waiting")
	}
}

// The answer for another pod, copied with its annotations, is no answer.
func TestCopiedAnswerIsNone(t *testing.T) {
	answer := networkAnnotations()
	answer[kubeovnv1.AnnotationAllocatedUID] = "other"
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-0", UID: "1", Annotations: answer}}
	pods := NewPods()
	look := func() *Network {
		set(pods, pod)
		at, _ := pods.lookUp("shop/web-0")
		return at.Network
	}
	if got := look(); got != nil {
		t.Errorf("the pod is given %v of another", got.Addresses)
	}
	delete(answer, kubeovnv1.AnnotationAllocatedUID)
	if got := look(); got != nil {
		t.Errorf("the pod is given %v, which nobody answered", got.Addresses)
	}
	answer[kubeovnv1.AnnotationAllocatedUID] = "1"
	if look() == nil {
		t.Error("the pod's own answer is not taken")
	}
}

// A mirror pod is known by the UID of its static pod; the answer is for the object all the same. No other pod is known by
// what its annotations say.
func TestUIDOfStaticPods(t *testing.T) {
	mirror := func(name, uid string, kubelet map[string]string) *corev1.Pod {
		annotations := networkAnnotations()
		annotations[kubeovnv1.AnnotationAllocatedUID] = uid
		for key, value := range kubelet {
			annotations[key] = value
		}
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(uid), Annotations: annotations}}
	}
	kubelet := map[string]string{configHash: "hash", configMirror: "hash", configSource: "file"}
	for name, tc := range map[string]struct {
		kubelet map[string]string
		want    string
	}{
		"a mirror pod":      {kubelet, "hash"},
		"a hash alone":      {map[string]string{configHash: "hash"}, "object"},
		"two hashes":        {map[string]string{configHash: "hash", configMirror: "other", configSource: "file"}, "object"},
		"from the API":      {map[string]string{configHash: "hash", configMirror: "hash", configSource: "api"}, "object"},
		"an ordinary pod's": {nil, "object"},
	} {
		pods := NewPods()
		set(pods, mirror("web-0", "object", tc.kubelet))
		pod, err := pods.Await(t.Context(), "shop", "web-0", tc.want)
		if err != nil || pod.UID != tc.want || pod.Network == nil {
			t.Errorf("%s is known as %+v (%v), want %s", name, pod, err, tc.want)
		}
	}
	pods := NewPods()
	set(pods, mirror("thief", "1", map[string]string{configHash: "2", configMirror: "2", configSource: "file"}))
	set(pods, mirror("web-0", "2", nil))
	for range 20 { // in the order of a map
		if got := pods.WithUID("2"); got.Name != "web-0" {
			t.Fatalf("UID 2 is taken for that of %s", got.Name)
		}
	}
}

func TestLongRoutesAreRefused(t *testing.T) {
	annotations := networkAnnotations()
	annotations[kubeovnv1.AnnotationRoutes] = "[" + strings.Repeat(`{"gw":"10.16.0.1"},`, 1000) + `{"gw":"10.16.0.1"}]`
	if _, err := parseNetwork(annotations); err == nil || !strings.Contains(err.Error(), "may have") {
		t.Errorf("1001 routes are met with %v", err)
	}
}

// set tells of a pod that is there.
func set(pods *Pods, obj *corev1.Pod) { pods.Set(obj.Namespace, obj.Name, obj) }
