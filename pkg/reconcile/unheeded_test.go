package reconcile_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
)

// TestUnheededIsToldOnce follows one pod's annotations: each change of what is not in force is told, and nothing twice.
func TestUnheededIsToldOnce(t *testing.T) {
	var events reconciletest.Events
	u := reconcile.Unheeded{Events: &events}
	pod := func(annotations ...string) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-0", Annotations: map[string]string{}}}
		for _, a := range annotations {
			p.Annotations[a] = "x"
		}
		return p
	}
	for i, step := range []struct {
		pod    *corev1.Pod
		before bool
		want   string
	}{
		{pod: pod(v1.AnnotationMirror), before: true}, // a restart
		{pod: pod(v1.AnnotationMirror)},
		{pod: pod(v1.AnnotationMirror, v1.AnnotationSecurityGroups), before: true, want: "the pod is NOT isolated"},
		{pod: pod(v1.AnnotationMirror, v1.AnnotationSecurityGroups), before: true},
		{pod: pod()},
		{pod: pod(v1.AnnotationEIP), before: true, want: "not in force, since this version does not act on it: " + v1.AnnotationEIP},
	} {
		u.Tell(step.pod, step.before)
		told := strings.Join(events.Take(), "\n")
		if step.want == "" && told != "" || !strings.Contains(told, step.want) {
			t.Errorf("step %d: told %q, want %q", i, told, step.want)
		}
	}
	u.Forget(client.ObjectKeyFromObject(pod()))
	u.Tell(pod(v1.AnnotationEIP), false)
	if len(events.Take()) != 1 {
		t.Error("the next pod of the name is not told")
	}
}
