package subnet_test

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
	"github.com/woven-cni/woven/pkg/subnet"
)

func TestFit(t *testing.T) {
	made := func(name, cidr string) *v1.Subnet {
		return &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 2}, Spec: v1.SubnetSpec{CIDRBlock: cidr}}
	}
	judged := func(s *v1.Subnet, status metav1.ConditionStatus, generation int64) *v1.Subnet {
		s.Status.Conditions = []v1.Condition{{
			Type: v1.ConditionValidated, Status: status, Message: "it overlaps", ObservedGeneration: generation,
		}}
		return s
	}
	accepted := func(s *v1.Subnet) *v1.Subnet { return judged(s, metav1.ConditionTrue, 2) }
	leaving := accepted(made("leaving", "10.24.0.0/24"))
	leaving.DeletionTimestamp, leaving.Finalizers = ptr.To(metav1.Unix(1, 0)), []string{v1.FinalizerKubeOVN}
	objects := []client.Object{
		accepted(made("a", "10.20.0.0/24")), accepted(made("b", "10.21.0.0/24")), accepted(made("join", "100.64.0.0/16")),
		made("nonsense", "10.20"), leaving, made("new", "10.25.0.0/24"),
		judged(made("refused", "10.22.0.0/24"), metav1.ConditionFalse, 2), judged(made("edited", "10.23.0.0/24"), metav1.ConditionFalse, 1),
	}
	for name, tc := range map[string]struct {
		names, fit []string
		unfit      []subnet.Unfit
	}{
		"in the order of asking":      {names: []string{"b", "a"}, fit: []string{"b", "a"}},
		"a missing one":               {names: []string{"x", "a", "y"}, fit: []string{"a"}, unfit: []subnet.Unfit{{Name: "x", Why: "does not exist"}, {Name: "y", Why: "does not exist"}}},
		"the nodes' own":              {names: []string{"join"}, unfit: []subnet.Unfit{{Name: "join", Why: "is the nodes' own"}}},
		"one that goes":               {names: []string{"leaving"}, unfit: []subnet.Unfit{{Name: "leaving", Why: "is being deleted"}}},
		"one that was refused":        {names: []string{"refused"}, unfit: []subnet.Unfit{{Name: "refused", Why: "is not valid: it overlaps"}}},
		"refused as it read before":   {names: []string{"edited"}, unfit: []subnet.Unfit{{Name: "edited", Why: "has not been looked at yet", Unjudged: true}}},
		"one that nobody has judged":  {names: []string{"new"}, unfit: []subnet.Unfit{{Name: "new", Why: "has not been looked at yet", Unjudged: true}}},
		"one that cannot be read":     {names: []string{"nonsense"}, unfit: []subnet.Unfit{{Name: "nonsense", Why: `is not valid: spec.cidrBlock: "10.20" is not a CIDR`}}},
		"one that is not in the list": {},
	} {
		t.Run(name, func(t *testing.T) {
			cluster := reconciletest.NewCluster(t)
			cluster.Load(objects...)
			finder := subnet.Finder{Reader: cluster, Names: reconciletest.Defaults}
			candidates, unfit, err := finder.Fit(t.Context(), tc.names...)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range candidates {
				got = append(got, s.Name)
			}
			if !slices.Equal(got, tc.fit) || !slices.Equal(unfit, tc.unfit) {
				t.Errorf("fit are %v and unfit %v, want %v and %v", got, unfit, tc.fit, tc.unfit)
			}
		})
	}
}
