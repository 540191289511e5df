package reconciletest

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/recorder"
)

// silence has managers say nothing. The logger is one for the process, whose clusters may be many side by side.
var silence = sync.OnceFunc(func() { ctrl.SetLogger(logr.Discard()) })

// Start runs a manager with its real caches, indexes, queues and controllers on the cluster, as one process of the
// controller does, until the test ends or stop is called. The features are added by add.
func (c *Cluster) Start(t testing.TB, add func(context.Context, manager.Manager) error) (stop func()) {
	t.Helper()
	silence()
	mgr, err := ctrl.NewManager(&rest.Config{Host: "http://127.0.0.1:1"}, ctrl.Options{
		Scheme:         c.scheme,
		Metrics:        metricsserver.Options{BindAddress: "0"},
		Controller:     config.Controller{SkipNameValidation: ptr.To(true)},
		MapperProvider: func(*rest.Config, *http.Client) (meta.RESTMapper, error) { return c.RESTMapper(), nil },
		NewCache: func(config *rest.Config, o cache.Options) (cache.Cache, error) {
			o.NewInformer = c.informer
			return cache.New(config, o)
		},
		NewClient: func(_ *rest.Config, o client.Options) (client.Client, error) { return &cached{c, o.Cache.Reader}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := add(ctx, &recording{mgr, &c.Events}); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("the manager ended: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// recording is a manager whose events the test reads.
type recording struct {
	manager.Manager
	events *Events
}

// GetEventRecorder implements recorder.Provider.
func (m *recording) GetEventRecorder(string) recorder.EventRecorder { return m.events }

// cached reads from the manager's cache and writes to the cluster, as a manager's client does.
type cached struct {
	*Cluster
	reader client.Reader
}

// Get implements client.Reader.
func (c *cached) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	c.read(obj, 1)
	return c.reader.Get(ctx, key, obj, opts...)
}

// List implements client.Reader.
func (c *cached) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	err := c.reader.List(ctx, list, opts...)
	c.read(list, meta.LenList(list))
	return err
}

// informer takes the place of one that asks an API server.
func (c *Cluster) informer(
	_ toolscache.ListerWatcher, obj runtime.Object, resync time.Duration, by toolscache.Indexers,
) toolscache.SharedIndexInformer {
	s := &stream{cluster: c, of: obj}
	return toolscache.NewSharedIndexInformer(s, obj, resync, by)
}

// stream lists and watches one kind. The cluster in memory cannot watch from a moment in the past, so the watch is
// begun before the list is made, and what happens between the two is seen twice rather than not at all.
type stream struct {
	cluster *Cluster
	of      runtime.Object
	begun   watch.Interface // used by one reflector, which lists and watches in turns
}

// IsWatchListSemanticsUnSupported tells the reflector to list first.
func (*stream) IsWatchListSemanticsUnSupported() bool { return true }

// List implements toolscache.Lister.
func (s *stream) List(metav1.ListOptions) (runtime.Object, error) {
	if s.begun != nil {
		s.begun.Stop()
	}
	var err error
	if s.begun, err = s.cluster.WithWatch.Watch(context.Background(), s.list()); err != nil {
		return nil, err
	}
	list := s.list()
	return list, s.cluster.WithWatch.List(context.Background(), list)
}

// Watch implements toolscache.Watcher.
func (s *stream) Watch(metav1.ListOptions) (watch.Interface, error) {
	begun := s.begun
	if s.begun = nil; begun != nil {
		return begun, nil
	}
	return s.cluster.WithWatch.Watch(context.Background(), s.list())
}

func (s *stream) list() client.ObjectList {
	gvk, err := apiutil.GVKForObject(s.of, s.cluster.scheme)
	if err != nil {
		panic(err) // a kind that the cluster's scheme does not have cannot have come this far
	}
	gvk.Kind += "List"
	list, err := s.cluster.scheme.New(gvk)
	if err != nil {
		panic(err)
	}
	return list.(client.ObjectList)
}

// Update implements client.Writer; see counted.
func (c *Cluster) Update(ctx context.Context, obj client.Object, opts ...client.UpdateOption) error {
	return c.counted(ctx, obj, func() error { return c.WithWatch.Update(ctx, obj, opts...) })
}

// Patch implements client.Writer; see counted.
func (c *Cluster) Patch(ctx context.Context, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
	return c.counted(ctx, obj, func() error { return c.WithWatch.Patch(ctx, obj, patch, opts...) })
}

// Delete implements client.Writer; see counted.
func (c *Cluster) Delete(ctx context.Context, obj client.Object, opts ...client.DeleteOption) error {
	return c.counted(ctx, obj, func() error { return c.WithWatch.Delete(ctx, obj, opts...) })
}

// counted adds what the client in memory leaves to the API server: an edit of the spec of one of our objects, and a
// deletion that has to wait, count as a generation.
func (c *Cluster) counted(ctx context.Context, obj client.Object, write func() error) error {
	before := c.look(ctx, obj)
	c.count(obj)
	if err := write(); err != nil {
		return err
	}
	for before != nil {
		after := c.look(ctx, obj)
		same := after == nil || reflect.DeepEqual(specOf(before), specOf(after)) &&
			before.GetDeletionTimestamp().IsZero() == after.GetDeletionTimestamp().IsZero()
		if same || after.GetGeneration() > before.GetGeneration() {
			return nil
		}
		after.SetGeneration(before.GetGeneration() + 1)
		if err := c.WithWatch.Update(ctx, after); !apierrors.IsConflict(err) {
			obj.SetGeneration(after.GetGeneration())
			obj.SetResourceVersion(after.GetResourceVersion())
			return client.IgnoreNotFound(err)
		}
	}
	return nil
}

// look is an object of one of our kinds that have a status, as it is now; or nil.
func (c *Cluster) look(ctx context.Context, obj client.Object) client.Object {
	kind := reflect.TypeOf(obj).Elem()
	if !slices.ContainsFunc(withStatus(c.scheme), func(ours client.Object) bool { return reflect.TypeOf(ours).Elem() == kind }) {
		return nil
	}
	now := reflect.New(kind).Interface().(client.Object)
	if c.WithWatch.Get(ctx, client.ObjectKeyFromObject(obj), now) != nil {
		return nil
	}
	return now
}

func specOf(obj client.Object) any {
	return reflect.ValueOf(obj).Elem().FieldByName("Spec").Interface()
}

// Eventually waits until check says nothing, and fails with the last thing that it said.
func Eventually(t testing.TB, what string, check func() string) {
	t.Helper()
	const patience, pause = time.Minute, 10 * time.Millisecond // for a machine that keeps processes waiting, too
	tick := time.NewTicker(pause)
	defer tick.Stop()
	said := check()
	for deadline := time.Now().Add(patience); said != ""; said = check() {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not come true: %s", what, said)
		}
		<-tick.C
	}
}
