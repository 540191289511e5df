package reconciletest

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/recorder"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
)

// Cluster is a Kubernetes API in memory. It is the client, the indexer and the recorder of events that a feature is
// made with; it can be used once Load has filled it.
type Cluster struct {
	client.WithWatch
	// Events holds what users were told, one "Type Reason object: note" each.
	Events Events

	scheme  *runtime.Scheme
	builder *fake.ClientBuilder
	writes  sync.Map // string -> *atomic.Int64: how often objects of a kind were written
	reads   sync.Map // string -> *atomic.Int64: how many objects of a kind were read from caches
	lacks   sync.Map // schema.GroupKind -> true: what the API does not have yet
}

var _ client.FieldIndexer = (*Cluster)(nil)

// NewCluster is a cluster without objects, to make features with.
func NewCluster(t testing.TB) *Cluster {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme, v1.AddToScheme, v1alpha1.Install, v1alpha2.Install,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	builder := fake.NewClientBuilder().WithScheme(scheme).WithRESTMapper(mapper(scheme)).
		WithStatusSubresource(
			&corev1.Pod{}, &corev1.Node{},
			&v1alpha2.ClusterNetworkPolicy{}, &v1alpha1.AdminNetworkPolicy{}, &v1alpha1.BaselineAdminNetworkPolicy{}).
		WithStatusSubresource(withStatus(scheme)...)
	return &Cluster{scheme: scheme, builder: builder}
}

// withStatus are our own kinds that have a status.
func withStatus(scheme *runtime.Scheme) (out []client.Object) {
	for _, kind := range scheme.KnownTypes(v1.GroupVersion) {
		if _, has := kind.FieldByName("Status"); !has {
			continue
		}
		if obj, is := reflect.New(kind).Interface().(client.Object); is {
			out = append(out, obj)
		}
	}
	return out
}

// mapper knows the kinds of the scheme, as discovery would tell them.
func mapper(scheme *runtime.Scheme) meta.RESTMapper {
	m := meta.NewDefaultRESTMapper(scheme.PrioritizedVersionsAllGroups())
	for gvk := range scheme.AllKnownTypes() {
		scope := meta.RESTScopeNamespace
		if gvk.GroupVersion() == v1.GroupVersion || gvk.Group == v1alpha2.GroupName || slices.Contains([]string{"Node", "Namespace", "CustomResourceDefinition"}, gvk.Kind) {
			scope = meta.RESTScopeRoot
		}
		m.Add(gvk, scope)
	}
	return m
}

// RESTMapper and Scheme know the kinds of the cluster; they can be asked before Load.
func (c *Cluster) RESTMapper() meta.RESTMapper { return &lacking{mapper(c.scheme), c} }

// Lack takes a kind out of the API, until gain is called.
func (c *Cluster) Lack(kind schema.GroupKind) (gain func()) {
	c.lacks.Store(kind, true)
	return func() { c.lacks.Delete(kind) }
}

// lacking is a mapper that does not know what the cluster lacks.
type lacking struct {
	meta.RESTMapper
	cluster *Cluster
}

// RESTMapping implements meta.RESTMapper.
func (l *lacking) RESTMapping(kind schema.GroupKind, versions ...string) (*meta.RESTMapping, error) {
	if _, lacks := l.cluster.lacks.Load(kind); lacks {
		return nil, &meta.NoKindMatchError{GroupKind: kind, SearchedVersions: versions}
	}
	return l.RESTMapper.RESTMapping(kind, versions...) //nolint:wrapcheck // it is the mapper
}

// Scheme is described at RESTMapper.
func (c *Cluster) Scheme() *runtime.Scheme { return c.scheme }

// IndexField implements client.FieldIndexer.
func (c *Cluster) IndexField(_ context.Context, obj client.Object, field string, extract client.IndexerFunc) error {
	c.builder = c.builder.WithIndex(obj, field, extract)
	return nil
}

// Load puts the objects into the cluster. It is called once, after the features have asked for their indexes.
func (c *Cluster) Load(objects ...client.Object) {
	c.WithWatch = c.builder.WithObjects(objects...).Build()
}

// Events is a recorder that keeps what it is told.
type Events struct {
	recorder.EventRecorder

	mu   sync.Mutex // protects told
	told []string
}

// Eventf implements events.EventRecorder.
func (e *Events) Eventf(about, _ runtime.Object, kind, reason, _, note string, args ...any) { //nolint:revive // the interface has as many
	e.mu.Lock()
	defer e.mu.Unlock()
	name := ""
	if obj, ok := about.(client.Object); ok {
		name = client.ObjectKeyFromObject(obj).String()
	}
	e.told = append(e.told, fmt.Sprintf("%s %s %s: %s", kind, reason, strings.TrimPrefix(name, "/"), fmt.Sprintf(note, args...)))
}

// Take returns what was told since the last call.
func (e *Events) Take() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	told := e.told
	e.told = nil
	return told
}
