package reconcile

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/spec"
)

// Unheeded tells the authors of objects, in one Event, which of Kube-OVN's annotations are not in force there; and again when
// they have come to be others.
type Unheeded struct {
	// Events is where it is told.
	Events recorder.EventRecorder
	// Heeded are the annotations that need no answer.
	Heeded spec.Heeded

	told sync.Map // types.NamespacedName -> string: the annotations that were told
}

// Tell looks at the annotations of an object. An object that was told by a controller before this one is not told again.
func (u *Unheeded) Tell(obj client.Object, before bool) {
	unheeded := u.Heeded.Unheeded(obj.GetAnnotations())
	text := Few(unheeded)
	told, known := u.told.Swap(client.ObjectKeyFromObject(obj), text)
	if text == "" || known && told == text || !known && before {
		return
	}
	note := "not in force, since this version does not act on it: " + text
	for _, key := range unheeded {
		if key == v1.AnnotationSecurityGroups {
			note += "; the pod is NOT isolated by security groups"
		}
	}
	u.Events.Eventf(obj, nil, "Warning", v1.ReasonNotImplemented, "Read", "%s", Note(note))
}

// Forget drops what is known of an object that has gone.
func (u *Unheeded) Forget(key types.NamespacedName) { u.told.Delete(key) }

// AdviseUnheeded says which of Kube-OVN's annotations on an object are not in force there, for a kind that has conditions.
func (ps *Problems) AdviseUnheeded(heeded spec.Heeded, obj client.Object) {
	if unheeded := heeded.Unheeded(obj.GetAnnotations()); len(unheeded) > 0 {
		ps.Advise("metadata.annotations", v1.ReasonNotImplemented, "not implemented yet: %s", Few(unheeded))
	}
}
