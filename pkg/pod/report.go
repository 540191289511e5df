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

func (f *feature) report(ctx context.Context, key types.NamespacedName, in In, out reconcile.Outcome) error {
	switch {
	case !in.Attached:
		// Only when the row is gone can the address be another's.
		if out.Programmed() {
			f.Pools.Release(reconcile.Key(key))
			f.Groups.Forget(key)
		}
		return nil
	case len(out.Problems.Blocking()) > 0:
		f.Groups.Failed(key, true)
		f.Events.Eventf(in.Pod, nil, "Warning", "AcquireAddressFailed", "Allocate", "%s", out.Problems.Blocking())
		return nil
	case out.Waiting != nil:
		f.Groups.Failed(key, false)
	case !out.Programmed():
		// Perhaps it was written; the retry tells.
	case in.Kept:
		f.Groups.Joined(key, in.Groups)
		f.Events.Eventf(in.Pod, nil, "Warning", "AcquireAddressFailed", "Allocate", "the pod keeps what it has: %s", in.Problems)
	default:
		f.Groups.Joined(key, in.Groups)
		return f.annotate(ctx, in)
	}
	return nil
}

// annotate tells the pod's node everything in one patch. The UID in it makes the API server refuse the patch when the
// name belongs to another pod by now.
func (f *feature) annotate(ctx context.Context, in In) error {
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

func (in In) annotations() map[string]string {
	return map[string]string{
		v1.AnnotationAllocated:     "true",
		v1.AnnotationRouted:        "true",
		v1.AnnotationIPAddress:     in.Lease.Addrs.String(),
		v1.AnnotationMACAddress:    in.Lease.MAC.String(),
		v1.AnnotationCIDR:          in.Subnet.CIDRs.String(),
		v1.AnnotationGateway:       in.Subnet.Gateways.String(),
		v1.AnnotationLogicalSwitch: in.Subnet.Name,
		v1.AnnotationLogicalRouter: in.Subnet.VPC,
	}
}
