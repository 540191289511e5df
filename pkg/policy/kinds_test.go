package policy_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/woven-cni/woven/pkg/policy"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
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
	c := reconciletest.NewCluster(t)
	env := c.Env(t, reconciletest.Page{})
	env.Client = lacking{c, scheme, mapper}
	for _, constructor := range features {
		f := constructor(env)
		if err := env.Err(); err != nil {
			t.Fatal(err)
		}
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

// lacking is a cluster that has other kinds.
type lacking struct {
	client.Client
	scheme *runtime.Scheme
	mapper meta.RESTMapper
}

func (l lacking) Scheme() *runtime.Scheme { return l.scheme }

func (l lacking) RESTMapper() meta.RESTMapper { return l.mapper }
