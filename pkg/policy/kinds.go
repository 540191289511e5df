package policy

import (
	"context"
	"fmt"
	"slices"

	networkingv1 "k8s.io/api/networking/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/woven-cni/woven/pkg/policy/rules"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// The Owner.Feature of the rows of each kind of policy.
const (
	NetworkPolicyName              = "networkpolicy"
	ClusterNetworkPolicyName       = "clusternetworkpolicy"
	AdminNetworkPolicyName         = "adminnetworkpolicy"
	BaselineAdminNetworkPolicyName = "baselineadminnetworkpolicy"
)

// kinds are the APIs that policies are written in.
type kinds []kind

// named is the one of a name.
func (ks kinds) named(name string) kind {
	return ks[slices.IndexFunc(ks, func(k kind) bool { return k.name == name })]
}

// kind is one of the APIs.
type kind struct {
	name  string
	empty func() client.Object
	all   func() client.ObjectList
	parse func(client.Object) (rules.Policy, reconcile.Problems)
	// conditions are where an object is told how it is; nil for a kind without a status.
	conditions func(client.Object) *[]metav1.Condition

	*presence
}

// kindsOf finds out which of the APIs the cluster has: those of administrators come with custom resources. Policies of
// namespaces keep within the limits.
func kindsOf(env *reconcile.Env) kinds { return *reconcile.Shared(env, served) }

func served(env *reconcile.Env) *kinds {
	all := kinds{
		networkPolicies(reconcile.Setting[rules.Limits](env)), clusterNetworkPolicies, adminNetworkPolicies, baselineAdminNetworkPolicies,
	}
	for i := range all {
		gvk, err := apiutil.GVKForObject(all[i].empty(), env.Client.Scheme())
		if err != nil {
			env.Fail(fmt.Errorf("looking for the kind of %s: %w", all[i].name, err))
		}
		all[i].presence = newPresence(gvk)
		if err := all[i].look(env.Client.RESTMapper()); err != nil {
			env.Fail(err)
		}
	}
	return &all
}

// AddToScheme adds the types that are not Kubernetes' own.
func AddToScheme(scheme *runtime.Scheme) error {
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.Install, v1alpha2.Install, apiextensionsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return fmt.Errorf("adding the policies of administrators: %w", err)
		}
	}
	return nil
}

func networkPolicies(most rules.Limits) kind {
	return kind{
		name:  NetworkPolicyName,
		empty: func() client.Object { return &networkingv1.NetworkPolicy{} },
		all:   func() client.ObjectList { return &networkingv1.NetworkPolicyList{} },
		parse: parser(func(obj *networkingv1.NetworkPolicy) (rules.Policy, reconcile.Problems) {
			p, problems := rules.ParseNetworkPolicy(obj)
			p.Limit(most, &problems)
			return p, problems
		}),
	}
}

var clusterNetworkPolicies = kind{
	name:  ClusterNetworkPolicyName,
	empty: func() client.Object { return &v1alpha2.ClusterNetworkPolicy{} },
	all:   func() client.ObjectList { return &v1alpha2.ClusterNetworkPolicyList{} },
	parse: parser(rules.ParseClusterNetworkPolicy),
	conditions: func(obj client.Object) *[]metav1.Condition {
		return &obj.(*v1alpha2.ClusterNetworkPolicy).Status.Conditions
	},
}

var adminNetworkPolicies = kind{
	name:  AdminNetworkPolicyName,
	empty: func() client.Object { return &v1alpha1.AdminNetworkPolicy{} },
	all:   func() client.ObjectList { return &v1alpha1.AdminNetworkPolicyList{} },
	parse: parser(rules.ParseAdminNetworkPolicy),
	conditions: func(obj client.Object) *[]metav1.Condition {
		return &obj.(*v1alpha1.AdminNetworkPolicy).Status.Conditions
	},
}

var baselineAdminNetworkPolicies = kind{
	name:  BaselineAdminNetworkPolicyName,
	empty: func() client.Object { return &v1alpha1.BaselineAdminNetworkPolicy{} },
	all:   func() client.ObjectList { return &v1alpha1.BaselineAdminNetworkPolicyList{} },
	parse: parser(rules.ParseBaselineAdminNetworkPolicy),
	conditions: func(obj client.Object) *[]metav1.Condition {
		return &obj.(*v1alpha1.BaselineAdminNetworkPolicy).Status.Conditions
	},
}

func parser[P client.Object](parse func(P) (rules.Policy, reconcile.Problems)) func(client.Object) (rules.Policy, reconcile.Problems) {
	return func(obj client.Object) (rules.Policy, reconcile.Problems) { return parse(obj.(P)) }
}

// list reads all policies of the kind.
func (k kind) list(ctx context.Context, r client.Reader) ([]client.Object, error) {
	list := k.all()
	if err := r.List(ctx, list); err != nil {
		return nil, fmt.Errorf("listing the policies of %s: %w", k.name, err)
	}
	var out []client.Object
	err := meta.EachListItem(list, func(item runtime.Object) error {
		out = append(out, item.(client.Object))
		return nil
	})
	return out, err //nolint:wrapcheck // it only fails for what is no list
}
