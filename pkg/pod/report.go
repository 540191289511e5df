package pod

import (
	"context"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/reconcile"
)

func (f *feature) report(ctx context.Context, key types.NamespacedName, in Input, out reconcile.Outcome) error {
	if !in.Attached {
		f.unheeded.Forget(key)
		f.waits.End(key)
		return nil
	}
	f.unheeded.Tell(in.Pod, Answered(in.Pod))
	if out.Waiting == nil {
		f.waits.End(key)
	}
	switch {
	case out.Waiting != nil:
		if !Answered(in.Pod) && f.waits.Long(key) {
			f.tell(in, "Waiting", reconcile.Awaited(out.Waiting))
			f.renewal.Told(key)
		}
	case in.Over, out.Err != nil:
		return nil //nolint:nilerr // the kit retries what went wrong
	case len(out.Problems.Blocking()) > 0:
		f.tellWaiting(in, out.Problems.Blocking())
	case in.Lease.IsZero():
		f.tellWaiting(in, in.Problems)
	default:
		return f.annotate(ctx, in)
	}
	return nil
}

// tell leaves an Event on the pod.
func (f *feature) tell(in Input, reason, text string) {
	f.Events.Eventf(in.Pod, nil, "Warning", reason, "Allocate", "%s", reconcile.Note(text))
}

// tellWaiting leaves an Event on a pod that has no addresses, and another one for as long as it is so.
func (f *feature) tellWaiting(in Input, why reconcile.Problems) {
	f.tell(in, "AcquireAddressFailed", why.String())
	f.renewal.Told(in.Key)
}

// contradict tells the author of annotations that they are not what the pod has. It is told once: the annotations are
// about to be put right.
func (f *feature) contradict(in Input) {
	text := fmt.Sprintf("the pod has %s with MAC %s of subnet %s, and keeps it whatever its annotations say",
		in.Lease.Addrs, in.Lease.MAC, in.Subnet.Name)
	if len(in.Problems) > 0 {
		text += ": " + in.Problems.String()
	}
	f.tell(in, "AddressKept", text)
}

// annotate tells the pod's node everything in one patch. The UID in it makes the API server refuse the patch when the
// name belongs to another pod by now.
func (f *feature) annotate(ctx context.Context, in Input) error {
	if in.Untold && !Answered(in.Pod) {
		return nil // its subnet's coming in force wakes it
	}
	want := in.annotations()
	missing := map[string]string{}
	for k, v := range want {
		if in.Pod.Annotations[k] != v {
			missing[k] = v
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if Contradicts(f.Pools, in.Pod, in.Subnet.Name, in.Lease) {
		f.contradict(in)
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": in.Pod.UID, "annotations": missing}})
	if err != nil {
		return fmt.Errorf("encoding the annotations of pod %s: %w", in.Key, err)
	}
	err = f.Client.Patch(ctx, in.Pod, client.RawPatch(types.MergePatchType, patch))
	if errors.IsNotFound(err) || errors.IsConflict(err) {
		return nil // the pod is gone, or another by now: its event is on the way
	}
	if err != nil {
		return fmt.Errorf("annotating pod %s: %w", in.Key, err)
	}
	return nil
}

// annotations are the answer, v1.AnswerAnnotations.
func (in Input) annotations() map[string]string {
	answer := v1.Allocation{
		For: in.Pod.UID, Subnet: in.Subnet.Name, MAC: in.Lease.MAC[:], Addresses: in.Lease.Addrs.List(),
	}
	if !in.Untold {
		answer.Router, answer.CIDRs, answer.Gateways = in.Subnet.VPC, in.Told.List(), in.Subnet.Gateways.List()
	}
	return answer.Annotations(v1.Provider)
}
