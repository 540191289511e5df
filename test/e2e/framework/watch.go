package framework

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Await lists and then watches objects until done says that they are as awaited. It asks done about all of them
// together, once for the list and again for each change, and returns the objects that it agreed to.
func Await[T client.Object](
	ctx context.Context, c client.WithWatch, list client.ObjectList, done func([]T) bool, opts ...client.ListOption,
) ([]T, error) {
	have := map[types.NamespacedName]T{}
	for {
		err := relist(ctx, c, list, have, opts)
		if err != nil {
			return nil, awaited(ctx, err, have)
		}
		if all := sorted(have); done(all) {
			return all, nil
		}
		from := &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: list.GetResourceVersion()}}
		w, err := c.Watch(ctx, list, append(slices.Clone(opts), from)...)
		if err != nil {
			return nil, awaited(ctx, err, have)
		}
		finished := consume(ctx, w, have, done)
		w.Stop()
		if finished {
			return sorted(have), nil
		}
		if ctx.Err() != nil {
			return nil, awaited(ctx, ctx.Err(), have)
		}
		// The API server ended the watch, as it does now and then.
	}
}

// AwaitOne is Await for one object that exists, or will.
func AwaitOne[T client.Object](
	ctx context.Context, c client.WithWatch, list client.ObjectList, key types.NamespacedName, done func(T) bool,
) (T, error) {
	opts := []client.ListOption{client.MatchingFields{"metadata.name": key.Name}, client.InNamespace(key.Namespace)}
	found, err := Await(ctx, c, list, func(all []T) bool { return len(all) == 1 && done(all[0]) }, opts...)
	if err != nil {
		var none T
		return none, err
	}
	return found[0], nil
}

func relist[T client.Object](
	ctx context.Context, c client.WithWatch, list client.ObjectList, have map[types.NamespacedName]T, opts []client.ListOption,
) error {
	if err := c.List(ctx, list, opts...); err != nil {
		return err
	}
	clear(have)
	return meta.EachListItem(list, func(item runtime.Object) error {
		obj := item.DeepCopyObject().(T)
		have[client.ObjectKeyFromObject(obj)] = obj
		return nil
	})
}

// consume follows a watch until done, or until the watch or ctx ends.
func consume[T client.Object](ctx context.Context, w watch.Interface, have map[types.NamespacedName]T, done func([]T) bool) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case event, open := <-w.ResultChan():
			obj, ours := event.Object.(T)
			if !open || !ours {
				return false
			}
			switch event.Type {
			case watch.Added, watch.Modified:
				have[client.ObjectKeyFromObject(obj)] = obj
			case watch.Deleted:
				delete(have, client.ObjectKeyFromObject(obj))
			}
			if done(sorted(have)) {
				return true
			}
		}
	}
}

func sorted[T client.Object](have map[types.NamespacedName]T) []T {
	all := make([]T, 0, len(have))
	for _, obj := range have {
		all = append(all, obj)
	}
	slices.SortFunc(all, func(a, b T) int {
		return strings.Compare(a.GetNamespace()+"/"+a.GetName(), b.GetNamespace()+"/"+b.GetName())
	})
	return all
}

// awaited is an error that tells how far things were when the wait ended.
func awaited[T client.Object](ctx context.Context, err error, have map[types.NamespacedName]T) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	const enough = 5
	var states []string
	for i, obj := range sorted(have) {
		if i == enough {
			states = append(states, fmt.Sprintf("and %d more", len(have)-enough))
			break
		}
		states = append(states, state(obj))
	}
	return fmt.Errorf("%w; last seen: [%s]", err, strings.Join(states, "; "))
}

func state(obj client.Object) string {
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return obj.GetName()
	}
	text := fmt.Sprintf("%s on %s %s", pod.Name, pod.Spec.NodeName, pod.Status.Phase)
	for _, cs := range pod.Status.ContainerStatuses {
		if w := cs.State.Waiting; w != nil {
			text += " " + w.Reason + " " + w.Message
		}
	}
	return text
}

// Until repeats a try that waits by itself, such as a connection attempt, until it succeeds. It is for what announces
// itself nowhere, like the kernel rules of kube-proxy; for all else there is Await.
func Until(ctx context.Context, try func(context.Context) error) error {
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%w; last try: %w", context.Cause(ctx), err)
		}
	}
}

// Ready says whether a pod is ready and not on its way out.
func Ready(p *corev1.Pod) bool {
	if p.DeletionTimestamp != nil {
		return false
	}
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// AllReady says whether there are n pods and all of them are ready.
func AllReady(n int) func([]*corev1.Pod) bool {
	return func(pods []*corev1.Pod) bool {
		return len(pods) == n && !slices.ContainsFunc(pods, func(p *corev1.Pod) bool { return !Ready(p) })
	}
}
