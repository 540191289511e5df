package service

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// serviceNameIndex finds the EndpointSlices of a Service without a look at all of them.
const serviceNameIndex = "service"

// Feature is the Service feature; indexer makes the index of EndpointSlices that it reads.
func Feature(ctx context.Context, indexer client.FieldIndexer, defaultVpc string) (reconcile.Feature[In], error) {
	f := &feature{defaultVpc: defaultVpc}
	err := indexer.IndexField(ctx, &discoveryv1.EndpointSlice{}, serviceNameIndex, func(obj client.Object) []string {
		return []string{obj.GetLabels()[discoveryv1.LabelServiceName]}
	})
	if err != nil {
		return reconcile.Feature[In]{}, fmt.Errorf("indexing EndpointSlices by Service: %w", err)
	}
	return reconcile.Feature[In]{
		Name: FeatureName,
		For:  &corev1.Service{},
		Watches: []reconcile.Watch{
			{Kind: &discoveryv1.EndpointSlice{}, Map: serviceOf},
		},
		Workers: 4, Gather: f.gather, Translate: Translate,
	}, nil
}

type feature struct{ defaultVpc string }

// serviceOf is the Service that an EndpointSlice carries the name of.
func serviceOf(_ context.Context, obj client.Object) []ctrl.Request {
	name := obj.GetLabels()[discoveryv1.LabelServiceName]
	if name == "" {
		return nil
	}
	return []ctrl.Request{{NamespacedName: types.NamespacedName{Namespace: obj.GetNamespace(), Name: name}}}
}

func (f *feature) gather(ctx context.Context, r client.Reader, key types.NamespacedName) (In, error) {
	in := In{Key: reconcile.Key(key), Vpc: f.defaultVpc}
	var svc corev1.Service
	if err := r.Get(ctx, key, &svc); err != nil {
		return in, client.IgnoreNotFound(err)
	}
	in.Service = &svc
	if vpc := svc.Annotations[v1.AnnotationVpc]; vpc != "" {
		in.Vpc = vpc
	}
	var list discoveryv1.EndpointSliceList
	if err := r.List(ctx, &list, client.InNamespace(key.Namespace), client.MatchingFields{serviceNameIndex: key.Name}); err != nil {
		return in, fmt.Errorf("listing endpoints of %s: %w", key, err)
	}
	for i := range list.Items {
		in.Slices = append(in.Slices, &list.Items[i])
	}
	return in, nil
}
