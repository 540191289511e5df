package group_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/woven-cni/woven/pkg/fuzztest"
	"github.com/woven-cni/woven/pkg/group"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/reconcile"
)

var owner = ovs.Owner{Feature: "networkpolicy", Key: "shop/db"}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func thePod(app string, ports ...group.NamedPort) group.Pod {
	return group.Pod{Key: types.NamespacedName{Namespace: "shop", Name: "db-0"}, Labels: map[string]string{"app": app}, Ports: ports, Node: "n1"}
}

func inShop(app string) group.Selector { return group.Selector{Namespace: "shop", Pods: "app=" + app} }

// claimed is what a policy that is to rely on groups hears.
func claimed(r *group.Registry, selectors ...group.Selector) *group.Claim {
	return must(r.Claim(owner, group.Selector{}, selectors...))
}

// ended is the end of a policy.
func ended(r *group.Registry, policy ovs.Owner) { must(r.Claim(policy, group.Selector{})).Done(true) }

// lacking is what a group lacks, in a word for the row and the names of pods.
func lacking(r *group.Registry, s group.Selector) []string {
	var out []string
	for _, l := range claimed(r, s).Lacking {
		out = append(out, l.Name())
		for _, p := range l.Pods {
			out = append(out, p.String())
		}
	}
	return out
}

func TestPolicyBringsItsPods(t *testing.T) {
	r := group.NewRegistry()
	r.SetNamespace("shop", nil)
	pod := thePod("db")
	groups, placed := r.Place(pod)
	if !placed || len(groups) > 0 {
		t.Fatalf("before any policy the pod is in %v (%t)", groups, placed)
	}
	// The pod's transaction is under way without the group that now comes.
	db := inShop("db")
	if claimed(r, db).Waits == "" {
		t.Error("the policy does not wait for a pod whose port is about to come without the group")
	}
	r.Joined(pod.Key, nil)
	claim := claimed(r, db)
	if claim.Waits != "" {
		t.Errorf("the policy waits for %s, which it could bring along", claim.Waits)
	}
	lacks := claim.Lacking
	if len(lacks) != 1 || lacks[0].Selector != db || !slices.Equal(lacks[0].Pods, []types.NamespacedName{pod.Key}) {
		t.Fatalf("the group lacks %v, and should lack its row and the pod", lacks)
	}
	claim.Done(false)
	if got := lacking(r, db); len(got) != 2 {
		t.Errorf("after a transaction that failed the group lacks %v", got)
	}
	claim.Done(true)
	if got := lacking(r, db); len(got) > 0 {
		t.Errorf("the group lacks %v although all has been brought", got)
	}
	if groups, _ = r.Place(pod); !slices.Equal(groups, []string{db.Name()}) {
		t.Errorf("the pod is in %v", groups)
	}
	r.Joined(pod.Key, groups)
	if waits := claimed(r, db).Waits; waits != "" {
		t.Errorf("the policy waits for %s", waits)
	}
	if pods, nodes := r.Count(db); pods != 1 || nodes != 1 {
		t.Errorf("%d pods on %d nodes", pods, nodes)
	}
}

// A row that is being removed would take along what a policy puts into it.
func TestPolicyWaitsForTheFormerGroup(t *testing.T) {
	r := group.NewRegistry()
	r.SetNamespace("shop", nil)
	db := inShop("db")
	for _, has := range []bool{false, true} {
		claimed(r, db).Done(true)
		ended(r, owner)
		r.Review(db.Name())
		if claimed(r, db).Waits == "" {
			t.Error("the policy does not wait for the removal that is on the way")
		}
		r.HasRow(db.Name(), has)
		if waits := claimed(r, db).Waits; waits != "" {
			t.Errorf("the policy waits for %s", waits)
		}
	}
}

// A group that is used again while its row is removed, or right after it, lacks all its pods, whatever they had joined before.
func TestGroupIsUsedAgainWhileItGoes(t *testing.T) {
	for name, again := range map[string]func(r *group.Registry, db group.Selector){
		"while": func(r *group.Registry, db group.Selector) { claimed(r, db); r.HasRow(db.Name(), false) },
		"after": func(r *group.Registry, db group.Selector) { r.HasRow(db.Name(), false); claimed(r, db) },
	} {
		r := group.NewRegistry()
		r.SetNamespace("shop", nil)
		pod, db := thePod("db"), inShop("db")
		r.Place(pod)
		r.Joined(pod.Key, nil)
		claimed(r, db).Done(true)
		ended(r, owner)
		r.Review(db.Name())
		again(r, db)
		if got := lacking(r, db); !slices.Equal(got, []string{db.Name(), pod.Key.String()}) {
			t.Errorf("%s it goes: the group lacks %v, and should lack its row and the pod", name, got)
		}
	}
}

