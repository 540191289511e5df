package group

import (
	"k8s.io/apimachinery/pkg/types"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// Input is all that a group's row depends on.
type Input struct {
	// Name is the row's.
	Name string
	// Used is false when no policy has selected like this for a while.
	Used bool
	// Selector says which pods belong to it.
	Selector Selector
}

// Translate makes the row of one group. Its ports are the pods' to write, its ACLs the policies'.
func Translate(in Input) (ovs.Desired, reconcile.Problems) {
	var want ovs.Desired
	if in.Used {
		want.Add(Sym(in.Name), row(in.Selector))
	}
	return want, nil
}

func row(s Selector) *nb.PortGroup { return &nb.PortGroup{Name: s.Name(), ExternalIDs: s.ids()} }

// Need is what rows that rely on the group have to bring along; port names the port of a pod.
func (l Lack) Need(port func(types.NamespacedName) ovs.Sym) ovs.Need {
	need := ovs.Need{
		Owner: ovs.Owner{Feature: FeatureName, Key: l.Name()}, Sym: Sym(l.Name()), Model: row(l.Selector), Set: ovs.GroupPorts,
	}
	for _, pod := range l.Pods {
		need.Members = append(need.Members, port(pod))
	}
	return need
}
