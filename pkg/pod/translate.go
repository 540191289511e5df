package pod

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/woven-cni/woven/pkg/group"
	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/subnet"
)

// In is all that a Pod's row depends on.
type In struct {
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
	// Over says that the port is that of an earlier pod of the name, which had other addresses. It has to go first.
	Over bool
	// Groups are the names of the port groups that policies have it in.
	Groups []string
	// Problems say why there is no lease, or not the one that is asked for.
	Problems reconcile.Problems
}

// Keys of the row's external_ids.
const (
	// SwitchKey is which subnet the addresses are from, as Kube-OVN's rows have it.
	SwitchKey = "ls"
	// UIDKey is the UID of the pod that has them: another pod of the name may want others.
	UIDKey = "uid"
)

// requestedChassis is the option that binds a port to a node (ovn-nb(5)): an interface with the port's name on another
// node, which a pod that was deleted by force may have left there, is not taken for the pod's. northd takes in the change
// of a port's options incrementally, and a port that is bound already stays bound.
const requestedChassis = "requested-chassis"

// Translate makes the row of one Pod.
func Translate(in In) (ovs.Desired, reconcile.Problems) {
	var want ovs.Desired
	if !in.Attached || in.Over || in.Lease.IsZero() {
		return want, in.Problems
	}
	addresses := []string{subnet.PortAddress(in.Lease)}
	port := want.Add(Port(in.Key), &nb.LogicalSwitchPort{
		Name:        PortName(in.Key),
		ExternalIDs: map[string]string{SwitchKey: in.Subnet.Name, UIDKey: string(in.Pod.UID)},
		Addresses:   addresses,
		// A pod sends only as itself.
		PortSecurity: addresses,
		Options:      in.options(),
	}).In(ovs.SwitchPorts.Of(subnet.Switch(in.Subnet.Name)))
	for _, name := range in.Groups {
		port.Also(ovs.GroupPorts.Of(group.Sym(name)).This())
	}
	return want, in.Problems
}

// options bind the port to the pod's node, by its name in the southbound database, as soon as it has one.
func (in In) options() map[string]string {
	if in.Pod.Spec.NodeName == "" {
		return nil
	}
	return map[string]string{requestedChassis: in.Pod.Spec.NodeName}
}
