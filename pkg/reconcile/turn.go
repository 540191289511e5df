package reconcile

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
)

// conditioned is an object whose status has conditions.
type conditioned interface{ Conditions() []v1.Condition }

// tellTurn leaves an Event on an object whose readiness is another than before: why it is not ready, or that it is again.
// That a new object is ready at once goes without saying.
func tellTurn(events recorder.EventRecorder, was, now client.Object) {
	kind, ready, turned := turn(was, now)
	if turned && events != nil {
		events.Eventf(now, nil, kind, ready.Reason, "Reconcile", "%s", Note(ready.Message))
	}
}

// turn is what there is to tell of the condition Ready.
func turn(was, now client.Object) (kind string, ready v1.Condition, turned bool) {
	before, after := readiness(was), readiness(now)
	switch {
	case after == nil:
		return "", ready, false
	case after.Status == metav1.ConditionFalse:
		same := before != nil && before.Status == after.Status && before.Reason == after.Reason
		return corev1.EventTypeWarning, *after, !same
	case before == nil || before.Status == after.Status:
		return "", ready, false
	}
	ready = *after
	ready.Message = "ready again; it was not: " + before.Message
	return corev1.EventTypeNormal, ready, true
}

func readiness(obj client.Object) *v1.Condition {
	with, ok := obj.(conditioned)
	if !ok {
		return nil
	}
	return v1.FindCondition(with.Conditions(), v1.ConditionReady)
}
