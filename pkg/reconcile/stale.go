package reconcile

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
)

// longestLag is how long the event of an edit is awaited that the API server has told of. A name that belongs to another object by now,
// and an etcd that was restored, have versions which are not later than those before: then no such event comes.
const longestLag = time.Second

// stale remembers the objects that were edited between their reading and our writing, until the event of that edit is
// there. A feature's own predicate may drop the event, because what was edited is nothing that its rows depend on.
type stale struct {
	keys  sync.Map // types.NamespacedName -> string: the version that was read
	again Feed
}

// await has a key looked at again as soon as the cache has a later version of its object than the one that was read, or when
// that does not come.
func (s *stale) await(ctx context.Context, r client.Reader, like client.Object, key types.NamespacedName, version string) {
	s.keys.Store(key, version)
	// The cache takes a version in before it tells anybody: either the later one is there now, or its event comes.
	now := like.DeepCopyObject().(client.Object)
	if err := r.Get(ctx, key, now); err != nil || now.GetResourceVersion() != version {
		s.keys.Delete(key)
		s.again.Add(Key(key))
		return
	}
	time.AfterFunc(longestLag, func() {
		if s.keys.CompareAndDelete(key, version) {
			s.again.Add(Key(key))
		}
	})
}

// or lets the events through that are awaited, and those that a predicate lets through; nil is all.
func (s *stale) or(when predicate.Predicate) []predicate.Predicate {
	if when == nil {
		return nil
	}
	awaited := predicate.Funcs{
		CreateFunc: func(event.CreateEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool {
			key := client.ObjectKeyFromObject(e.ObjectNew)
			version, awaited := s.keys.Load(key)
			return awaited && version != e.ObjectNew.GetResourceVersion() && s.keys.CompareAndDelete(key, version)
		},
		DeleteFunc:  func(event.DeleteEvent) bool { return false },
		GenericFunc: func(event.GenericEvent) bool { return false },
	}
	return []predicate.Predicate{predicate.Or(predicate.Predicate(awaited), when)}
}
