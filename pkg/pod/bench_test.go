package pod_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/group"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/pod"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
)

// BenchmarkPod is the way of a pod from its event to the rows that it wants, with 10,000 pods in the manager's caches and 20 groups that
// policies use: gather, claim and translate. A transaction and a patch are what comes after.
func BenchmarkPod(b *testing.B) {
	const pods, groups = 10_000, 20
	env, ctx := cached(b, pods), b.Context()
	f, pools, registry := pod.New(env), pool.PoolsOf(env), group.RegistryOf(env)
	registry.SetNamespace("shop", nil)
	for i := range groups {
		selector := group.Selector{Namespace: "shop", Pods: fmt.Sprintf("app=app-%d", i)}
		if err := registry.Use(ovs.Owner{Feature: "networkpolicy", Key: fmt.Sprint("shop/", i)}, selector); err != nil {
			b.Fatal(err)
		}
	}
	look := func(i int) {
		key := types.NamespacedName{Namespace: "shop", Name: fmt.Sprint("web-", i%pods)}
		in, err := f.Gather(ctx, env.Client, key)
		if err != nil {
			b.Fatal(err)
		}
		done, err := f.Claim(ctx, key, &in)
		if err != nil {
			b.Fatal(err)
		}
		if want, problems := f.Translate(in); len(want.Rows) != 1 || len(problems) > 0 {
			b.Fatalf("%d rows are wanted, and %s", len(want.Rows), problems)
		}
		done(reconcile.Outcome{})
	}
	b.Run("first look", func(b *testing.B) {
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			look(i)
			pools.ReleaseAll(pod.Owner(types.NamespacedName{Namespace: "shop", Name: fmt.Sprint("web-", i%pods)}))
			i++
		}
	})
	b.Run("later look", func(b *testing.B) {
		for i := range pods {
			look(i)
		}
		b.ReportAllocs()
		i := 0
		for b.Loop() {
			look(i)
			i++
		}
	})
}

// cached is the environment of a manager whose caches have pods.
func cached(b *testing.B, pods int) *reconcile.Env {
	b.Helper()
	c := reconciletest.NewCluster(b)
	objects := []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}},
		&v1.Subnet{
			ObjectMeta: metav1.ObjectMeta{Name: "ovn-default", Generation: 1},
			Spec:       v1.SubnetSpec{CIDRBlock: "10.16.0.0/16", Gateway: "10.16.0.1", Vpc: "ovn-cluster"},
			Status:     v1.SubnetStatus{Conditions: []v1.Condition{{Type: v1.ConditionValidated, Status: metav1.ConditionTrue, ObservedGeneration: 1}}},
		},
	}
	for i := range pods {
		name := fmt.Sprint("web-", i)
		objects = append(objects, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name), Labels: map[string]string{"app": fmt.Sprintf("app-%d", i%100)}},
			Spec:       corev1.PodSpec{NodeName: fmt.Sprintf("n%d", i%200)},
		})
	}
	c.Load(objects...)
	var env *reconcile.Env
	c.Start(b, func(until context.Context, mgr manager.Manager) error {
		env = &reconcile.Env{Client: mgr.GetClient(), Cache: mgr.GetCache(), Indexer: mgr.GetFieldIndexer(), Events: &c.Events, Log: logr.Discard()}
		env.Set(reconciletest.Defaults)
		pool.ChooserOf(env) // asks for its indexes, which have to come before the caches
		for _, kind := range []client.Object{&corev1.Pod{}, &corev1.Namespace{}, &v1.Subnet{}, &v1.Vpc{}} {
			if _, err := mgr.GetCache().GetInformer(until, kind); err != nil {
				return err
			}
		}
		return nil
	})
	if !env.Cache.WaitForCacheSync(b.Context()) {
		b.Fatal("the caches do not come")
	}
	return env
}
