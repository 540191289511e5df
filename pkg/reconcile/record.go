package reconcile

import (
	"context"
	"encoding/json"
	stderrors "errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
)

// Record says how the object that a feature is for should read; the kit writes what differs. The functions change the
// object they are given, a copy, and nothing else.
//
// The API server keeps the status apart from the rest of an object, so a look that changes both costs two requests: a
// patch of metadata and spec, then one of the status. Each is sent only when it says something new. A patch that replaces
// a list, or any of the spec, is for the very version of the object that was read: whatever somebody else has added
// meanwhile stays, the patch is refused, and the object is looked at again with the event of that edit.
type Record[Input any, T client.Object] struct {
	// Object is the object as Gather read it; false: there is none.
	Object func(Input) (T, bool)
	// Held, which may be nil, says whether our finalizer has to keep the object. A living object gets the finalizer when it
	// is held and keeps it; one that is to be deleted loses the finalizer when it is not held.
	Held func(Input, Outcome) bool
	// Spec, which may be nil, writes the spec as it is understood: defaults, normal forms. It is written, with the finalizer, before
	// the rows are; not that of an object with blocking problems or that may go.
	Spec func(Input, T)
	// Fill, which may be nil, writes annotations.
	Fill func(Input, Outcome, T)
	// Status, which may be nil, writes the status.
	Status func(Input, Outcome, T)
}

// record is a Record of any kind of object.
type record[Input any] interface {
	// prepare writes what comes before the rows, and makes the object of In what the API server has then. Its result is as that
	// of write.
	prepare(ctx context.Context, w *writer, in Input, problems Problems, own string) (version string, err error)
	// write returns the version that the object has by it, or "" when that is not known. A look at a version older than own,
	// the last that was written, writes nothing and is Stale: only once, since a restored etcd counts from an earlier version.
	write(ctx context.Context, w *writer, in Input, out Outcome, own string) (version string, err error)
}

// Stale is that an object has been edited since it was read, so that what was to be written to it may not be so any more.
type Stale struct {
	// Version is the resourceVersion that was read.
	Version string
}

// Error implements error.
func (s *Stale) Error() string { return "edited since resourceVersion " + s.Version }

//nolint:revive // what is read and what is written is all it gets
func (r Record[Input, T]) prepare(ctx context.Context, w *writer, in Input, problems Problems, own string) (version string, err error) {
	was, exists := r.Object(in)
	if !exists || r.Spec == nil || len(problems.Blocking()) > 0 {
		return own, nil
	}
	held := r.Held == nil || r.Held(in, Outcome{Problems: problems})
	if !held && was.GetDeletionTimestamp() != nil {
		return own, nil
	}
	if older(was.GetResourceVersion(), own) {
		return "", &Stale{Version: was.GetResourceVersion()}
	}
	now := was.DeepCopyObject().(T)
	if r.Held != nil {
		hold(now, held)
	}
	r.Spec(in, now)
	if err := Patch(ctx, w.client, was, now); err != nil {
		return "", err
	}
	if now.GetResourceVersion() == was.GetResourceVersion() {
		return own, nil
	}
	reflect.ValueOf(was).Elem().Set(reflect.ValueOf(now).Elem())
	return now.GetResourceVersion(), nil
}

//nolint:revive // what is read and what is written is all it gets
func (r Record[Input, T]) write(ctx context.Context, w *writer, in Input, out Outcome, own string) (version string, err error) {
	was, exists := r.Object(in)
	if !exists {
		return "", nil
	}
	if older(was.GetResourceVersion(), own) {
		return "", &Stale{Version: was.GetResourceVersion()}
	}
	now := was.DeepCopyObject().(T)
	if r.Held != nil {
		hold(now, r.Held(in, out))
	}
	if r.Fill != nil {
		r.Fill(in, out, now)
	}
	if err := Patch(ctx, w.client, was, now); err != nil {
		return "", err
	}
	going := now.GetDeletionTimestamp() != nil && r.Held != nil && !r.Held(in, out)
	if r.Status == nil || going {
		return now.GetResourceVersion(), nil
	}
	next := now.DeepCopyObject().(T)
	r.Status(in, out, next)
	err = PatchStatus(ctx, w.client, now, next)
	if stale := (*Stale)(nil); stderrors.As(err, &stale) {
		stale.Version = was.GetResourceVersion() // the one that the cache had
	}
	if err != nil {
		return "", err
	}
	tellTurn(w.events, was, next)
	return next.GetResourceVersion(), nil
}

