package pod

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/woven-cni/woven/pkg/group"
	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/port"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/subnet"
)

// Input is all that a Pod's row depends on.
type Input struct {
	// Key is the Pod's name.
	Key types.NamespacedName
	// Pod is the object, for the report; nil when it is gone.
	Pod *corev1.Pod
	// Attached is false for a Pod that is gone, has ended, or lives on its node's network.
	Attached bool
	// Subnet is where the Pod's addresses are from.
	Subnet subnet.Subnet
	// Lease is what the Pod has; the zero Lease when it gets nothing, and Problems say why.
	Lease ipam.Lease
	// Untold says that nothing but the name is known of Subnet, whose spec is not in force: nobody can be told its gateway.
	Untold bool
	// Told are the CIDRs that the pod's interface has, or is about to be told: those of Subnet when the pod started.
	Told ipam.Prefixes
	// Over says that the port is that of an earlier pod of the name, which had other addresses. It has to go first.
	Over bool
	// Groups are the names of the port groups that policies have it in.
	Groups []string
	// Problems say why there is no lease, or not the one that is asked for.
	Problems reconcile.Problems
}

// Translate makes the rows of one Pod.
func Translate(in Input) (ovs.Desired, reconcile.Problems) {
	var want ovs.Desired
	for _, p := range in.ports() {
		p.AddTo(&want)
	}
	return want, in.Problems
}

// ports are the interfaces of the Pod in OVN: none while it has no addresses, and the primary one afterwards.
func (in Input) ports() []port.Port {
	if !in.Attached || in.Over || in.Lease.IsZero() {
		return nil
	}
	primary := port.Port{
		Owner: Owner(in.Key), Name: PortName(in.Key), Switch: subnet.PortsOf(in.Subnet.Name), Lease: in.Lease,
		Security: port.Itself, UID: string(in.Pod.UID), Node: in.Pod.Spec.NodeName,
	}
	for _, name := range in.Groups {
		primary.Groups = append(primary.Groups, group.Sym(name))
	}
	return []port.Port{primary}
}
