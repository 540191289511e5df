package policy

import (
	"context"
	"fmt"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/woven-cni/woven/pkg/reconcile"
)

// The Owner.Feature of the rows of each kind of policy.
const (
	NetworkPolicyName              = "networkpolicy"
	ClusterNetworkPolicyName       = "clusternetworkpolicy"
	AdminNetworkPolicyName         = "adminnetworkpolicy"
	BaselineAdminNetworkPolicyName = "baselineadminnetworkpolicy"
)

// Kinds are the APIs that policies are written in.
type Kinds []kind

// kind is one of the APIs.
type kind struct {
	name string
	// served says whether the cluster has the API. One that is gone has left rows behind, perhaps.
	served bool
	empty  func() client.Object
	parse  func(client.Object) (Policy, reconcile.Problems)
	// list reads all policies of the kind.
	list func(context.Context, client.Reader) ([]client.Object, error)
	// conditions are where an object is told how it is; nil for a kind without a status.
	conditions func(client.Object) *[]metav1.Condition
}

// Served finds out which of the APIs the cluster has: those of administrators come with custom resources.
func Served(scheme *runtime.Scheme, mapper meta.RESTMapper) (Kinds, error) {
	kinds := Kinds{networkPolicies, clusterNetworkPolicies, adminNetworkPolicies, baselineAdminNetworkPolicies}
	for i := range kinds {
		gvk, err := apiutil.GVKForObject(kinds[i].empty(), scheme)
		if err != nil {
			return nil, fmt.Errorf("looking for the kind of %s: %w", kinds[i].name, err)
		}
		_, err = mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
		if err != nil && !meta.IsNoMatchError(err) {
			return nil, fmt.Errorf("asking the API server for %s: %w", gvk, err)
		}
		kinds[i].served = err == nil
	}
	return kinds, nil
}

// AddToScheme adds the types that are not Kubernetes' own.
func AddToScheme(scheme *runtime.Scheme) error {
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.Install, v1alpha2.Install} {
		if err := add(scheme); err != nil {
			return fmt.Errorf("adding the policies of administrators: %w", err)
		}
	}
	return nil
}

var networkPolicies = kind{
	name:  NetworkPolicyName,
	empty: func() client.Object { return &networkingv1.NetworkPolicy{} },
	parse: func(obj client.Object) (Policy, reconcile.Problems) {
		return ParseNetworkPolicy(obj.(*networkingv1.NetworkPolicy))
	},
	list: func(ctx context.Context, r client.Reader) ([]client.Object, error) {
		var list networkingv1.NetworkPolicyList
		err := r.List(ctx, &list)
		return pointers(list.Items), err
	},
}

var clusterNetworkPolicies = kind{
	name:  ClusterNetworkPolicyName,
	empty: func() client.Object { return &v1alpha2.ClusterNetworkPolicy{} },
	parse: func(obj client.Object) (Policy, reconcile.Problems) {
		return ParseClusterNetworkPolicy(obj.(*v1alpha2.ClusterNetworkPolicy))
	},
	list: func(ctx context.Context, r client.Reader) ([]client.Object, error) {
		var list v1alpha2.ClusterNetworkPolicyList
		err := r.List(ctx, &list)
		return pointers(list.Items), err
	},
	conditions: func(obj client.Object) *[]metav1.Condition {
		return &obj.(*v1alpha2.ClusterNetworkPolicy).Status.Conditions
	},
}

var adminNetworkPolicies = kind{
	name:  AdminNetworkPolicyName,
	empty: func() client.Object { return &v1alpha1.AdminNetworkPolicy{} },
	parse: func(obj client.Object) (Policy, reconcile.Problems) {
		return ParseAdminNetworkPolicy(obj.(*v1alpha1.AdminNetworkPolicy))
	},
	list: func(ctx context.Context, r client.Reader) ([]client.Object, error) {
		var list v1alpha1.AdminNetworkPolicyList
		err := r.List(ctx, &list)
		return pointers(list.Items), err
	},
	conditions: func(obj client.Object) *[]metav1.Condition {
		return &obj.(*v1alpha1.AdminNetworkPolicy).Status.Conditions
	},
}

var baselineAdminNetworkPolicies = kind{
	name:  BaselineAdminNetworkPolicyName,
	empty: func() client.Object { return &v1alpha1.BaselineAdminNetworkPolicy{} },
	parse: func(obj client.Object) (Policy, reconcile.Problems) {
		return ParseBaselineAdminNetworkPolicy(obj.(*v1alpha1.BaselineAdminNetworkPolicy))
	},
	list: func(ctx context.Context, r client.Reader) ([]client.Object, error) {
		var list v1alpha1.BaselineAdminNetworkPolicyList
		err := r.List(ctx, &list)
		return pointers(list.Items), err
	},
	conditions: func(obj client.Object) *[]metav1.Condition {
		return &obj.(*v1alpha1.BaselineAdminNetworkPolicy).Status.Conditions
	},
}

// pointers are the items of a list as objects.
func pointers[T any, P interface {
	*T
	client.Object
}](items []T) []client.Object {
	out := make([]client.Object, len(items))
	for i := range items {
		out[i] = P(&items[i])
	}
	return out
}
