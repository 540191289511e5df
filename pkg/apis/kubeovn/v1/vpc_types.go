package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Values of StaticRoute.Policy.
const (
	// RouteByDestination is a route for traffic to its CIDR.
	RouteByDestination = "policyDst"
	// RouteBySource is a route for traffic from its CIDR.
	RouteBySource = "policySrc"
)

// Values of PolicyRoute.Action.
const (
	// PolicyAllow lets the packet go the way the routes say.
	PolicyAllow = "allow"
	// PolicyDrop drops the packet.
	PolicyDrop = "drop"
	// PolicyReroute sends the packet to the next hop.
	PolicyReroute = "reroute"
)

// Vpc is a router of its own for the subnets that name it.
//
// +kubebuilder:object:root=true
// +kubebuilder:metadata:annotations="helm.sh/resource-policy=keep"
// +kubebuilder:resource:scope=Cluster,path=vpcs,shortName=vpc
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="DefaultSubnet",type=string,JSONPath=`.status.defaultLogicalSwitch`
// +kubebuilder:printcolumn:name="Namespaces",type=string,JSONPath=`.spec.namespaces`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="EnableExternal",type=boolean,priority=1,JSONPath=`.status.enableExternal`
// +kubebuilder:printcolumn:name="EnableBfd",type=boolean,priority=1,JSONPath=`.status.enableBfd`
// +kubebuilder:printcolumn:name="Standby",type=boolean,priority=1,JSONPath=`.status.standby`
// +kubebuilder:printcolumn:name="Subnets",type=string,priority=1,JSONPath=`.status.subnets`
// +kubebuilder:printcolumn:name="ExtraExternalSubnets",type=string,priority=1,JSONPath=`.status.extraExternalSubnets`
type Vpc struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Spec   VpcSpec   `json:"spec,omitzero"`
	Status VpcStatus `json:"status,omitzero"`
}

