package main

import (
	"context"
	"fmt"
	"net"
	"slices"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// endpoints follows the EndpointSlices of a Service and tells where it is served. The databases are found this way, and
// not by name or virtual address, because DNS and Services come up after the network does.
type endpoints struct {
	cache              cache.Cache
	namespace, service string
	set                func([]string)
}

// Start implements manager.Runnable.
func (e *endpoints) Start(ctx context.Context) error {
	informer, err := e.cache.GetInformer(ctx, &discoveryv1.EndpointSlice{})
	if err != nil {
		return fmt.Errorf("watching the EndpointSlices of %s: %w", e.service, err)
	}
	look := func(obj any) {
		if gone, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
			obj = gone.Obj
		}
		slice, ok := obj.(*discoveryv1.EndpointSlice)
		if ok && slice.Namespace == e.namespace && slice.Labels[discoveryv1.LabelServiceName] == e.service {
			e.look(ctx)
		}
	}
	handle, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc: look, UpdateFunc: func(_, obj any) { look(obj) }, DeleteFunc: look,
	})
	if err != nil {
		return fmt.Errorf("watching the EndpointSlices of %s: %w", e.service, err)
	}
	<-ctx.Done()
	if err := informer.RemoveEventHandler(handle); err != nil {
		return fmt.Errorf("ending the watch of %s: %w", e.service, err)
	}
	return nil
}

// NeedLeaderElection lets a standby follow the database too.
func (e *endpoints) NeedLeaderElection() bool { return false }

func (e *endpoints) look(ctx context.Context) {
	var list discoveryv1.EndpointSliceList
	err := e.cache.List(ctx, &list, client.InNamespace(e.namespace), client.MatchingLabelsSelector{
		Selector: labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: e.service}),
	})
	if err != nil {
		log.FromContext(ctx).Error(err, "cannot list endpoints", "service", e.service)
		return
	}
	e.set(remotes(list.Items))
}

// remotes are the OVSDB addresses of the endpoints, ready or not: a database that restarts is where it was.
func remotes(list []discoveryv1.EndpointSlice) []string {
	var out []string
	for _, slice := range list {
		for _, port := range slice.Ports {
			if port.Port == nil {
				continue
			}
			for _, endpoint := range slice.Endpoints {
				for _, address := range endpoint.Addresses {
					out = append(out, "tcp:"+net.JoinHostPort(address, fmt.Sprint(*port.Port)))
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
