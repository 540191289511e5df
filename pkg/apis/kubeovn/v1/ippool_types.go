package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ReasonInvalidIPs is an entry of the ips of an IPPool that cannot be read.
const ReasonInvalidIPs = "InvalidIPs"

// IPPool sets addresses of a Subnet aside: for the pods of some namespaces, and for those that name it in their annotation ip_pool.
//
// +kubebuilder:object:root=true
// +kubebuilder:validation:XValidation:rule="has(self.spec)",message="spec is missing: say of which subnet, and which ips",fieldPath=".spec"
// +kubebuilder:validation:XValidation:rule="!isIP(self.metadata.name)",message="an IPPool cannot have an address for its name: the annotation ip_pool holds names or addresses"
// +kubebuilder:metadata:annotations="helm.sh/resource-policy=keep"
// +kubebuilder:resource:scope=Cluster,path=ippools,shortName=ippool
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Subnet",type=string,JSONPath=`.spec.subnet`
// +kubebuilder:printcolumn:name="IPs",type=string,JSONPath=`.spec.ips`
// +kubebuilder:printcolumn:name="V4Used",type=number,JSONPath=`.status.v4UsingIPs`
// +kubebuilder:printcolumn:name="V4Available",type=number,JSONPath=`.status.v4AvailableIPs`
// +kubebuilder:printcolumn:name="V6Used",type=number,JSONPath=`.status.v6UsingIPs`
// +kubebuilder:printcolumn:name="V6Available",type=number,JSONPath=`.status.v6AvailableIPs`
// +kubebuilder:printcolumn:name="Namespaces",type=string,priority=1,JSONPath=`.spec.namespaces`
// +kubebuilder:printcolumn:name="EnableAddressSet",type=boolean,priority=1,JSONPath=`.spec.enableAddressSet`
type IPPool struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Spec   IPPoolSpec   `json:"spec,omitzero"`
	Status IPPoolStatus `json:"status,omitzero"`
}

// IPPoolList is a list of IPPools.
//
// +kubebuilder:object:root=true
type IPPoolList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`

	Items []IPPool `json:"items"`
}

// IPPoolSpec is which addresses are set aside, and for whom.
type IPPoolSpec struct {
	// Subnet that the addresses are of. Cannot change.
	// +required
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="size(self) > 0",message="is empty: name the subnet that the ips are of"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="the subnet of an IPPool cannot change: make another IPPool for the other subnet"
	Subnet string `json:"subnet"`
	// Addresses, each "address", "first..last" or a CIDR. Those outside of the subnet have no effect.
	// +required
	// +kubebuilder:validation:MaxItems=1024
	// +kubebuilder:validation:XValidation:rule="size(self) > 0",message="is empty: list addresses, e.g. 10.16.0.10..10.16.0.19"
	// +kubebuilder:validation:items:MaxLength=96
	// +kubebuilder:validation:items:XValidation:rule="isIP(self) || isCIDR(self) || (self.contains('..') && self.split('..').size() == 2 && isIP(self.split('..')[0]) && isIP(self.split('..')[1]))",message="must be an address, first..last or a CIDR, e.g. 10.16.0.9, 10.16.0.10..10.16.0.19 or 10.16.0.32/28"
	// +kubebuilder:validation:items:XValidation:rule="!self.contains('..') || !isIP(self.split('..')[0]) || !isIP(self.split('..')[1]) || ip(self.split('..')[0]).family() == ip(self.split('..')[1]).family()",message="goes from one address family to the other: give each family an entry of its own"
	IPs []string `json:"ips"`
	// Namespaces whose pods get their addresses here, and nowhere else in the subnet. Pods of others may not name the pool. When
	// empty, any pod may name it.
	// +kubebuilder:validation:MaxItems=4096
	Namespaces []string `json:"namespaces,omitempty"`
	// Keep an Address_Set with the addresses in OVN, for use in policies.
	// +kubebuilder:default=false
	EnableAddressSet bool `json:"enableAddressSet"`
}

// IPPoolStatus is what the controller reports of an IPPool.
type IPPoolStatus struct {
	// State of the pool, one entry an aspect.
	// +listType=map
	// +listMapKey=type
	Conditions []Condition `json:"conditions,omitempty"`
	// What is in force of the spec: of the last one that was accepted. While the spec as it reads now is refused, pods get
	// their addresses by this.
	InForce *IPPoolInForce `json:"inForce,omitempty"`

	// Free IPv4 addresses.
	V4AvailableIPs Count `json:"v4AvailableIPs"`
	// Free IPv4 addresses as "address" and "first-last" with commas between.
	V4AvailableIPRange string `json:"v4AvailableIPRange"`
	// IPv4 addresses in use.
	V4UsingIPs Count `json:"v4UsingIPs"`
	// IPv4 addresses in use as "address" and "first-last" with commas between.
	V4UsingIPRange string `json:"v4UsingIPRange"`
	// Free IPv6 addresses.
	V6AvailableIPs Count `json:"v6AvailableIPs"`
	// Free IPv6 addresses as "address" and "first-last" with commas between.
	V6AvailableIPRange string `json:"v6AvailableIPRange"`
	// IPv6 addresses in use.
	V6UsingIPs Count `json:"v6UsingIPs"`
	// IPv6 addresses in use as "address" and "first-last" with commas between.
	V6UsingIPRange string `json:"v6UsingIPRange"`
}

// IPPoolInForce is what of an IPPool's spec the controller acts on.
type IPPoolInForce struct {
	// Addresses that are set aside.
	IPs []string `json:"ips,omitempty"`
}

// Conditions are those of the status.
func (p *IPPool) Conditions() []Condition { return p.Status.Conditions }
