package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"reflect"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	kubeovnv1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/host"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// southbound is the Service whose endpoints are the southbound database.
const southbound = "ovn-sb"

// watch carries what the API server has to the parts of the daemon. It is level-based: whatever happens to an object, its
// key is read anew, and the host is told of the cluster as a whole.
type watch struct {
	*daemon
	cache  cache.Cache
	client client.Client
	events recorder.EventRecorder
	stale  chan struct{} // wakes gather

	registered chan struct{} // closed when handled is whole
	handled    []toolscache.InformerSynced
}

// newWatch makes the watch; its Events are written as long as the context lasts.
func (d *daemon) newWatch(ctx context.Context) (*watch, error) {
	config, err := d.restConfig()
	if err != nil {
		return nil, fmt.Errorf("reading the configuration of the API client: %w", err)
	}
	types := runtime.NewScheme()
	if err := scheme.AddToScheme(types); err != nil {
		return nil, fmt.Errorf("registering types: %w", err)
	}
	if err := kubeovnv1.AddToScheme(types); err != nil {
		return nil, fmt.Errorf("registering types: %w", err)
	}
	share := true // what is read is never written to
	c, err := cache.New(config, cache.Options{
		Scheme: types, DefaultTransform: trim, DefaultUnsafeDisableDeepCopy: &share,
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Pod{}:  {Field: fields.OneTermEqualSelector("spec.nodeName", d.nodeName)},
			&corev1.Node{}: {Field: fields.OneTermEqualSelector("metadata.name", d.nodeName)},
			&discoveryv1.EndpointSlice{}: {
				Namespaces: map[string]cache.Config{d.namespace: {}},
				Label:      labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: southbound}),
			},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("making the cache: %w", err)
	}
	writer, err := client.New(config, client.Options{Scheme: types})
	if err != nil {
		return nil, fmt.Errorf("making the API client: %w", err)
	}
	events, err := reconcile.NewRecorder(ctx, writer, "woven-daemon")
	if err != nil {
		return nil, fmt.Errorf("recording Events: %w", err)
	}
	return &watch{
		daemon: d, cache: c, client: writer, events: events, stale: make(chan struct{}, 1), registered: make(chan struct{}),
	}, nil
}

// awaitPods waits until every object of the first lists has gone through its handler. That the cache has it is not
// enough: a pod that the handlers have yet to see would pass for one that does not exist.
func (w *watch) awaitPods(ctx context.Context) error {
	select {
	case <-w.registered:
	case <-ctx.Done():
		return ctx.Err()
	}
	if !toolscache.WaitForCacheSync(ctx.Done(), w.handled...) {
		return ctx.Err()
	}
	return nil
}

func (o *options) restConfig() (*rest.Config, error) {
	if o.kubeconfig == "" {
		return rest.InClusterConfig()
	}
	return clientcmd.BuildConfigFromFlags("", o.kubeconfig)
}

// trim leaves of an object what the daemon reads: of a pod of many kilobytes some hundred bytes.
func trim(in any) (any, error) {
	switch obj := in.(type) {
	case *corev1.Pod:
		obj.ManagedFields, obj.Labels, obj.OwnerReferences = nil, nil, nil
		obj.Spec, obj.Status = corev1.PodSpec{NodeName: obj.Spec.NodeName}, corev1.PodStatus{}
	case *corev1.Node:
		obj.ManagedFields = nil
		obj.Status = corev1.NodeStatus{Addresses: obj.Status.Addresses}
	case *kubeovnv1.Subnet:
		obj.ManagedFields = nil
		// Usage: as much text as addresses in use are scattered, and another one every second while pods come and go anywhere.
		status := &obj.Status
		status.V4AvailableIPs, status.V4UsingIPs, status.V6AvailableIPs, status.V6UsingIPs = 0, 0, 0, 0
		status.V4AvailableIPRange, status.V4UsingIPRange, status.V6AvailableIPRange, status.V6UsingIPRange = "", "", "", ""
	case client.Object:
		obj.SetManagedFields(nil)
	}
	return in, nil
}

// run registers the handlers and keeps the cache until the context ends.
func (w *watch) run(ctx context.Context) error {
	for object, take := range map[client.Object]func(key string){
		&corev1.Pod{}:                w.takePod,
		&corev1.Node{}:               w.wakeGather,
		&kubeovnv1.Subnet{}:          w.wakeGather,
		&discoveryv1.EndpointSlice{}: w.wakeGather,
	} {
		informer, err := w.cache.GetInformer(ctx, object, cache.BlockUntilSynced(false))
		if err != nil {
			return fmt.Errorf("watching %T: %w", object, err)
		}
		handled, err := informer.AddEventHandler(keys(take))
		if err != nil {
			return fmt.Errorf("watching %T: %w", object, err)
		}
		w.handled = append(w.handled, handled.HasSynced)
	}
	close(w.registered)
	go w.gather(ctx)
	if err := w.cache.Start(ctx); err != nil {
		return fmt.Errorf("watching the cluster: %w", err)
	}
	return nil
}

