package v1_test

import (
	"encoding/json"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	kubeovnv1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
)

func TestSetCondition(t *testing.T) {
	start := time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC)
	later, last := start.Add(time.Minute), start.Add(time.Hour)
	ready := func(status metav1.ConditionStatus, reason string, generation int64) kubeovnv1.Condition {
		return kubeovnv1.Condition{Type: kubeovnv1.ConditionReady, Status: status, Reason: reason, ObservedGeneration: generation}
	}
	var have []kubeovnv1.Condition
	for i, step := range []struct {
		set                 kubeovnv1.Condition
		at                  time.Time
		changed             bool
		updated, transition time.Time
	}{
		{ready(metav1.ConditionFalse, "Waiting", 1), start, true, start, start},
		{ready(metav1.ConditionFalse, "Waiting", 1), later, false, start, start},
		{ready(metav1.ConditionFalse, "Overlap", 1), later, true, later, start},
		{ready(metav1.ConditionFalse, "Overlap", 2), last, true, last, start},
		{ready(metav1.ConditionTrue, "Ready", 2), last, true, last, last},
	} {
		if changed := kubeovnv1.SetCondition(&have, step.set, step.at); changed != step.changed {
			t.Errorf("step %d: changed %v", i, changed)
		}
		got := kubeovnv1.FindCondition(have, kubeovnv1.ConditionReady)
		if !got.LastUpdateTime.Time.Equal(step.updated) || !got.LastTransitionTime.Time.Equal(step.transition) {
			t.Errorf("step %d: got %+v", i, got)
		}
	}
	if len(have) != 1 || !kubeovnv1.IsConditionTrue(have, kubeovnv1.ConditionReady) ||
		kubeovnv1.IsConditionTrue(have, kubeovnv1.ConditionValidated) {
		t.Errorf("got %+v", have)
	}
}

// A count is a JSON number, and what the API server makes of it comes back as it
// was written.
func TestCount(t *testing.T) {
	for in, want := range map[string]string{
		"0":                     "0",
		"65533":                 "65533",
		"4294967294":            "4294967294",
		"18446744073709551613":  "18446744073709552000",
		"18446744073709552000":  "18446744073709552000",
		"1.8446744073709552e19": "18446744073709552000",
		"340282366920938463463374607431768211455": "3.402823669209385e+38",
	} {
		var c kubeovnv1.Count
		if err := json.Unmarshal([]byte(in), &c); err != nil {
			t.Fatal(err)
		}
		if got, err := json.Marshal(c); err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v", in, got, err)
		}
	}
}

func TestAddToScheme(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := kubeovnv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"Subnet", "SubnetList", "Vpc", "VpcList", "IP", "IPList"} {
		if !scheme.Recognizes(kubeovnv1.GroupVersion.WithKind(kind)) {
			t.Errorf("%s is unknown", kind)
		}
	}
}
