package reconcile_test

import (
	"errors"
	"reflect"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/reconcile"
)

func TestSetConditions(t *testing.T) {
	var wrong, later reconcile.Problems
	wrong.Add("spec.cidrBlock", v1.ReasonOverlap, "10.0.0.0/16 overlaps subnet web")
	later.Advise("spec.private", v1.ReasonNotImplemented, "not implemented yet")
	waiting := &ovs.ErrWaiting{Refs: []ovs.Ref{{Table: "Logical_Router", Sym: "vpc/tenant/router"}}}
	for name, tc := range map[string]struct {
		out reconcile.Outcome
		// want is type -> "status reason".
		want map[v1.ConditionType]string
	}{
		"all is well": {want: map[v1.ConditionType]string{
			v1.ConditionValidated: "True Valid", v1.ConditionProgrammed: "True Programmed", v1.ConditionReady: "True Ready",
		}},
		"a mistake of the user": {out: reconcile.Outcome{Problems: wrong}, want: map[v1.ConditionType]string{
			v1.ConditionValidated: "False Overlap", v1.ConditionProgrammed: "False Invalid", v1.ConditionReady: "False Overlap",
		}},
		"a wish for later": {out: reconcile.Outcome{Problems: later}, want: map[v1.ConditionType]string{
			v1.ConditionValidated: "True Valid", v1.ConditionProgrammed: "True Programmed", v1.ConditionReady: "True Ready",
			v1.ConditionImplemented: "False NotImplemented",
		}},
		"a row is not there yet": {out: reconcile.Outcome{Waiting: waiting}, want: map[v1.ConditionType]string{
			v1.ConditionValidated: "True Valid", v1.ConditionProgrammed: "False Waiting", v1.ConditionReady: "False Waiting",
		}},
		"our own trouble": {out: reconcile.Outcome{Err: errors.New("no route")}, want: map[v1.ConditionType]string{
			v1.ConditionValidated: "True Valid", v1.ConditionProgrammed: "False NotProgrammed", v1.ConditionReady: "False NotProgrammed",
		}},
		"to be deleted and in use": {out: reconcile.Outcome{InUse: "2 pods"}, want: map[v1.ConditionType]string{
			v1.ConditionValidated: "True Valid", v1.ConditionProgrammed: "True Programmed", v1.ConditionReady: "False InUse",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var conditions []v1.Condition
			if !reconcile.SetConditions(&conditions, 3, tc.out) {
				t.Error("the first conditions are no change")
			}
			got := map[v1.ConditionType]string{}
			for _, c := range conditions {
				got[c.Type] = string(c.Status) + " " + c.Reason
				if c.ObservedGeneration != 3 {
					t.Errorf("%s speaks of generation %d, want 3", c.Type, c.ObservedGeneration)
				}
			}
			if !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
			before := append([]v1.Condition{}, conditions...)
			if reconcile.SetConditions(&conditions, 3, tc.out) || !reflect.DeepEqual(before, conditions) {
				t.Error("the same outcome again is a change: a quiet cluster would write")
			}
		})
	}
}

func TestImplementedGoesWithTheLastWish(t *testing.T) {
	var later reconcile.Problems
	later.Advise("spec.private", v1.ReasonNotImplemented, "not implemented yet")
	var conditions []v1.Condition
	reconcile.SetConditions(&conditions, 1, reconcile.Outcome{Problems: later})
	if !reconcile.SetConditions(&conditions, 1, reconcile.Outcome{}) {
		t.Error("taking a condition away is no change")
	}
	if c := v1.FindCondition(conditions, v1.ConditionImplemented); c != nil {
		t.Errorf("the wish is gone and the condition is not: %+v", c)
	}
}

func TestTransitionTimeTellsWhenTheStatusChanged(t *testing.T) {
	long := metav1.Unix(1, 0)
	conditions := []v1.Condition{{
		Type: v1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1.ReasonReady,
		ObservedGeneration: 1, LastTransitionTime: long, LastUpdateTime: long,
	}}
	reconcile.SetConditions(&conditions, 2, reconcile.Outcome{})
	ready := v1.FindCondition(conditions, v1.ConditionReady)
	if !ready.LastTransitionTime.Equal(&long) || ready.LastUpdateTime.Equal(&long) {
		t.Errorf("a new generation with the same status has changed %v and transitioned %v", ready.LastUpdateTime, ready.LastTransitionTime)
	}
}

func TestKeyRoundTrip(t *testing.T) {
	for _, key := range []string{"web", "shop/web-0", "n1.example.com"} {
		if got := reconcile.Key(reconcile.ParseKey(key)); got != key {
			t.Errorf("%q comes back as %q", key, got)
		}
	}
}
