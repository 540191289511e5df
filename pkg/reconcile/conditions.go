package reconcile

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
)

// SetConditions writes the outcome into an object's conditions and says whether that changed any.
//
// Validated speaks of the spec, Programmed of OVN, Ready of both; Implemented is only there while the spec asks for
// something that a later version will do, and Effective while a part of it has no effect.
func SetConditions(conditions *[]v1.Condition, generation int64, out Outcome) bool {
	now := time.Now()
	changed := false
	for _, c := range []v1.Condition{validated(out), programmed(out), ready(out)} {
		c.ObservedGeneration = generation
		changed = v1.SetCondition(conditions, c, now) || changed
	}
	later, idle := out.Problems.notImplemented()
	changed = setAdvice(conditions, generation, v1.ConditionImplemented, later) || changed
	return setAdvice(conditions, generation, v1.ConditionEffective, idle) || changed
}

func validated(out Outcome) v1.Condition {
	c := v1.Condition{Type: v1.ConditionValidated, Status: metav1.ConditionTrue, Reason: v1.ReasonValid}
	if wrong := out.Problems.Blocking(); len(wrong) > 0 {
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, wrong[0].Reason, wrong.String()
	}
	return c
}

func programmed(out Outcome) v1.Condition {
	c := v1.Condition{Type: v1.ConditionProgrammed, Status: metav1.ConditionTrue, Reason: v1.ReasonProgrammed}
	switch {
	case len(out.Problems.Blocking()) > 0:
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, v1.ReasonInvalid, "not programmed; see condition Validated"
	case out.Waiting != nil:
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, v1.ReasonWaiting, Awaited(out.Waiting)
	case out.Err != nil:
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, v1.ReasonNotProgrammed, out.Err.Error()
	}
	return c
}

func ready(out Outcome) v1.Condition {
	c := v1.Condition{Type: v1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1.ReasonReady}
	if out.InUse != "" {
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, v1.ReasonInUse, "to be deleted when nobody uses it any more: "+out.InUse
		return c
	}
	if !out.Programmed() {
		worst := programmed(out)
		if v := validated(out); v.Status != metav1.ConditionTrue {
			worst = v
		}
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, worst.Reason, worst.Message
	}
	return c
}

// setAdvice names what is accepted and changes nothing in a condition of its own, which it takes away with the last.
func setAdvice(conditions *[]v1.Condition, generation int64, kind v1.ConditionType, advice Problems) bool {
	if len(advice) == 0 {
		before := len(*conditions)
		*conditions = slices.DeleteFunc(slices.Clone(*conditions), func(c v1.Condition) bool { return c.Type == kind })
		return len(*conditions) != before
	}
	return v1.SetCondition(conditions, v1.Condition{
		Type: kind, Status: metav1.ConditionFalse, Reason: advice[0].Reason, Message: advice.String(), ObservedGeneration: generation,
	}, time.Now())
}
