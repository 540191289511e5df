package reconcile

import (
	"context"
	"fmt"
	"hash/fnv"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/tools/reference"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/recorder"
)

// WithEvents is the manager with recorders of Events that are described at NewRecorder. They work until ctx ends.
func WithEvents(ctx context.Context, mgr manager.Manager) manager.Manager {
	return &telling{Manager: mgr, ctx: ctx}
}

type telling struct {
	manager.Manager
	ctx context.Context //nolint:containedctx // recorders are asked for without one
}

// GetEventRecorder implements recorder.Provider.
func (t *telling) GetEventRecorder(name string) recorder.EventRecorder {
	r, err := NewRecorder(t.ctx, t.GetClient(), name)
	if err != nil {
		t.GetLogger().Error(err, "recording events")
		return t.Manager.GetEventRecorder(name)
	}
	return r
}

// NewRecorder records Events with client-go's broadcaster, apart from two things.
//
// Events of one reason about one version of an object are a series there, and only the note of the first is seen until it has
// been quiet for six minutes. Why a pod has no address changes faster. Here Events are a series when they say the same.
//
// The API events.k8s.io/v1 refuses the older fields: source, count, first and last timestamp. kubectl does without, but
// tools that export Events read source.component. An Event of the API v1 has the fields of both.
func NewRecorder(ctx context.Context, c client.Client, name string) (recorder.EventRecorder, error) {
	b := events.NewBroadcaster(&sink{c})
	if err := b.StartRecordingToSinkWithContext(ctx); err != nil {
		return nil, fmt.Errorf("starting to record: %w", err)
	}
	inner, ok := b.NewRecorder(c.Scheme(), name).(recorder.EventRecorder)
	if !ok {
		return nil, fmt.Errorf("%T does not annotate Events", b)
	}
	return &byNote{inner, c.Scheme()}, nil
}

// byNote tells the broadcaster Events of different notes apart by what they are about: the path of a field in the reference
// to the object, which the sink takes away again.
type byNote struct {
	inner  recorder.EventRecorder
	scheme *runtime.Scheme
}

// Eventf implements events.EventRecorder.
func (r *byNote) Eventf(about, related runtime.Object, kind, reason, action, note string, args ...any) { //nolint:revive // the interface has as many
	r.AnnotatedEventf(about, related, nil, kind, reason, action, note, args...)
}

// AnnotatedEventf implements events.AnnotatedEventRecorder.
//
//nolint:revive // the interface has as many
func (r *byNote) AnnotatedEventf(about, related runtime.Object, annotations map[string]string, kind, reason, action, note string, args ...any) {
	text := Note(fmt.Sprintf(note, args...))
	if ref, err := reference.GetReference(r.scheme, about); err == nil {
		hash := fnv.New64a()
		_, _ = hash.Write([]byte(text)) // it never fails
		ref = ref.DeepCopy()
		ref.FieldPath = strconv.FormatUint(hash.Sum64(), 16)
		about = ref
	}
	r.inner.AnnotatedEventf(about, related, annotations, kind, reason, action, "%s", text)
}

// sink writes Events with the fields of both APIs. Its errors are the API server's own, which the broadcaster tells apart.
type sink struct{ client client.Client }

// Create implements events.EventSink.
func (s *sink) Create(ctx context.Context, e *eventsv1.Event) (*eventsv1.Event, error) {
	about := e.Regarding
	about.FieldPath = ""
	last, count := e.EventTime.Time, int32(1)
	var series *corev1.EventSeries
	if e.Series != nil {
		last, count = e.Series.LastObservedTime.Time, e.Series.Count
		series = &corev1.EventSeries{Count: count, LastObservedTime: e.Series.LastObservedTime}
	}
	return e, s.client.Create(ctx, &corev1.Event{ //nolint:wrapcheck // see above
		ObjectMeta:     metav1.ObjectMeta{Namespace: e.Namespace, Name: e.Name, Annotations: e.Annotations},
		InvolvedObject: about, Related: e.Related, Type: e.Type, Reason: e.Reason, Action: e.Action, Message: e.Note,
		EventTime: e.EventTime, Series: series, ReportingController: e.ReportingController, ReportingInstance: e.ReportingInstance,
		Source: corev1.EventSource{Component: e.ReportingController}, FirstTimestamp: metav1.NewTime(e.EventTime.Time),
		LastTimestamp: metav1.NewTime(last), Count: count,
	})
}

// Update implements events.EventSink; the broadcaster never asks for it.
func (*sink) Update(context.Context, *eventsv1.Event) (*eventsv1.Event, error) {
	return nil, fmt.Errorf("an Event is created and patched")
}

// Patch implements events.EventSink: all that changes of an Event is its series.
func (s *sink) Patch(ctx context.Context, e *eventsv1.Event, _ []byte) (*eventsv1.Event, error) {
	last := e.Series.LastObservedTime
	patch := fmt.Sprintf(`{"series":{"count":%d,"lastObservedTime":%q},"count":%[1]d,"lastTimestamp":%q}`,
		e.Series.Count, last.UTC().Format(metav1.RFC3339Micro), last.UTC().Format(time.RFC3339))
	event := &corev1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: e.Namespace, Name: e.Name}}
	return e, s.client.Patch(ctx, event, client.RawPatch(types.MergePatchType, []byte(patch))) //nolint:wrapcheck // see above
}
