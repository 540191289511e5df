package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/node"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/engine"
	"github.com/woven-cni/woven/pkg/policy"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/subnet"
	"github.com/woven-cni/woven/pkg/vpc"
)

// The lease is short because a standby is warm: it has every object and the whole northbound database in memory. Traffic
// does not depend on it, only changes do.
const (
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = 2 * time.Second
)

// Changes of routers, switches and nodes that come shortly after each other go together: northd computes all flows anew for
// each, and each chassis goes through all of its own, so that 300 new Subnets one by one keep a processor of every chassis
// busy for 16 s.
const (
	topologyQuiet   = 500 * time.Millisecond
	topologyLongest = 3 * time.Second
)

// run serves until ctx ends.
func run(ctx context.Context, o *Options) error {
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("finding the API server: %w", err)
	}
	// A burst of pods is one patch each; the API server's own priority and fairness is the limit that counts.
	config.QPS, config.Burst = 1000, 2000
	config.UserAgent = "woven-controller"
	mgr, err := newManager(config, o)
	if err != nil {
		return err
	}
	mgr = reconcile.WithEvents(ctx, mgr)
	db, err := engine.Open(ctx, ovs.Northbound, splitList(o.NBAddr),
		engine.WithLogger(mgr.GetLogger().WithName("ovs")), engine.WithMetrics(metrics.Registry),
		engine.WithWindow(topologyQuiet, topologyLongest, vpc.FeatureName, subnet.FeatureName, node.FeatureName))
	if err != nil {
		return fmt.Errorf("opening the northbound database: %w", err)
	}
	if o.NBAddr == "" {
		if err := mgr.Add(&endpoints{cache: mgr.GetCache(), namespace: o.Namespace, service: "ovn-nb", set: db.SetEndpoints}); err != nil {
			return fmt.Errorf("adding the discovery of the northbound database: %w", err)
		}
	}
	if _, err := addFeatures(mgr, db, metrics.Registry, o); err != nil {
		return err
	}
	if err := addProbes(mgr, db); err != nil {
		return err
	}
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("running: %w", err)
	}
	return nil
}

func newManager(config *rest.Config, o *Options) (manager.Manager, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1.AddToScheme, policy.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("building the scheme: %w", err)
		}
	}
	lease, renew, retry := leaseDuration, renewDeadline, retryPeriod
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme,
		Cache: cache.Options{
			DefaultTransform: cache.TransformStripManagedFields(),
			ByObject: map[client.Object]cache.ByObject{
				&corev1.Pod{}:  {Transform: trimPod},
				&corev1.Node{}: {Transform: trimNode},
				&apiextensionsv1.CustomResourceDefinition{}: {Transform: trimCRD},
			},
		},
		Metrics:                       metricsserver.Options{BindAddress: o.MetricsAddr},
		LeaderElection:                o.LeaderElect,
		LeaderElectionID:              "woven-controller",
		LeaderElectionNamespace:       o.Namespace,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 &lease,
		RenewDeadline:                 &renew,
		RetryPeriod:                   &retry,
	})
	if err != nil {
		return nil, fmt.Errorf("making the manager: %w", err)
	}
	return mgr, nil
}

// addProbes makes the process live while it runs, and ready while it could take over at once. They are served beside the
// metrics, so that a node lends the controller one port and not two.
func addProbes(mgr manager.Manager, db *engine.DB) error {
	connected := func(*http.Request) error {
		if !db.Connected() {
			return ovs.ErrOffline
		}
		return nil
	}
	for path, check := range map[string]healthz.Checker{"/healthz": healthz.Ping, "/readyz": connected} {
		handler := http.StripPrefix(path, &healthz.Handler{Checks: map[string]healthz.Checker{"controller": check}})
		if err := mgr.AddMetricsServerExtraHandler(path, handler); err != nil {
			return fmt.Errorf("adding %s: %w", path, err)
		}
	}
	return nil
}

// trimPod keeps what features read: a cluster's pods are most of the controller's memory.
func trimPod(obj any) (any, error) {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return obj, nil
	}
	pod.ManagedFields = nil
	pod.Spec = corev1.PodSpec{
		NodeName: pod.Spec.NodeName, HostNetwork: pod.Spec.HostNetwork,
		Containers: trimContainers(pod.Spec.Containers), InitContainers: trimContainers(pod.Spec.InitContainers),
	}
	pod.Status = corev1.PodStatus{Phase: pod.Status.Phase}
	return pod, nil
}

// trimContainers keeps their ports, and which of the init containers are sidecars.
func trimContainers(all []corev1.Container) []corev1.Container {
	out := make([]corev1.Container, len(all))
	for i, c := range all {
		out[i] = corev1.Container{Name: c.Name, Ports: c.Ports, RestartPolicy: c.RestartPolicy}
	}
	return out
}

// trimNode keeps a node's addresses and drops its images and conditions, which change every few seconds.
func trimNode(obj any) (any, error) {
	node, ok := obj.(*corev1.Node)
	if !ok {
		return obj, nil
	}
	node.ManagedFields = nil
	node.Status = corev1.NodeStatus{Addresses: node.Status.Addresses}
	return node, nil
}

// trimCRD keeps which versions a custom resource has, and drops their schemas.
func trimCRD(obj any) (any, error) {
	crd, ok := obj.(*apiextensionsv1.CustomResourceDefinition)
	if !ok {
		return obj, nil
	}
	crd.ManagedFields, crd.Annotations = nil, nil
	for i := range crd.Spec.Versions {
		v := &crd.Spec.Versions[i]
		*v = apiextensionsv1.CustomResourceDefinitionVersion{Name: v.Name, Served: v.Served}
	}
	return crd, nil
}

func splitList(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' })
}