// VpcList is a list of Vpcs.
//
// +kubebuilder:object:root=true
type VpcList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`

	Items []Vpc `json:"items"`
}

// VpcSpec is what a user asks of a Vpc.
type VpcSpec struct {
	// Subnet of pods in the Vpc's namespaces that nothing binds to another.
	DefaultSubnet string `json:"defaultSubnet,omitempty"`
	// Namespaces that belong to the Vpc.
	Namespaces []string `json:"namespaces,omitempty"`
	// Routes of the router.
	// +kubebuilder:validation:MaxItems=8192
	StaticRoutes []StaticRoute `json:"staticRoutes,omitempty"`
	// Policies of the router; they come before its routes.
	// +kubebuilder:validation:MaxItems=8192
	PolicyRoutes []PolicyRoute `json:"policyRoutes,omitempty"`
	// Vpcs that this one is connected to.
	// +kubebuilder:validation:MaxItems=1024
	VpcPeerings []VpcPeering `json:"vpcPeerings,omitempty"`
	// Connect the router to the external subnet.
	EnableExternal bool `json:"enableExternal,omitempty"`
	// External subnets beside the default one.
	ExtraExternalSubnets []string `json:"extraExternalSubnets,omitempty"`
	// Watch next hops of static routes by BFD.
	EnableBfd bool `json:"enableBfd,omitempty"`
	// Router port that BFD sessions start from.
	BFDPort *BFDPort `json:"bfdPort,omitempty"`
	// Routes exchanged with routers outside.
	DynamicRouting *VpcDynamicRouting `json:"dynamicRouting,omitempty"`
}

// StaticRoute is a route of a Vpc's router.
type StaticRoute struct {
	// policyDst (the default) or policySrc: what cidr is compared with.
	// +kubebuilder:validation:Enum="";policyDst;policySrc
	Policy string `json:"policy,omitempty"`
	// Addresses that the route is for.
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="isIP(self) || isCIDR(self)",message="must be a CIDR or an address"
	CIDR string `json:"cidr,omitempty"`
	// Address that packets are sent to.
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="isIP(self)",message="must be an address"
	NextHopIP string `json:"nextHopIP,omitempty"`
	// ecmp_symmetric_reply when answers must take the way that requests came.
	ECMPMode string `json:"ecmpMode,omitempty"`
	// BFD session that the route depends on.
	BfdID string `json:"bfdId,omitempty"`
	// Route table that the route is in; the main one when empty.
	RouteTable string `json:"routeTable,omitempty"`
}

// PolicyRoute is a policy of a Vpc's router, in OVN's words.
//
// +kubebuilder:validation:XValidation:rule="!has(self.action) || self.action != 'reroute' || (has(self.nextHopIP) && size(self.nextHopIP) != 0)",message="reroute needs a next hop",fieldPath=".nextHopIP"
type PolicyRoute struct {
	// The highest that matches decides.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=32767
	Priority int `json:"priority,omitempty"`
	// OVN expression.
	Match string `json:"match,omitempty"`
	// allow, drop or reroute.
	// +kubebuilder:validation:Enum=allow;drop;reroute
	Action string `json:"action,omitempty"`
	// Next hop of reroute; several with commas between share the load.
	// +kubebuilder:validation:Pattern=`^[0-9A-Fa-f.:,]*$`
	NextHopIP string `json:"nextHopIP,omitempty"`
}

// VpcPeering connects a Vpc to another.
type VpcPeering struct {
	// Name of the other Vpc.
	RemoteVpc string `json:"remoteVpc,omitempty"`
	// Address and prefix length of this end, or one of each family with a comma between.
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self == '' || (self.split(',').size() <= 2 && self.split(',').all(c, isCIDR(c)))",message="must be an address with its prefix length, or one of each family with a comma between"
	LocalConnectIP string `json:"localConnectIP,omitempty"`
}

// BFDPort is the router port that BFD sessions start from.
type BFDPort struct {
	// Make the port.
	// +kubebuilder:default=false
	Enabled bool `json:"enabled"`
	// Address of the port, or one of each family with a comma between.
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self == '' || (self.split(',').size() <= 2 && self.split(',').all(a, isIP(a)))",message="must be an address, or one of each family with a comma between"
	IP string `json:"ip,omitempty"`
	// Nodes that may host the port.
	NodeSelector *metav1.LabelSelector `json:"nodeSelector,omitempty"`
}

// VpcDynamicRouting is how a Vpc's router exchanges routes with the outside.
type VpcDynamicRouting struct {
	// Exchange routes.
	// +kubebuilder:default=false
	Enabled bool `json:"enabled"`
	// Kinds of routes that are told: connected, connected-as-host, static, nat, lb.
	// +listType=set
	// +kubebuilder:validation:items:Enum=connected;connected-as-host;static;nat;lb
	Redistribute []string `json:"redistribute,omitempty"`
	// Tell routes only from the node where their port is.
	LocalOnly bool `json:"localOnly,omitempty"`
	// Let ovn-controller make the VRF.
	MaintainVrf bool `json:"maintainVrf,omitempty"`
	// Name of the VRF.
	// +kubebuilder:validation:MaxLength=15
	VrfName string `json:"vrfName,omitempty"`
	// Routing table of the VRF.
	// +kubebuilder:validation:Format=int64
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4294967295
	VrfID uint32 `json:"vrfId,omitempty"`
}

// VpcStatus is what the controller reports of a Vpc.
type VpcStatus struct {
	// State of the Vpc, one entry an aspect.
	// +listType=map
	// +listMapKey=type
	Conditions []Condition `json:"conditions,omitempty"`

	// The router exists.
	Standby bool `json:"standby"`
	// This is the Vpc of subnets that name none.
	Default bool `json:"default"`
	// Subnet of pods that nothing binds to another.
	DefaultLogicalSwitch string `json:"defaultLogicalSwitch"`
	// Name of the router.
	Router string `json:"router"`
	// TCP load balancer.
	TCPLoadBalancer string `json:"tcpLoadBalancer"`
	// UDP load balancer.
	UDPLoadBalancer string `json:"udpLoadBalancer"`
	// SCTP load balancer.
	SctpLoadBalancer string `json:"sctpLoadBalancer"`
	// TCP load balancer with session affinity.
	TCPSessionLoadBalancer string `json:"tcpSessionLoadBalancer"`
	// UDP load balancer with session affinity.
	UDPSessionLoadBalancer string `json:"udpSessionLoadBalancer"`
	// SCTP load balancer with session affinity.
	SctpSessionLoadBalancer string `json:"sctpSessionLoadBalancer"`
	// Subnets in the Vpc.
	Subnets []string `json:"subnets,omitempty"`
	// Vpcs that this one is connected to.
	VpcPeerings []string `json:"vpcPeerings,omitempty"`
	// The router is connected to the external subnet.
	EnableExternal bool `json:"enableExternal"`
	// External subnets, beside the default one, that it is connected to.
	ExtraExternalSubnets []string `json:"extraExternalSubnets,omitempty"`
	// Next hops are watched by BFD.
	EnableBfd bool `json:"enableBfd"`
	// Router port that BFD sessions start from.
	BFDPort BFDPortStatus `json:"bfdPort,omitzero"`
}

// BFDPortStatus is what there is of a BFDPort.
type BFDPortStatus struct {
	// Name of the router port.
	Name string `json:"name,omitempty"`
	// Its address.
	IP string `json:"ip,omitempty"`
	// Nodes that may host it.
	Nodes []string `json:"nodes,omitempty"`
}