// Between two policies that select alike, a group without users is as good as one in use.
func TestIdleGroupStaysReady(t *testing.T) {
	r := group.NewRegistry()
	r.SetNamespace("shop", nil)
	pod, db := thePod("db"), inShop("db")
	claimed(r, db).Done(true)
	ended(r, owner)
	groups, _ := r.Place(pod)
	r.Joined(pod.Key, groups)
	if waits := claimed(r, db).Waits; waits != "" {
		t.Errorf("the policy waits for %s", waits)
	}
	if got := lacking(r, db); len(got) > 0 {
		t.Errorf("the group lacks %v", got)
	}
	if _, used := r.Review(db.Name()); !used {
		t.Error("the group ends although it is used again")
	}
}

// What northd computes for the end of one group is enough for all that nobody uses any more.
func TestIdleGroupsGoTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		env := &reconcile.Env{}
		r := group.RegistryOf(env)
		queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[ctrl.Request]())
		defer queue.ShutDown()
		for _, s := range group.New(env).Sources {
			if err := s.Start(t.Context(), queue); err != nil {
				t.Fatal(err)
			}
		}
		looked := map[string]time.Time{}
		work := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Second) {
				for queue.Len() > 0 {
					key, _ := queue.Get()
					looked[key.Name] = time.Now()
					queue.Done(key)
				}
			}
		}
		var idle time.Time
		for _, s := range []group.Selector{inShop("db"), inShop("web")} {
			claimed(r, s).Done(true)
			work(10 * time.Second)
			ended(r, owner)
			idle = time.Now()
		}
		work(3 * time.Minute)
		db, web := looked[inShop("db").Name()], looked[inShop("web").Name()]
		if after := web.Sub(idle); !db.Equal(web) || after < time.Minute || after > 2*time.Minute {
			t.Errorf("two idle groups are looked at %s and %s after the second became idle", db.Sub(idle), after)
		}
	})
}

// A pod that left the group while a policy brought it along has to be looked at.
func TestPodLeavesWhileItIsBrought(t *testing.T) {
	r := group.NewRegistry()
	r.SetNamespace("shop", nil)
	pod, db := thePod("db"), inShop("db")
	r.Place(pod)
	r.Joined(pod.Key, nil)
	claim := claimed(r, db)
	groups, _ := r.Place(thePod("web"))
	r.Joined(pod.Key, groups)
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[ctrl.Request]())
	defer queue.ShutDown()
	if err := (&reconcile.FeedSource{Feed: r.Pods(), Enqueue: reconcile.Queue}).Start(t.Context(), queue); err != nil {
		t.Fatal(err)
	}
	for queue.Len() > 0 {
		key, _ := queue.Get()
		queue.Done(key)
	}
	claim.Done(true)
	if queue.Len() != 1 {
		t.Error("nobody looks at the pod that is in a group it does not belong to")
	}
}

// A pod that cannot have what it wants must not keep a policy from being in force for others.
func TestNobodyWaitsForPodsWithoutPort(t *testing.T) {
	r := group.NewRegistry()
	r.SetNamespace("shop", nil)
	pod, db := thePod("db"), inShop("db")
	r.Place(pod)
	claimed(r, db)
	r.HasRow(db.Name(), true)
	r.Failed(pod.Key, true)
	if waits := claimed(r, db).Waits; waits != "" {
		t.Errorf("the policy waits for %s", waits)
	}
}

func TestPodWaitsForItsNamespace(t *testing.T) {
	r := group.NewRegistry()
	claimed(r, group.Selector{Namespaces: "team=red"})
	if groups, placed := r.Place(thePod("db")); placed {
		t.Errorf("a pod of a namespace that nobody knows is in %v", groups)
	}
	r.SetNamespace("shop", map[string]string{"team": "red"})
	if groups, placed := r.Place(thePod("db")); !placed || len(groups) != 1 {
		t.Errorf("the pod is in %v (%t)", groups, placed)
	}
}

