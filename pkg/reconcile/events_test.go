package reconcile_test

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
)

// TestEventsThatSayTheSameAreASeries leaves Events of one reason on one version of a pod. What is new is seen at once, and what
// is said again is counted, in the fields of both APIs.
func TestEventsThatSayTheSameAreASeries(t *testing.T) {
	c := reconciletest.NewCluster(t)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-0", UID: "u", ResourceVersion: "7"}}
	c.Load()
	events, err := reconcile.NewRecorder(t.Context(), c, "woven-controller")
	if err != nil {
		t.Fatal(err)
	}
	await := func(want map[string]int32) (all corev1.EventList) {
		t.Helper()
		reconciletest.Eventually(t, fmt.Sprint("Events ", want), func() string {
			if err := c.List(t.Context(), &all); err != nil {
				return err.Error()
			}
			got := map[string]int32{}
			for _, e := range all.Items {
				got[e.Message] = e.Count
			}
			if fmt.Sprint(got) != fmt.Sprint(want) || len(all.Items) != len(want) {
				return fmt.Sprint("they are ", got)
			}
			return ""
		})
		return all
	}
	say := func(note string) { events.Eventf(pod, nil, "Warning", "AcquireAddressFailed", "Allocate", "%s", note) }
	say("subnet web is full")
	await(map[string]int32{"subnet web is full": 1})
	say("subnet web does not exist")
	await(map[string]int32{"subnet web is full": 1, "subnet web does not exist": 1})
	say("subnet web is full")
	for _, e := range await(map[string]int32{"subnet web is full": 2, "subnet web does not exist": 1}).Items {
		if e.Source.Component != "woven-controller" || e.ReportingController != e.Source.Component || e.ReportingInstance == "" ||
			e.InvolvedObject.FieldPath != "" || e.InvolvedObject.UID != "u" || e.EventTime.IsZero() || e.FirstTimestamp.IsZero() || e.LastTimestamp.IsZero() {
			t.Errorf("the Event is %+v", e)
		}
		if repeated := e.Count == 2; repeated != (e.Series != nil && e.Series.Count == 2) {
			t.Errorf("the series is %+v", e.Series)
		}
	}
}
