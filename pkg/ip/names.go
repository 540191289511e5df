package ip

import (
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/node"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/pod"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/port"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// FeatureName is the feature's name in logs and metrics.
const FeatureName = "ip"

// ownerOf is the owner that a pod or node is, or that an IP object speaks of: one that names no namespace speaks of a node.
func ownerOf(obj client.Object) ovs.Owner {
	key := client.ObjectKeyFromObject(obj)
	if ip, ok := obj.(*v1.IP); ok {
		key = types.NamespacedName{Namespace: ip.Spec.Namespace, Name: ip.Spec.PodName}
	}
	if key.Namespace == "" {
		return node.Owner(key.Name)
	}
	return pod.Owner(key)
}

// portName is the name of a port, and of its IP object.
func portName(p port.Key) string {
	if p.Owner.Feature == node.FeatureName {
		return node.PortName(p.Owner.Key)
	}
	key := reconcile.ParseKey(p.Owner.Key)
	return v1.PortNameOfPod(key.Namespace, key.Name, p.Interface)
}

// portOf is the port that an IP object is of; not ok if the object's name is another than the IP object of that pod or node has.
func portOf(ip *v1.IP) (p port.Key, ok bool) {
	p = port.First(ownerOf(ip))
	if p.Owner.Feature == pod.FeatureName {
		p.Interface, _ = v1.ProviderOfPort(ip.Name, ip.Spec.Namespace, ip.Spec.PodName)
	}
	return p, ip.Name == portName(p)
}

// isRecord says whether an IP object is the controller's own record of a port, and not a user's.
func isRecord(obj client.Object) bool { return obj.GetLabels()[v1.LabelIPReserved] == "false" }

// keeper is the owner of what an IP object keeps while its port has it not.
func keeper(ip string) port.Key { return port.First(ovs.Owner{Feature: pool.Reservation, Key: ip}) }
