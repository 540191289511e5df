package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
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

	kubeovnv1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/host"
	"github.com/woven-cni/woven/pkg/spec"
)

// southbound is the Service whose endpoints are the southbound database.
const southbound = "ovn-sb"

// watch carries what happens in the cluster to the parts of the daemon.
type watch struct {
	*daemon
	cache  cache.Cache
	client client.Client

	mu     sync.Mutex          // protects slices and listed
	slices map[string][]string // addresses of the southbound database, by EndpointSlice
	listed bool                // whether all EndpointSlices of the first list are in slices

	registered chan struct{} // closed when handled is whole
	handled    []toolscache.InformerSynced
}

func (d *daemon) newWatch() (*watch, error) {
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
	share := true // the handlers below only read
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
	return &watch{daemon: d, cache: c, client: writer, slices: map[string][]string{}, registered: make(chan struct{})}, nil
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
	for _, kind := range []struct {
		object client.Object
		set    func(context.Context, any)
		remove func(any)
	}{
		{
			&corev1.Pod{},
			func(_ context.Context, o any) { w.pods.Set(o.(*corev1.Pod)) },
			func(o any) { w.pods.Delete(o.(*corev1.Pod)) },
		},
		{&corev1.Node{}, w.setNode, func(any) {}},
		{
			&kubeovnv1.Subnet{},
			func(_ context.Context, o any) {
				s, _ := spec.InForce(o.(*kubeovnv1.Subnet), w.clusterRouter) // one of which nothing is in force has no CIDRs
				w.host.SetSubnet(host.NewSubnet(s, w.clusterRouter, w.nodeSwitch))
			},
			func(o any) { w.host.DeleteSubnet(o.(*kubeovnv1.Subnet).Name) },
		},
		{
			&discoveryv1.EndpointSlice{},
			func(_ context.Context, o any) { w.setEndpoints(o.(*discoveryv1.EndpointSlice)) },
			func(o any) { w.removeEndpoints(o.(*discoveryv1.EndpointSlice).Name) },
		},
	} {
		informer, err := w.cache.GetInformer(ctx, kind.object, cache.BlockUntilSynced(false))
		if err != nil {
			return fmt.Errorf("watching %T: %w", kind.object, err)
		}
		handled, err := informer.AddEventHandler(handlers(ctx, kind.set, kind.remove))
		if err != nil {
			return fmt.Errorf("watching %T: %w", kind.object, err)
		}
		w.handled = append(w.handled, handled.HasSynced)
	}
	close(w.registered)
	go w.awaitEndpoints(ctx)
	if err := w.cache.Start(ctx); err != nil {
		return fmt.Errorf("watching the cluster: %w", err)
	}
	return nil
}

func handlers(ctx context.Context, set func(context.Context, any), remove func(any)) toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { set(ctx, obj) },
		UpdateFunc: func(_, obj any) { set(ctx, obj) },
		DeleteFunc: func(obj any) {
			if last, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
				obj = last.Obj
			}
			remove(obj)
		},
	}
}

func (w *watch) setNode(ctx context.Context, obj any) {
	object := obj.(*corev1.Node)
	node, err := host.ParseNode(object)
	if err != nil {
		w.log.Error(err, "the node's annotations cannot be used")
		return
	}
	w.host.SetNode(node)
	w.describeNode(ctx, object)
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

// awaitEndpoints lets the host know of the first list as a whole: half of the addresses would cut off ovn-controller from the other
// half, and leave those databases unprotected, at every start of the daemon.
func (w *watch) awaitEndpoints(ctx context.Context) {
	if w.awaitPods(ctx) != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listed = true
	w.setRemotes()
}

func (w *watch) setEndpoints(slice *discoveryv1.EndpointSlice) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.slices[slice.Name] = remotes(slice)
	w.setRemotes()
}

// remotes are the OVSDB addresses of a slice's endpoints.
func remotes(slice *discoveryv1.EndpointSlice) []string {
	var out []string
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
	return out
}

func (w *watch) removeEndpoints(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.slices, name)
	w.setRemotes()
}

// setRemotes is called with mu held.
func (w *watch) setRemotes() {
	if !w.listed {
		return
	}
	var all []string
	for _, remotes := range w.slices {
		all = append(all, remotes...)
	}
	w.host.SetRemotes(all)
}
