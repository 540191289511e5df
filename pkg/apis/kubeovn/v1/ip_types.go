package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// IP is the record of the addresses of one switch port and has the port's name:
// <pod>.<namespace> for a pod, node-<node> for a node. One that a user makes
// before its port exists reserves the addresses.
//
// +kubebuilder:object:root=true
// +kubebuilder:metadata:annotations="helm.sh/resource-policy=keep"
// +kubebuilder:resource:scope=Cluster,path=ips,shortName=ip
// +kubebuilder:printcolumn:name="V4IP",type=string,JSONPath=`.spec.v4IpAddress`
// +kubebuilder:printcolumn:name="V6IP",type=string,JSONPath=`.spec.v6IpAddress`
// +kubebuilder:printcolumn:name="Mac",type=string,JSONPath=`.spec.macAddress`
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=`.spec.nodeName`
// +kubebuilder:printcolumn:name="Subnet",type=string,JSONPath=`.spec.subnet`
type IP struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Spec IPSpec `json:"spec,omitzero"`
}

// IPList is a list of IPs.
//
// +kubebuilder:object:root=true
type IPList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`

	Items []IP `json:"items"`
}

// PodTypeStatefulSet is the podType of an IP whose addresses are those of the next pod of the name, too.
const PodTypeStatefulSet = "StatefulSet"

// IPSpec is who has which addresses.
type IPSpec struct {
	// Pod or node that has the addresses.
	// +kubebuilder:validation:XValidation:rule="oldSelf == '' || self == oldSelf",message="podName cannot change"
	PodName string `json:"podName"`
	// Namespace of the pod; empty for a node.
	// +kubebuilder:validation:XValidation:rule="oldSelf == '' || self == oldSelf",message="namespace cannot change"
	Namespace string `json:"namespace"`
	// Subnet that the addresses are from.
	Subnet string `json:"subnet"`
	// Subnets of further interfaces. Old; each interface has an IP of its own.
	AttachSubnets []string `json:"attachSubnets,omitempty"`
	// Node of the pod.
	NodeName string `json:"nodeName"`
	// The addresses, v4 first, with a comma between.
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self == '' || (self.split(',').size() <= 2 && self.split(',').all(a, isIP(a)))",message="must be an address, or one of each family with a comma between"
	IPAddress string `json:"ipAddress"`
	// The IPv4 address.
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self == '' || (isIP(self) && ip(self).family() == 4)",message="must be an IPv4 address"
	V4IPAddress string `json:"v4IpAddress"`
	// The IPv6 address.
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self == '' || (isIP(self) && ip(self).family() == 6)",message="must be an IPv6 address"
	V6IPAddress string `json:"v6IpAddress"`
	// Addresses of further interfaces. Old.
	AttachIPs []string `json:"attachIps,omitempty"`
	// The MAC.
	// +kubebuilder:validation:Pattern=`^$|^([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$`
	MACAddress string `json:"macAddress"`
	// MACs of further interfaces. Old.
	AttachMACs []string `json:"attachMacs,omitempty"`
	// The pod's sandbox.
	ContainerID string `json:"containerID"`
	// Empty, StatefulSet or VirtualMachine: who decides when the addresses are free again.
	PodType string `json:"podType"`
}
