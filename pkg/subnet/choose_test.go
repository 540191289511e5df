package subnet_test

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
	"github.com/woven-cni/woven/pkg/subnet"
)

func TestChoose(t *testing.T) {
	made := func(name string, age time.Duration, spec v1.SubnetSpec) *v1.Subnet {
		spec.CIDRBlock = "10.20.0.0/24"
		since := metav1.NewTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(-age))
		return &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: since}, Spec: spec}
	}
	shop := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{"tier": "web"}}}
	fallback := made("ovn-default", 0, v1.SubnetSpec{})
	bound := v1.SubnetSpec{Namespaces: []string{"shop"}}
	selecting := v1.SubnetSpec{NamespaceSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"tier": "web"}}}}
	unreadable := v1.SubnetSpec{NamespaceSelectors: []metav1.LabelSelector{{
		MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "tier", Operator: "Resembles"}},
	}}}
	for name, tc := range map[string]struct {
		objects []client.Object
		asks    string
		want    []string
		unfit   []string
	}{
		"the cluster's default":         {objects: []client.Object{fallback}, want: []string{"ovn-default"}},
		"no default":                    {unfit: []string{"ovn-default"}},
		"the oldest first":              {objects: []client.Object{made("young", 0, bound), made("old", time.Hour, bound)}, want: []string{"old", "young"}},
		"equal age by name":             {objects: []client.Object{made("b", 0, bound), made("a", 0, bound)}, want: []string{"a", "b"}},
		"by label":                      {objects: []client.Object{fallback, made("web", 0, selecting)}, want: []string{"web"}},
		"by name and label once":        {objects: []client.Object{made("web", 0, v1.SubnetSpec{Namespaces: bound.Namespaces, NamespaceSelectors: selecting.NamespaceSelectors})}, want: []string{"web"}},
		"unreadable selector":           {objects: []client.Object{fallback, made("web", 0, unreadable)}, want: []string{"ovn-default"}},
		"annotation with several":       {objects: []client.Object{made("a", 0, v1.SubnetSpec{}), made("b", 0, v1.SubnetSpec{})}, asks: "b,a", want: []string{"b", "a"}},
		"the nodes' own by annotation":  {objects: []client.Object{made("join", 0, v1.SubnetSpec{})}, asks: "join", unfit: []string{"join"}},
		"the nodes' own by namespace":   {objects: []client.Object{made("join", 0, bound)}, unfit: []string{"join"}},
		"unfit in the order of asking":  {asks: "c,a,b", unfit: []string{"c", "a", "b"}},
		"annotation with a missing one": {objects: []client.Object{made("a", 0, v1.SubnetSpec{})}, asks: "nowhere,a", want: []string{"a"}, unfit: []string{"nowhere"}},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := reconciletest.NewCluster(t)
			chooser, err := subnet.NewChooser(t.Context(), cluster, cluster, subnet.Names{DefaultVpc: "ovn-cluster", DefaultSubnet: "ovn-default", Join: "join"})
			if err != nil {
				t.Fatal(err)
			}
			cluster.Load(append([]client.Object{shop.DeepCopy()}, tc.objects...)...)
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-0"}}
			if tc.asks != "" {
				pod.Annotations = map[string]string{v1.AnnotationLogicalSwitch: tc.asks}
			}
			candidates, unfit, err := chooser.Choose(t.Context(), pod)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range candidates {
				got = append(got, s.Name)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("candidates are %v, want %v", got, tc.want)
			}
			var no []string
			for _, u := range unfit {
				no = append(no, u.Name)
			}
			if !slices.Equal(no, tc.unfit) {
				t.Errorf("unfit are %v, want %v", unfit, tc.unfit)
			}
		})
	}
}
