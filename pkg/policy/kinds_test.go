package policy_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"

	"github.com/woven-cni/woven/pkg/group"
	"github.com/woven-cni/woven/pkg/nodeaddr"
	"github.com/woven-cni/woven/pkg/policy"
	"github.com/woven-cni/woven/pkg/policy/rules"
)

// A cluster need not have the custom resources of administrators' policies; rows of the time when it had them go.
func TestKindsThatTheClusterLacks(t *testing.T) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, policy.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(schema.GroupVersionKind{Group: "networking.k8s.io", Version: "v1", Kind: "NetworkPolicy"}, meta.RESTScopeNamespace)
	kinds, err := policy.Served(scheme, mapper, rules.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	groups := group.NewRegistry()
	groups.Seeded()
	for _, f := range policy.Features(policy.Parts{Groups: groups, Addresses: &nodeaddr.Judge{}, Kinds: kinds}) {
		if f.Name == policy.NetworkPolicyName {
			if f.For == nil {
				t.Error("NetworkPolicies are not watched")
			}
			continue
		}
		if f.For != nil || len(f.Watches) > 0 {
			t.Errorf("%s is watched, and the cluster does not have it", f.Name)
		}
		in, err := f.Gather(t.Context(), nil, types.NamespacedName{Name: "left"})
		if err != nil {
			t.Fatal(err)
		}
		if want, _ := f.Translate(in); len(want.Rows) > 0 {
			t.Errorf("%s wants %v", f.Name, want)
		}
	}
}
