package reconcile

import (
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
)

// SetConditions writes the outcome into an object's conditions and says whether that changed any.
//
// Validated speaks of the spec, Programmed of OVN, Ready of both; Implemented is only there while the spec asks for
// something that a later version will do.
func SetConditions(conditions *[]v1.Condition, generation int64, out Outcome) bool {
	now := time.Now()
	changed := false
	for _, c := range []v1.Condition{validated(out), programmed(out), ready(out)} {
		c.ObservedGeneration = generation
		changed = v1.SetCondition(conditions, c, now) || changed
	}
	return setImplemented(conditions, generation, out) || changed
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
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, v1.ReasonWaiting, awaited(out.Waiting)
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

// setImplemented names the fields that are accepted and not acted on yet, and takes the condition away with the last.
func setImplemented(conditions *[]v1.Condition, generation int64, out Outcome) bool {
	later := out.Problems.Advisory()
	if len(later) == 0 {
		before := len(*conditions)
		kept := (*conditions)[:0:0]
		for _, c := range *conditions {
			if c.Type != v1.ConditionImplemented {
				kept = append(kept, c)
			}
		}
		*conditions = kept
		return len(kept) != before
	}
	fields := make([]string, len(later))
	for i, p := range later {
		fields[i] = p.String()
	}
	return v1.SetCondition(conditions, v1.Condition{
		Type: v1.ConditionImplemented, Status: metav1.ConditionFalse, Reason: v1.ReasonNotImplemented,
		Message: strings.Join(fields, "; "), ObservedGeneration: generation,
	}, time.Now())
}