func TestNamedPorts(t *testing.T) {
	r := group.NewRegistry()
	r.SetNamespace("shop", nil)
	sql := group.NamedPort{Protocol: corev1.ProtocolTCP, Name: "sql"}
	number := func(n int32) group.NamedPort { p := sql; p.Number = n; return p }
	pod, any := thePod("db", number(5432)), inShop("db").With(sql)
	r.Place(pod)
	claimed(r, any)
	if got := r.Numbers(any); !slices.Equal(got, []int32{5432}) {
		t.Errorf("the name means %v", got)
	}
	exact := inShop("db").With(number(5432))
	claimed(r, any, exact)
	if groups, _ := r.Place(pod); !slices.Equal(groups, []string{exact.Name()}) {
		t.Errorf("the pod is in %v", groups)
	}
	r.Forget(pod.Key)
	if got := r.Numbers(any); len(got) > 0 {
		t.Errorf("without pods the name means %v", got)
	}
}

func TestGroupsGoWithTheirLastUser(t *testing.T) {
	r := group.NewRegistry()
	other := ovs.Owner{Feature: "networkpolicy", Key: "shop/other"}
	db, web := inShop("db"), inShop("web")
	claimed(r, db, web).Done(true)
	must(r.Claim(other, db, db)).Done(true)
	must(r.Claim(owner, web, web)).Done(true)
	if _, used := r.Review(db.Name()); !used {
		t.Error("the group is gone although another policy uses it")
	}
	ended(r, other)
	if _, used := r.Review(db.Name()); used {
		t.Error("the group is there although nobody uses it")
	}
	if _, used := r.Review(web.Name()); !used {
		t.Error("the group of the other selector is gone")
	}
}

func TestSelectorsThatSayTheSameAreOne(t *testing.T) {
	selector := func(e ...metav1.LabelSelectorRequirement) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchExpressions: e}
	}
	in := func(key string, values ...string) metav1.LabelSelectorRequirement {
		return metav1.LabelSelectorRequirement{Key: key, Operator: metav1.LabelSelectorOpIn, Values: values}
	}
	for name, pair := range map[string][2]*metav1.LabelSelector{
		"order of requirements": {selector(in("a", "1"), in("b", "2")), selector(in("b", "2"), in("a", "1"))},
		"order of values":       {selector(in("a", "1", "2")), selector(in("a", "2", "1"))},
		"label or one value":    {selector(in("a", "1")), {MatchLabels: map[string]string{"a": "1"}}},
		"nothing or empty":      {nil, {}},
	} {
		if a, b := must(group.Canonical(pair[0])), must(group.Canonical(pair[1])); a != b {
			t.Errorf("%s: %q and %q", name, a, b)
		}
	}
	byLabel := must(group.Of(&metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: "shop"}}, nil))
	if byLabel != (group.Selector{Namespace: "shop"}) {
		t.Errorf("the label that holds a namespace's name makes %+v", byLabel)
	}
	if inShop("test-np").Name() == inShop("test.np").Name() {
		t.Error("two selectors have one name")
	}
}

