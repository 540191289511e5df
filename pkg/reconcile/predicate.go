package reconcile

import (
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
)

// CameOrWent lets the coming and going of objects through, and drops what they say meanwhile.
var CameOrWent = predicate.Funcs{UpdateFunc: func(event.UpdateEvent) bool { return false }}