// keys hands on the key of an object to which something has happened that changed it.
func keys(take func(key string)) toolscache.ResourceEventHandler {
	named := func(obj any) {
		if key, err := toolscache.DeletionHandlingMetaNamespaceKeyFunc(obj); err == nil {
			take(key)
		}
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc: named,
		UpdateFunc: func(before, after any) {
			if !same(before, after) {
				named(after)
			}
		},
		DeleteFunc: named,
	}
}

// same tells whether two versions of an object, trimmed, say the same. On most events they do: a heartbeat of the node, or
// how many of a Subnet's addresses are in use.
func same(before, after any) bool {
	switch b := after.(type) {
	case *kubeovnv1.Subnet:
		a := before.(*kubeovnv1.Subnet)
		return a.Generation == b.Generation && reflect.DeepEqual(a.Spec, b.Spec) && reflect.DeepEqual(a.Status, b.Status)
	case *corev1.Node:
		a := before.(*corev1.Node)
		return maps.Equal(a.Labels, b.Labels) && maps.Equal(a.Annotations, b.Annotations) && reflect.DeepEqual(a.Status, b.Status)
	}
	return false
}

// takePod takes in what the cache has of a pod, if it has it.
func (w *watch) takePod(key string) {
	namespace, name, _ := toolscache.SplitMetaNamespaceKey(key)
	pod := &corev1.Pod{}
	// A cache that reads from memory knows the pod or does not; there is no other outcome.
	if w.cache.Get(context.Background(), client.ObjectKey{Namespace: namespace, Name: name}, pod) != nil {
		pod = nil
	}
	w.pods.Set(namespace, name, pod)
}

func (w *watch) wakeGather(string) {
	select {
	case w.stale <- struct{}{}:
	default:
	}
}

// gather tells the host of the cluster, once all of the first lists is there and then whenever something changed. A part of it
// would be told as all: half of the databases' addresses would cut off ovn-controller from the other half, and leave those
// unprotected, and Subnets that are not listed yet would lose their routes, at every start of the daemon.
func (w *watch) gather(ctx context.Context) {
	if w.awaitPods(ctx) != nil {
		return
	}
	for {
		if err := w.updateHost(ctx); err != nil && ctx.Err() == nil {
			w.log.Error(err, "gathering what the node has to know")
		}
		select {
		case <-w.stale:
		case <-ctx.Done():
			return
		}
	}
}

func (w *watch) updateHost(ctx context.Context) error {
	var node corev1.Node
	var subnets kubeovnv1.SubnetList
	var endpoints discoveryv1.EndpointSliceList
	err := errors.Join(
		client.IgnoreNotFound(w.cache.Get(ctx, client.ObjectKey{Name: w.nodeName}, &node)),
		w.cache.List(ctx, &subnets), w.cache.List(ctx, &endpoints))
	if err != nil {
		return fmt.Errorf("reading the cache: %w", err)
	}
	cluster := host.NewCluster(&node, subnets.Items, w.clusterRouter, w.nodeSwitch)
	cluster.Remotes = remotes(endpoints.Items)
	w.host.Set(cluster)
	if node.Name != "" {
		w.describeNode(ctx, &node)
	}
	return nil
}

// describeNode writes what others want to know of the node: its name in the southbound database and its datapath.
func (w *watch) describeNode(ctx context.Context, node *corev1.Node) {
	if node.Annotations[kubeovnv1.AnnotationChassis] == w.nodeName &&
		node.Labels[kubeovnv1.LabelOVSDatapathType] == w.datapathLabel() {
		return
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"annotations": map[string]string{kubeovnv1.AnnotationChassis: w.nodeName},
		"labels":      map[string]string{kubeovnv1.LabelOVSDatapathType: w.datapathLabel()},
	}})
	if err == nil {
		err = w.client.Patch(ctx, node.DeepCopy(), client.RawPatch(types.MergePatchType, patch))
	}
	if err != nil && !apierrors.IsNotFound(err) {
		w.log.Error(err, "describing the node")
	}
}

// showProblem tells the node's users what keeps it from being whole. Events of a Node have its name for a UID: the kubelet began it,
// and kubectl finds them by that.
func (w *watch) showProblem(p host.Problem) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: w.nodeName, UID: types.UID(w.nodeName)}}
	w.events.Eventf(node, nil, corev1.EventTypeWarning, p.Reason, "Configuring", "%s", p.Message)
}

// remotes are the OVSDB addresses of the endpoints that are ready, sorted.
func remotes(all []discoveryv1.EndpointSlice) []string {
	var out []string
	for _, slice := range all {
		for _, endpoint := range slice.Endpoints {
			if endpoint.Conditions.Ready != nil && !*endpoint.Conditions.Ready {
				continue
			}
			for _, address := range endpoint.Addresses {
				for _, port := range slice.Ports {
					if port.Port != nil {
						out = append(out, "tcp:"+net.JoinHostPort(address, strconv.Itoa(int(*port.Port))))
					}
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
