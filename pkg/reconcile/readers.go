package reconcile

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
)

// Readers are the keys whose last look has read something that changes for reasons of its own, such as the addresses of all
// nodes. News of it concern them and nobody else. The zero Readers are none.
type Readers struct {
	mu   sync.Mutex // protects keys; held only for look-ups
	keys map[types.NamespacedName]struct{}
}

// Note says whether a look at a key reads it. A Gather notes it before it reads: news that come afterwards have the key
// looked at again, and those that came before are in what it reads.
func (r *Readers) Note(key types.NamespacedName, reads bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !reads {
		delete(r.keys, key)
		return
	}
	if r.keys == nil {
		r.keys = map[types.NamespacedName]struct{}{}
	}
	r.keys[key] = struct{}{}
}

// Requests are the readers, to be looked at again.
func (r *Readers) Requests() []ctrl.Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]ctrl.Request, 0, len(r.keys))
	for key := range r.keys {
		out = append(out, ctrl.Request{NamespacedName: key})
	}
	return out
}