// older says whether a version of an object came before another (KEP-5504). Nothing is older than none.
func older(version, than string) bool {
	order, err := resourceversion.CompareResourceVersion(version, than)
	return err == nil && order < 0
}

// hold gives the finalizer to an object or takes it away. The one of old releases goes when ours has taken its place.
func hold(obj client.Object, held bool) {
	switch living := obj.GetDeletionTimestamp() == nil; {
	case living && held:
		controllerutil.AddFinalizer(obj, v1.FinalizerKubeOVN)
	case !living && !held:
		controllerutil.RemoveFinalizer(obj, v1.FinalizerKubeOVN)
		controllerutil.RemoveFinalizer(obj, v1.FinalizerKubeOVNOld)
	}
	if controllerutil.ContainsFinalizer(obj, v1.FinalizerKubeOVN) {
		controllerutil.RemoveFinalizer(obj, v1.FinalizerKubeOVNOld)
	}
}

// Patch writes how an object should read beside its status, if that differs from how it was read. After it now is the
// object as the API server has it. An object that is gone is no error.
func Patch[T client.Object](ctx context.Context, c client.Writer, was, now T) error {
	patch, err := changes(was, now)
	if patch == nil || err != nil {
		return err
	}
	return outcome(was, c.Patch(ctx, now, patch))
}

// PatchStatus is Patch for the status.
func PatchStatus[T client.Object](ctx context.Context, c client.StatusClient, was, now T) error {
	patch, err := changes(was, now)
	if patch == nil || err != nil {
		return err
	}
	return outcome(was, c.Status().Patch(ctx, now, patch))
}

func outcome(was client.Object, err error) error {
	switch {
	case errors.IsNotFound(err):
		return nil
	case errors.IsConflict(err):
		return &Stale{Version: was.GetResourceVersion()}
	case err != nil:
		return fmt.Errorf("writing %T %s: %w", was, client.ObjectKeyFromObject(was), err)
	}
	return nil
}

// changes is the merge patch from was to now, or nil when they are the same. A merge patch replaces lists as wholes. The
// UID makes the API server refuse it when the name belongs to another object by now.
func changes(was, now client.Object) (client.Patch, error) {
	text, err := client.MergeFrom(was).Data(now)
	if err != nil {
		return nil, fmt.Errorf("comparing %T %s: %w", was, client.ObjectKeyFromObject(was), err)
	}
	patch := map[string]any{}
	if err := json.Unmarshal(text, &patch); err != nil || len(patch) == 0 {
		return nil, err //nolint:wrapcheck // it was encoded a moment ago
	}
	metadata, _ := patch["metadata"].(map[string]any)
	if metadata == nil {
		metadata = map[string]any{}
	}
	if locks(patch) {
		metadata["resourceVersion"] = was.GetResourceVersion()
	}
	if uid := was.GetUID(); uid != "" {
		metadata["uid"] = uid
	}
	patch["metadata"] = metadata
	if text, err = json.Marshal(patch); err != nil {
		return nil, err //nolint:wrapcheck // it was decoded a moment ago
	}
	return client.RawPatch(types.MergePatchType, text), nil
}

// locks says whether a merge patch is for one version of the object only: it replaces more than annotations, labels and
// single values of the status.
func locks(patch map[string]any) bool {
	for name, part := range patch {
		fields, _ := part.(map[string]any)
		switch {
		case name == "metadata":
			if slices.ContainsFunc(slices.Collect(maps.Keys(fields)), func(f string) bool { return f != "annotations" && f != "labels" }) {
				return true
			}
		case name != "status" || hasList(part):
			return true
		}
	}
	return false
}

// hasList says whether there is a list in a JSON value; null may be one that has become empty.
func hasList(value any) bool {
	switch v := value.(type) {
	case nil, []any:
		return true
	case map[string]any:
		return slices.ContainsFunc(slices.Collect(maps.Values(v)), hasList)
	}
	return false
}