// FuzzRegistry compares the registry, after any order of events, with what a look at every selector and pod says.
func FuzzRegistry(f *testing.F) {
	f.Add([]byte("a pod comes, a policy selects it, and both go again"))
	f.Add([]byte{0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0, 1, 2, 0, 3, 1, 4, 2})
	selectors := []group.Selector{
		{},
		{Namespace: "n0"},
		{Namespace: "n0", Pods: "app=a0"},
		{Namespaces: "team=t0"},
		{Namespaces: "team=t0", Pods: "app in (a0,a1)"},
		{Pods: "!app"},
		{Namespace: "n1", Port: group.NamedPort{Protocol: corev1.ProtocolTCP, Name: "p", Number: 1}},
		{Port: group.NamedPort{Protocol: corev1.ProtocolTCP, Name: "p"}},
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := new(fuzztest.Choices(data))
		r := group.NewRegistry()
		namespaces, pods, joined := map[string]map[string]string{}, map[types.NamespacedName]group.Pod{}, map[types.NamespacedName][]string{}
		uses := map[ovs.Owner][]group.Selector{}
		change := func(user ovs.Owner, written bool) {
			claim := must(r.Claim(user, group.Selector{}, uses[user]...))
			for _, l := range claim.Lacking {
				for _, key := range l.Pods {
					if written {
						joined[key] = append(joined[key], l.Name())
					}
				}
			}
			claim.Done(written)
		}
		for range min(len(data), 200) {
			ns := fmt.Sprint("n", c.Pick(3))
			key := types.NamespacedName{Namespace: ns, Name: fmt.Sprint("p", c.Pick(3))}
			user := ovs.Owner{Feature: "networkpolicy", Key: fmt.Sprint("u", c.Pick(3))}
			switch c.Pick(8) {
			case 0:
				namespaces[ns] = map[string]string{"team": fmt.Sprint("t", c.Pick(2))}
				r.SetNamespace(ns, namespaces[ns])
			case 1:
				delete(namespaces, ns)
				r.RemoveNamespace(ns)
			case 2, 3:
				p := group.Pod{Key: key, Labels: map[string]string{"app": fmt.Sprint("a", c.Pick(3))}, Node: "n"}
				if c.Pick(2) == 1 {
					p.Ports = []group.NamedPort{{Protocol: corev1.ProtocolTCP, Name: "p", Number: int32(c.Pick(2) + 1)}}
				}
				groups, placed := r.Place(p)
				pods[key] = p
				if !placed {
					r.Failed(key, false)
				} else if c.Pick(4) > 0 {
					r.Joined(key, groups)
					joined[key] = groups
				} else {
					r.Failed(key, false)
				}
			case 4:
				delete(pods, key)
				delete(joined, key)
				r.Forget(key)
			case 5:
				s := selectors[c.Pick(len(selectors))]
				uses[user] = append(uses[user], s)
				if err := r.Use(user, s); err != nil {
					t.Fatal(err)
				}
				switch c.Pick(4) {
				case 0:
					r.HasRow(s.Name(), true)
				case 1:
					change(user, true)
				case 2:
					change(user, false)
				}
			case 6:
				if n := len(uses[user]); n > 0 {
					uses[user] = uses[user][n-1:]
					if c.Pick(2) == 1 {
						uses[user] = nil
					}
				}
				change(user, true)
			case 7:
				r.Review(selectors[c.Pick(len(selectors))].Name())
			}
		}
		for _, s := range selectors {
			r.Review(s.Name())
		}
		used := map[group.Selector]bool{}
		for _, list := range uses {
			for _, s := range list {
				used[s] = true
			}
		}
		for s := range used {
			r.HasRow(s.Name(), true)
			var lacks []string
			for key, p := range pods {
				if joined[key] != nil && matches(s, p, namespaces) && s.Port != selectors[7].Port && !slices.Contains(joined[key], s.Name()) {
					lacks = append(lacks, key.String())
				}
			}
			if slices.Sort(lacks); len(lacks) > 0 {
				lacks = append([]string{s.Name()}, lacks...)
			}
			if got := claimed(r, s).Waits; got != "" {
				t.Errorf("a policy waits for %s although nothing is under way", got)
			}
			if got := lacking(r, s); !slices.Equal(got, lacks) {
				t.Errorf("%s lacks %q, and should lack %q", s, got, lacks)
			}
		}
		for key, p := range pods {
			want := []string{}
			for s := range used {
				if matches(s, p, namespaces) && s.Port != selectors[7].Port {
					want = append(want, s.Name())
				}
			}
			slices.Sort(want)
			got, placed := r.Place(p)
			if _, known := namespaces[key.Namespace]; placed != known || placed && !slices.Equal(got, want) {
				t.Errorf("pod %s is in %v (%t), want %v", key, got, placed, want)
			}
		}
	})
}

// matches is the meaning of a selector, read off its definition.
func matches(s group.Selector, p group.Pod, namespaces map[string]map[string]string) bool {
	set, known := namespaces[p.Key.Namespace]
	if s.Namespace != "" && s.Namespace != p.Key.Namespace || s.Namespace == "" && !known {
		return false
	}
	if s.Namespace == "" && !must(labels.Parse(s.Namespaces)).Matches(labels.Set(set)) || !must(labels.Parse(s.Pods)).Matches(labels.Set(p.Labels)) {
		return false
	}
	return s.Port.Name == "" || slices.ContainsFunc(p.Ports, func(n group.NamedPort) bool {
		return n.Name == s.Port.Name && (s.Port.Number == 0 || n.Number == s.Port.Number)
	})
}
