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
	// Lease is what the Pod was given.
	Lease ipam.Lease
	// Groups are the names of the port groups that policies have it in.
	Groups []string
	// Kept says that the lease is an older one, which the pod keeps although it cannot have what it asks for now.
	Kept bool
	// Problems say why there is no lease, or none but the one that is kept.
	Problems reconcile.Problems
}

// switchKey is where the row says which subnet its addresses are from, as Kube-OVN's rows do.
const switchKey = "ls"

// Translate makes the row of one Pod.
func Translate(in In) (ovs.Desired, reconcile.Problems) {
	var want ovs.Desired
	if !in.Attached || len(in.Problems.Blocking()) > 0 {
		return want, in.Problems
	}
	addresses := []string{subnet.PortAddress(in.Lease)}
	port := want.Add(Port(in.Key), &nb.LogicalSwitchPort{
		Name:        PortName(in.Key),
		ExternalIDs: map[string]string{switchKey: in.Subnet.Name},
		Addresses:   addresses,
		// A pod sends only as itself.
		PortSecurity: addresses,
	}).In(ovs.SwitchPorts.Of(subnet.Switch(in.Subnet.Name)))
	for _, name := range in.Groups {
		port.Also(ovs.GroupPorts.Of(group.Sym(name)).This())
	}
	return want, in.Problems
}
