package group_test

import (
	"fmt"
	"slices"
	"testing"

	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/woven-cni/woven/pkg/group"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/reconcile"
)

func policyOf(name string) ovs.Owner { return ovs.Owner{Feature: "networkpolicy", Key: name} }

// ask has a policy use its subject and as many of the groups as it may.
func ask(r *group.Registry, o ovs.Owner, subject string, peers ...string) (got []string) {
	base, asks := []group.Selector{inShop(subject)}, make([][]group.Selector, len(peers))
	for i, p := range peers {
		asks[i] = []group.Selector{inShop(p)}
	}
	uses := base
	for i, admitted := range r.Admit(o, base, asks) {
		if admitted {
			uses, got = append(uses, asks[i]...), append(got, peers[i])
		}
	}
	must(r.Claim(o, base[0], uses...)).Done(true)
	return got
}

// awoken drains the policies that are to be looked at again.
func awoken(t *testing.T, r *group.Registry) func() []string {
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[ctrl.Request]())
	t.Cleanup(queue.ShutDown)
	if err := (&reconcile.FeedSource{Feed: r.Users(), Enqueue: reconcile.Queue}).Start(t.Context(), queue); err != nil {
		t.Fatal(err)
	}
	return func() (out []string) {
		for queue.Len() > 0 {
			key, _ := queue.Get()
			out = append(out, key.String())
			queue.Done(key)
		}
		return out
	}
}

func TestNamespaceHasSoManyGroups(t *testing.T) {
	r := group.NewRegistry()
	r.Bound(4)
	woken := awoken(t, r)
	first, second := policyOf("shop/first"), policyOf("shop/second")
	if got := ask(r, first, "db", "a", "b"); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("the first has %v", got)
	}
	if got := ask(r, second, "db", "c", "d", "a"); !slices.Equal(got, []string{"c", "a"}) {
		t.Errorf("the second has %v: there is room for one more, and for what the first uses already", got)
	}
	if got := ask(r, policyOf("lab/third"), "db", "d", "e"); len(got) != 2 {
		t.Errorf("another namespace has %v", got)
	}
	if got := ask(r, ovs.Owner{Feature: "clusternetworkpolicy", Key: "guard"}, "db", "1", "2", "3", "4", "5"); len(got) != 5 {
		t.Errorf("an administrator has %v", got)
	}
	if got := woken(); len(got) > 0 {
		t.Errorf("woken for nothing: %v", got)
	}
	// An edit uses the room of what it edits.
	if got := ask(r, first, "db", "e", "f"); !slices.Equal(got, []string{"e"}) {
		t.Errorf("the edited first has %v: the second uses c and a, and there is room for one", got)
	}
	if got := woken(); !slices.Contains(got, "networkpolicy/shop/second") {
		t.Errorf("woken: %v, and b is free", got)
	}
	if got := ask(r, second, "db", "c", "d", "a"); !slices.Equal(got, []string{"c", "a"}) {
		t.Errorf("the second has %v, and e has taken the room", got)
	}
	if got := woken(); len(got) > 0 {
		t.Errorf("woken for nothing: %v", got)
	}
	ended(r, first)
	if got := woken(); len(got) == 0 {
		t.Error("nobody is woken by the end of a policy")
	}
	if got := ask(r, second, "db", "c", "d", "a"); len(got) != 3 {
		t.Errorf("alone, the second has %v", got)
	}
}

// TestManySubjectsAreLetIn is about what denies: it is never refused.
func TestManySubjectsAreLetIn(t *testing.T) {
	r := group.NewRegistry()
	r.Bound(3)
	for i := range 10 {
		o := policyOf(fmt.Sprint("shop/", i))
		ask(r, o, fmt.Sprint("subject-", i), "a")
		if _, used := r.Review(inShop(fmt.Sprint("subject-", i)).Name()); !used {
			t.Errorf("subject %d has no group", i)
		}
	}
}

// TestGroupsDoNotPileUp is about policies that come and go with other groups each time: what they leave is bounded too.
func TestGroupsDoNotPileUp(t *testing.T) {
	env := &reconcile.Env{}
	env.Set(group.Bound(10))
	r := group.RegistryOf(env)
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[ctrl.Request]())
	defer queue.ShutDown()
	for _, s := range group.New(env).Sources {
		if err := s.Start(t.Context(), queue); err != nil {
			t.Fatal(err)
		}
	}
	rows := map[string]bool{}
	for i := range 100 {
		o := policyOf("shop/churn")
		ask(r, o, "db", fmt.Sprint("a-", i), fmt.Sprint("b-", i))
		for _, s := range []string{"db", fmt.Sprint("a-", i), fmt.Sprint("b-", i)} {
			rows[inShop(s).Name()] = true
		}
		ended(r, o)
		for queue.Len() > 0 { // those that are to be looked at now, and not in a minute
			key, _ := queue.Get()
			if _, used := r.Review(key.Name); !used {
				r.HasRow(key.Name, false)
				delete(rows, key.Name)
			}
			queue.Done(key)
		}
	}
	if len(rows) > 15 {
		t.Errorf("%d groups are left", len(rows))
	}
}
