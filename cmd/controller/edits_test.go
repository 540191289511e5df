package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
)

// meddle has somebody edit objects at the worst moment: after the controller has read them, and before its first patch of
// each arrives. Edits of the status are made before the first patch of the status.
func (w *world) meddle(spec, status map[client.ObjectKey]func(context.Context)) {
	var mu sync.Mutex
	once := func(ctx context.Context, edits map[client.ObjectKey]func(context.Context), obj client.Object) {
		key := client.ObjectKey{Namespace: fmt.Sprintf("%T", obj), Name: obj.GetName()}
		mu.Lock()
		edit := edits[key]
		delete(edits, key)
		mu.Unlock()
		if edit != nil {
			edit(ctx)
		}
	}
	w.WithWatch = interceptor.NewClient(w.WithWatch, interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
			once(ctx, spec, obj)
			return c.Patch(ctx, obj, patch, opts...)
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
			once(ctx, status, obj)
			return c.SubResource(sub).Patch(ctx, obj, patch, opts...)
		},
	})
}

// meddleWith has somebody edit a Subnet after the controller has read it, and before its first patch arrives.
func (w *world) meddleWith(subnet *v1.Subnet, change func(*v1.Subnet)) {
	w.meddle(map[client.ObjectKey]func(context.Context){{Namespace: "*v1.Subnet", Name: subnet.Name}: func(context.Context) {
		edit(w, subnet.DeepCopy(), change)
	}}, nil)
}

// now reads an object.
func now[T client.Object](w *world, obj T) T {
	w.t.Helper()
	if err := w.Get(w.t.Context(), client.ObjectKeyFromObject(obj), obj); err != nil {
		w.t.Fatal(err)
	}
	return obj
}

// TestConcurrentEditsStay has other controllers and users add to the lists of an object, and annotate it, between the
// controller's reading and its writing. What they added stays, and what the controller has to say is said.
func TestConcurrentEditsStay(t *testing.T) {
	const finalizer, condition = "example.com/keep", "example.com/Audited"
	w := quietWorld(t)
	web, noted, tenant := newSubnet("web", "10.30.0.0/24"), newSubnet("noted", "10.31.0.0/24"), &v1.Vpc{ObjectMeta: metav1.ObjectMeta{Name: "tenant", Generation: 1}}
	audit := func(conditions *[]v1.Condition) {
		*conditions = append(*conditions, v1.Condition{Type: condition, Status: metav1.ConditionTrue})
	}
	w.meddle(map[client.ObjectKey]func(context.Context){
		{Namespace: "*v1.Subnet", Name: "web"}: func(context.Context) {
			edit(w, web.DeepCopy(), func(s *v1.Subnet) {
				s.Finalizers = append(s.Finalizers, finalizer)
				s.Spec.ExcludeIps = append(s.Spec.ExcludeIps, "10.30.0.9")
			})
		},
		{Namespace: "*v1.Subnet", Name: "noted"}: func(context.Context) {
			// Nothing that a Subnet's rows depend on: only the kit can know that this event has to be heard.
			edit(w, noted.DeepCopy(), func(s *v1.Subnet) { s.Annotations = map[string]string{"example.com/note": "seen"} })
		},
		{Namespace: "*v1.Vpc", Name: "tenant"}: func(context.Context) {
			edit(w, tenant.DeepCopy(), func(v *v1.Vpc) { v.Finalizers = append(v.Finalizers, finalizer) })
		},
	}, map[client.ObjectKey]func(context.Context){
		{Namespace: "*v1.Subnet", Name: "web"}: func(ctx context.Context) {
			s := now(w, web.DeepCopy())
			audit(&s.Status.Conditions)
			if err := w.WithWatch.Status().Update(ctx, s); err != nil {
				t.Error(err)
			}
		},
		{Namespace: "*v1.Vpc", Name: "tenant"}: func(ctx context.Context) {
			v := now(w, tenant.DeepCopy())
			audit(&v.Status.Conditions)
			if err := w.WithWatch.Status().Update(ctx, v); err != nil {
				t.Error(err)
			}
		},
	})
	w.start()
	w.create(tenant.DeepCopy(), web.DeepCopy(), noted.DeepCopy())
	w.ready("web")
	w.ready("noted")
	reconciletest.Eventually(t, "all finalizers, conditions and exclusions", func() string {
		s, n, v := now(w, web.DeepCopy()), now(w, noted.DeepCopy()), now(w, tenant.DeepCopy())
		for what, lists := range map[string][2][]string{
			"finalizers of web":    {s.Finalizers, {finalizer, v1.FinalizerKubeOVN}},
			"finalizers of noted":  {n.Finalizers, {v1.FinalizerKubeOVN}},
			"finalizers of tenant": {v.Finalizers, {finalizer, v1.FinalizerKubeOVN}},
			"excludeIps of web":    {s.Spec.ExcludeIps, {"10.30.0.9", "10.30.0.1"}},
			"conditions of web":    {kinds(s.Status.Conditions), {condition, "Ready"}},
			"conditions of tenant": {kinds(v.Status.Conditions), {condition, "Ready"}},
		} {
			for _, want := range lists[1] {
				if !slices.Contains(lists[0], want) {
					return fmt.Sprintf("%s are %v", what, lists[0])
				}
			}
		}
		return ""
	})
}

func kinds(conditions []v1.Condition) []string {
	out := make([]string, len(conditions))
	for i, c := range conditions {
		out[i] = string(c.Type)
	}
	return out
}
