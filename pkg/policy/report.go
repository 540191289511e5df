package policy

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// status is what a policy is told of itself.
type status struct {
	// InForce is false when OVN does not hold what the policy says as of Generation; what it said before stays in force.
	InForce    bool  `json:"inForce"`
	Generation int64 `json:"generation"`
	// Pods and Nodes are how many pods it is about, and on how many nodes they are.
	Pods  int `json:"pods"`
	Nodes int `json:"nodes"`
	// Reason and Message say why it is not in force, or which parts of it are not.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
}

func (f *feature) report(ctx context.Context, key types.NamespacedName, in Input, out reconcile.Outcome) error {
	if in.Object == nil {
		f.waits.End(key)
		f.pace.forget(reconcile.Key(key))
		return nil
	}
	if out.Waiting != nil || out.Err != nil {
		// A wait is over in a moment, as a rule, and meanwhile the policy's last rows are in force.
		if f.inForce(in.Object) || !f.waits.Long(key) {
			return nil
		}
	} else {
		f.waits.End(key)
	}
	now := f.status(in, out)
	news, err := f.tell(ctx, in.Object, now)
	if event, tells := events[now.Reason]; news && tells {
		f.Events.Eventf(in.Object, nil, "Warning", event, "Translate", "%s", shorten(now.Message))
	}
	return err
}

// events are those of the reasons that the policy's author can do something about.
var events = map[string]string{v1.ReasonInvalid: "InvalidPolicy", v1.ReasonLimitExceeded: "PolicyLimitExceeded"}

// inForce says whether a policy has been told that it is in force as it reads now.
func (f *feature) inForce(obj client.Object) bool {
	if f.conditions != nil {
		c := meta.FindStatusCondition(*f.conditions(obj), string(v1.ConditionReady))
		return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == obj.GetGeneration()
	}
	var told status
	err := json.Unmarshal([]byte(obj.GetAnnotations()[v1.AnnotationPolicyStatus]), &told)
	return err == nil && told.InForce && told.Generation == obj.GetGeneration()
}

func (f *feature) status(in Input, out reconcile.Outcome) status {
	s := status{InForce: out.Programmed(), Generation: in.Object.GetGeneration()}
	s.Pods, s.Nodes = f.Groups.Count(in.Policy.Subject)
	switch wrong := out.Problems.Blocking(); {
	case len(wrong) > 0:
		s.Reason, s.Message = v1.ReasonInvalid, wrong.String()
	case out.Waiting != nil:
		s.Reason, s.Message = v1.ReasonWaiting, out.Waiting.Error()
	case out.Err != nil:
		s.Reason, s.Message = v1.ReasonNotProgrammed, out.Err.Error()
	case len(out.Problems) > 0:
		s.Reason, s.Message = v1.ReasonInvalid, out.Problems.String()
		if !slices.ContainsFunc(out.Problems, func(p reconcile.Problem) bool { return p.Reason != v1.ReasonLimitExceeded }) {
			s.Reason = v1.ReasonLimitExceeded
		}
	}
	return s
}

// shorten keeps an Event's note within the 1,024 bytes of the events API.
func shorten(text string) string {
	const most = 900
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// tell writes the status where kubectl describe shows it, if it is news.
func (f *feature) tell(ctx context.Context, obj client.Object, s status) (news bool, err error) {
	if f.conditions != nil {
		news, err = f.tellCondition(ctx, obj, s)
	} else {
		news, err = f.tellAnnotation(ctx, obj, s)
	}
	switch {
	case errors.IsNotFound(err), errors.IsConflict(err):
		return false, nil // the policy is gone, or another by now: its event is on the way
	case err != nil:
		return false, fmt.Errorf("telling the policy how it is: %w", err)
	}
	return news, nil
}

func (f *feature) tellCondition(ctx context.Context, obj client.Object, s status) (bool, error) {
	changed := obj.DeepCopyObject().(client.Object)
	c := metav1.Condition{
		Type: string(v1.ConditionReady), Status: metav1.ConditionFalse, ObservedGeneration: s.Generation,
		Reason: s.Reason, Message: s.Message,
	}
	if s.InForce {
		c.Status = metav1.ConditionTrue
		c.Message = strings.TrimSuffix(fmt.Sprintf("in force for %d pods on %d nodes; %s", s.Pods, s.Nodes, s.Message), "; ")
	}
	if c.Reason == "" {
		c.Reason = v1.ReasonProgrammed
	}
	if !meta.SetStatusCondition(f.conditions(changed), c) {
		return false, nil
	}
	err := reconcile.PatchStatus(ctx, f.Client, obj, changed)
	return true, err //nolint:wrapcheck // tell wraps it
}

// tellAnnotation is for NetworkPolicies, which have no status of their own.
func (f *feature) tellAnnotation(ctx context.Context, obj client.Object, s status) (bool, error) {
	text, err := json.Marshal(s)
	if err != nil || obj.GetAnnotations()[v1.AnnotationPolicyStatus] == string(text) {
		return false, err //nolint:wrapcheck // tell wraps it
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": obj.GetUID(), "annotations": map[string]string{v1.AnnotationPolicyStatus: string(text)},
	}})
	if err == nil {
		err = f.Client.Patch(ctx, obj, client.RawPatch(types.MergePatchType, patch))
	}
	return true, err //nolint:wrapcheck // tell wraps it
}
