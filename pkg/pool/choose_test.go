package pool_test

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
)

func TestBound(t *testing.T) {
	made := func(name string, age time.Duration, spec v1.SubnetSpec) *v1.Subnet {
		since := metav1.NewTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(-age))
		return &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: since}, Spec: spec}
	}
	shop := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{"tier": "web"}}}
	vpc := &v1.Vpc{ObjectMeta: metav1.ObjectMeta{Name: "tenant"}, Spec: v1.VpcSpec{Namespaces: []string{"shop"}, DefaultSubnet: "inner"}}
	bound := v1.SubnetSpec{Namespaces: []string{"shop"}}
	selecting := v1.SubnetSpec{NamespaceSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"tier": "web"}}}}
	unreadable := v1.SubnetSpec{NamespaceSelectors: []metav1.LabelSelector{{
		MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "tier", Operator: "Resembles"}},
	}}}
	for name, tc := range map[string]struct {
		objects []client.Object
		want    []string
	}{
		"the cluster's default":  {want: []string{"ovn-default"}},
		"the default of the vpc": {objects: []client.Object{vpc}, want: []string{"inner"}},
		"before the vpc's":       {objects: []client.Object{vpc, made("web", 0, bound)}, want: []string{"web"}},
		"the oldest first":       {objects: []client.Object{made("young", 0, bound), made("old", time.Hour, bound)}, want: []string{"old", "young"}},
		"equal age by name":      {objects: []client.Object{made("b", 0, bound), made("a", 0, bound)}, want: []string{"a", "b"}},
		"by label":               {objects: []client.Object{made("web", 0, selecting)}, want: []string{"web"}},
		"by name and label once": {objects: []client.Object{made("web", 0, v1.SubnetSpec{Namespaces: bound.Namespaces, NamespaceSelectors: selecting.NamespaceSelectors})}, want: []string{"web"}},
		"unreadable selector":    {objects: []client.Object{made("web", 0, unreadable)}, want: []string{"ovn-default"}},
		"another namespace's":    {objects: []client.Object{made("web", 0, v1.SubnetSpec{Namespaces: []string{"lab"}})}, want: []string{"ovn-default"}},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := reconciletest.NewCluster(t)
			chooser := pool.ChooserOf(cluster.Env(t, reconciletest.Page{}))
			cluster.Load(append([]client.Object{shop.DeepCopy()}, tc.objects...)...)
			got, err := chooser.Bound(t.Context(), "shop")
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("the subnets are %v, want %v", got, tc.want)
			}
		})
	}
}

func TestNamed(t *testing.T) {
	for text, want := range map[string][]string{"": nil, "web": {"web"}, "b,a": {"b", "a"}, " b, a ,": {"b", "a"}} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{v1.AnnotationLogicalSwitch: text}}}
		if got := pool.Named(pod); !slices.Equal(got, want) {
			t.Errorf("%q names %v, want %v", text, got, want)
		}
	}
}
