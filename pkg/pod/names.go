package pod

import (
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/port"
)

// FeatureName is the Owner.Feature of a Pod's rows.
const FeatureName = "pod"

// Owner is whose the rows of a Pod are.
func Owner(pod types.NamespacedName) ovs.Owner {
	return ovs.Owner{Feature: FeatureName, Key: pod.Namespace + "/" + pod.Name}
}

// PortKey is a Pod's primary port, whose the addresses of its primary interface are.
func PortKey(pod types.NamespacedName) port.Key { return port.First(Owner(pod)) }

// PortName is the name of a Pod's switch port, of its IP object and the iface-id of its interface.
func PortName(pod types.NamespacedName) string {
	return v1.PortNameOfPod(pod.Namespace, pod.Name, v1.Provider)
}

// Port names the Logical_Switch_Port of a Pod's primary interface.
func Port(pod types.NamespacedName) ovs.Sym { return port.Sym(Owner(pod)) }
