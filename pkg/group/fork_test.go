package group_test

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/woven-cni/woven/pkg/group"
	"github.com/woven-cni/woven/pkg/ovs"
)

// TestForkIsApart does to a copy what pods and policies do to a registry: it answers as the registry would, which stays as it was.
func TestForkIsApart(t *testing.T) {
	r := group.NewRegistry()
	r.Bound(2)
	r.SetNamespace("shop", nil)
	pod, db, web := thePod("db", group.NamedPort{Protocol: "TCP", Name: "http", Number: 80}), inShop("db"), inShop("web")
	r.Place(pod)
	r.Joined(pod.Key, nil)
	claimed(r, db)

	fork := r.Fork()
	if got := lacking(fork, db); !slices.Equal(got, lacking(r, db)) || len(got) != 2 {
		t.Errorf("in the copy the group lacks %v", got)
	}
	other := ovs.Owner{Feature: owner.Feature, Key: "shop/other"}
	if got := fork.Admit(other, []group.Selector{web}, [][]group.Selector{{inShop("x")}}); got[0] {
		t.Error("in the copy there is room for a third group")
	}
	claimed(fork, db, web).Done(true)
	must(fork.Claim(other, web, web)).Done(true)
	ended(fork, owner)
	fork.SetNamespace("lab", nil)
	fork.RemoveNamespace("shop")
	next := pod
	next.Key = types.NamespacedName{Namespace: "shop", Name: "db-1"}
	fork.Place(next)
	fork.Forget(pod.Key)
	if _, used := fork.Review(db.Name()); used {
		t.Error("in the copy the group is still used")
	}

	if got := lacking(r, db); !slices.Equal(got, []string{db.Name(), pod.Key.String()}) {
		t.Errorf("the group lacks %v", got)
	}
	if pods, _ := r.Count(db); pods != 1 {
		t.Errorf("%d pods are in the group", pods)
	}
	if _, used := r.Review(web.Name()); used {
		t.Error("what the copy uses is used")
	}
	if _, used := r.Review(db.Name()); !used {
		t.Error("the group is not used any more")
	}
	if groups, placed := r.Place(pod); !placed || !slices.Equal(groups, []string{db.Name()}) {
		t.Errorf("the pod is in %v (%t)", groups, placed)
	}
}
