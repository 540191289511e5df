package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Values of SubnetSpec.Protocol.
const (
	// ProtocolIPv4 is a subnet with an IPv4 CIDR only.
	ProtocolIPv4 = "IPv4"
	// ProtocolIPv6 is a subnet with an IPv6 CIDR only.
	ProtocolIPv6 = "IPv6"
	// ProtocolDual is a subnet with a CIDR of each family.
	ProtocolDual = "Dual"
	// ProtocolMAC is a subnet on a Vlan without a CIDR; addresses come from outside.
	ProtocolMAC = "Mac"
)

// Values of SubnetSpec.GatewayType.
const (
	// GatewayDistributed is a subnet whose traffic leaves by the node of each pod.
	GatewayDistributed = "distributed"
	// GatewayCentralized is a subnet whose traffic leaves by chosen nodes.
	GatewayCentralized = "centralized"
)

// Subnet is a range of addresses and the OVN switch that carries it.
//
// +kubebuilder:object:root=true
// +kubebuilder:validation:XValidation:rule="!has(self.spec) || !has(self.spec.vpc) || self.spec.vpc != self.metadata.name",message="a subnet cannot have the name of its vpc",fieldPath=".spec.vpc"
// +kubebuilder:metadata:annotations="helm.sh/resource-policy=keep"
// +kubebuilder:resource:scope=Cluster,path=subnets,shortName=subnet
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Vpc",type=string,JSONPath=`.spec.vpc`
// +kubebuilder:printcolumn:name="CIDR",type=string,JSONPath=`.spec.cidrBlock`
// +kubebuilder:printcolumn:name="V4Used",type=number,JSONPath=`.status.v4usingIPs`
// +kubebuilder:printcolumn:name="V4Available",type=number,JSONPath=`.status.v4availableIPs`
// +kubebuilder:printcolumn:name="V6Used",type=number,JSONPath=`.status.v6usingIPs`
// +kubebuilder:printcolumn:name="V6Available",type=number,JSONPath=`.status.v6availableIPs`
// +kubebuilder:printcolumn:name="NAT",type=boolean,JSONPath=`.spec.natOutgoing`
// +kubebuilder:printcolumn:name="Provider",type=string,priority=1,JSONPath=`.spec.provider`
// +kubebuilder:printcolumn:name="Vlan",type=string,priority=1,JSONPath=`.spec.vlan`
// +kubebuilder:printcolumn:name="Protocol",type=string,priority=1,JSONPath=`.spec.protocol`
// +kubebuilder:printcolumn:name="Private",type=boolean,priority=1,JSONPath=`.spec.private`
// +kubebuilder:printcolumn:name="Default",type=boolean,priority=1,JSONPath=`.spec.default`
// +kubebuilder:printcolumn:name="GatewayType",type=string,priority=1,JSONPath=`.spec.gatewayType`
// +kubebuilder:printcolumn:name="ExcludeIPs",type=string,priority=1,JSONPath=`.spec.excludeIps`
// +kubebuilder:printcolumn:name="U2OInterconnectionIP",type=string,priority=1,JSONPath=`.status.u2oInterconnectionIP`
type Subnet struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Spec   SubnetSpec   `json:"spec,omitzero"`
	Status SubnetStatus `json:"status,omitzero"`
}

// SubnetList is a list of subnets.
//
// +kubebuilder:object:root=true
type SubnetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`

	Items []Subnet `json:"items"`
}

// SubnetSpec is what a user asks of a subnet.
//
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.vpc) || size(oldSelf.vpc) == 0 || (has(self.vpc) && size(self.vpc) != 0 ? self.vpc : 'ovn-cluster') == oldSelf.vpc",message="the vpc of a subnet cannot change",messageExpression="'the vpc of a subnet cannot change, it is ' + oldSelf.vpc",fieldPath=".vpc"
// +kubebuilder:validation:XValidation:rule="!has(self.gateway) || !has(self.cidrBlock) || size(self.cidrBlock) == 0 || self.gateway.split(',').all(g, !isIP(g) || self.cidrBlock.split(',').exists(c, !isCIDR(c) || cidr(c).containsIP(g)))",message="gateway is outside cidrBlock",messageExpression="'gateway ' + self.gateway + ' is outside cidrBlock ' + self.cidrBlock",fieldPath=".gateway"
// +kubebuilder:validation:XValidation:rule="!has(self.u2oInterconnectionIP) || !has(self.cidrBlock) || size(self.cidrBlock) == 0 || self.u2oInterconnectionIP.split(',').all(a, !isIP(a) || self.cidrBlock.split(',').exists(c, !isCIDR(c) || cidr(c).containsIP(a)))",message="u2oInterconnectionIP is outside cidrBlock",fieldPath=".u2oInterconnectionIP"
// +kubebuilder:validation:XValidation:rule="!has(self.mtu) || self.mtu == 0 || self.mtu >= 1280 || !has(self.cidrBlock) || !self.cidrBlock.contains(':')",message="IPv6 needs an mtu of 1280 or more",fieldPath=".mtu"
// +kubebuilder:validation:XValidation:rule="!has(self.externalEgressGateway) || size(self.externalEgressGateway) == 0 || !has(self.natOutgoing) || !self.natOutgoing",message="externalEgressGateway and natOutgoing exclude each other",fieldPath=".externalEgressGateway"
// +kubebuilder:validation:XValidation:rule="!has(self.logicalGateway) || !self.logicalGateway || !has(self.u2oInterconnection) || !self.u2oInterconnection",message="logicalGateway and u2oInterconnection exclude each other",fieldPath=".logicalGateway"
type SubnetSpec struct {
	// Marks the subnet of pods that nothing binds to another.
	// +kubebuilder:default=false
	Default bool `json:"default"`
	// Vpc that the subnet is in; the default one when empty. Cannot change.
	// +kubebuilder:validation:MaxLength=253
	Vpc string `json:"vpc,omitempty"`
	// IPv4, IPv6, Dual or Mac. Follows from cidrBlock.
	// +kubebuilder:validation:Enum="";IPv4;IPv6;Dual;Mac
	Protocol string `json:"protocol,omitempty"`
	// Namespaces whose pods get their addresses here.
	Namespaces []string `json:"namespaces,omitempty"`
	// The same by label; a namespace that any of them selects is bound.
	NamespaceSelectors []metav1.LabelSelector `json:"namespaceSelectors,omitempty"`
	// Addresses of the subnet: a CIDR, or one of each family with a comma between.
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self == '' || self.split(',').all(c, isCIDR(c))",message="must be a CIDR, or one of each family with a comma between, e.g. 10.16.0.0/16,fd00:10:16::/112"
	// +kubebuilder:validation:XValidation:rule="!self.split(',').all(c, isCIDR(c)) || (self.split(',').size() <= 2 && self.split(',').exists_one(c, cidr(c).ip().family() == cidr(self.split(',')[0]).ip().family()))",message="has two CIDRs of one family"
	// +kubebuilder:validation:XValidation:rule="self.split(',').all(c, !isCIDR(c) || cidr(c).ip().isGlobalUnicast())",message="must not be multicast, loopback, link-local or unspecified addresses"
	CIDRBlock string `json:"cidrBlock,omitempty"`
	// Gateway address, or one of each family with a comma between; the first usable
	// address of the CIDR when empty.
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self == '' || self.split(',').all(g, isIP(g))",message="must be an address, or one of each family with a comma between"
	// +kubebuilder:validation:XValidation:rule="!self.split(',').all(g, isIP(g)) || (self.split(',').size() <= 2 && self.split(',').exists_one(g, ip(g).family() == ip(self.split(',')[0]).family()))",message="has two addresses of one family"
	Gateway string `json:"gateway,omitempty"`
	// Addresses that are never given out, each "address" or "first..last".
	// +kubebuilder:validation:MaxItems=4096
	// +kubebuilder:validation:items:MaxLength=96
	// +kubebuilder:validation:items:XValidation:rule="isIP(self) || (self.contains('..') && self.split('..').size() == 2 && isIP(self.split('..')[0]) && isIP(self.split('..')[1]))",message="must be an address or first..last"
	// +kubebuilder:validation:items:XValidation:rule="!self.contains('..') || !isIP(self.split('..')[0]) || !isIP(self.split('..')[1]) || ip(self.split('..')[0]).family() == ip(self.split('..')[1]).family()",message="goes from one address family to the other"
	ExcludeIps []string `json:"excludeIps,omitempty"`
	// Who attaches pods here: ovn, or <nad>.<namespace>.ovn for an attachment, or
	// <nad>.<namespace> to manage addresses only.
	Provider string `json:"provider,omitempty"`

	// Where traffic leaves: distributed (from each pod's node) or centralized.
	// +kubebuilder:validation:Enum="";distributed;centralized
	GatewayType string `json:"gatewayType,omitempty"`
	// Gateway nodes of a centralized subnet, with commas between.
	GatewayNode string `json:"gatewayNode,omitempty"`
	// The same by label.
	GatewayNodeSelectors []metav1.LabelSelector `json:"gatewayNodeSelectors,omitempty"`
	// Use all gateway nodes at once instead of one.
	EnableEcmp bool `json:"enableEcmp,omitempty"`
	// Traffic to the outside takes the address of the node it leaves from.
	// +kubebuilder:default=false
	NatOutgoing bool `json:"natOutgoing"`
	// Exceptions from natOutgoing; the first rule that matches decides.
	NatOutgoingPolicyRules []NatOutgoingPolicyRule `json:"natOutgoingPolicyRules,omitempty"`
	// Next hop outside the cluster, or one of each family with a comma between.
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self == '' || (self.split(',').size() <= 2 && self.split(',').all(a, isIP(a)))",message="must be an address, or two with a comma between"
	ExternalEgressGateway string `json:"externalEgressGateway,omitempty"`
	// Priority of the host's routing rule for externalEgressGateway.
	// +kubebuilder:validation:Format=int64
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4294967295
	PolicyRoutingPriority uint32 `json:"policyRoutingPriority,omitempty"`
	// Routing table of the host for externalEgressGateway.
	// +kubebuilder:validation:Format=int64
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4294967295
	PolicyRoutingTableID uint32 `json:"policyRoutingTableID,omitempty"`
	// MTU of the pods' interfaces; worked out from the tunnels when 0.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=65535
	Mtu uint32 `json:"mtu,omitempty"`

	// Drop traffic from other subnets, except allowSubnets.
	// +kubebuilder:default=false
	Private bool `json:"private"`
	// CIDRs that may reach a private subnet.
	// +kubebuilder:validation:MaxItems=4096
	// +kubebuilder:validation:items:MaxLength=64
	// +kubebuilder:validation:items:XValidation:rule="isCIDR(self)",message="must be a CIDR"
	AllowSubnets []string `json:"allowSubnets,omitempty"`
	// Access rules of the subnet's switch.
	Acls []ACL `json:"acls,omitempty"`
	// Let the subnet's own pods reach each other whatever acls says.
	AllowEWTraffic bool `json:"allowEWTraffic,omitempty"`

	// Vlan that the subnet is on.
	Vlan string `json:"vlan,omitempty"`
	// Addresses that get a virtual port on the switch.
	Vips []string `json:"vips,omitempty"`
	// Let OVN be the gateway of a subnet on a Vlan.
	LogicalGateway bool `json:"logicalGateway,omitempty"`
	// Do not wait for the gateway to answer when a pod starts.
	DisableGatewayCheck bool `json:"disableGatewayCheck,omitempty"`
	// Keep the subnet out of the interconnection of clusters.
	DisableInterConnection bool `json:"disableInterConnection,omitempty"`

	// Answer DHCP on the subnet.
	EnableDHCP bool `json:"enableDHCP,omitempty"`
	// DHCPv4 options, "key=value" with commas between.
	DHCPv4Options string `json:"dhcpV4Options,omitempty"`
	// DHCPv6 options, "key=value" with commas between.
	DHCPv6Options string `json:"dhcpV6Options,omitempty"`
	// Send IPv6 router advertisements on the subnet.
	EnableIPv6RA bool `json:"enableIPv6RA,omitempty"`
	// Settings of the advertisements, "key=value" with commas between.
	IPv6RAConfigs string `json:"ipv6RAConfigs,omitempty"`

	// Route between this underlay subnet and overlay subnets.
	U2OInterconnection bool `json:"u2oInterconnection,omitempty"`
	// Address of the router on the underlay subnet.
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self == '' || self.split(',').all(a, isIP(a))",message="must be an address, or one of each family with a comma between"
	U2OInterconnectionIP string `json:"u2oInterconnectionIP,omitempty"`
	// Finer settings of u2oInterconnection.
	U2OFeatures U2OFeatures `json:"u2oFeatures,omitzero"`

	// Load-balance Services for the subnet; the controller's --enable-lb when absent.
	EnableLb *bool `json:"enableLb,omitempty"`
	// Learn who listens to which multicast group.
	EnableMulticastSnoop bool `json:"enableMulticastSnoop,omitempty"`
	// Answer for Services' external addresses on this underlay subnet.
	EnableExternalLBAddress bool `json:"enableExternalLBAddress,omitempty"`
	// Route table of the router's port on the subnet.
	RouteTable string `json:"routeTable,omitempty"`
	// Network of the nodes that tunnels of this subnet use.
	NodeNetwork string `json:"nodeNetwork,omitempty"`
}

// U2OFeatures are the finer settings of the interconnection of underlay and overlay.
type U2OFeatures struct {
	// Only overlay subnets are routed to; the rest goes to the physical gateway.
	OverlayOnlyRouting bool `json:"overlayOnlyRouting,omitempty"`
}

// ACL is one access rule of a subnet, in OVN's words.
type ACL struct {
	// from-lport or to-lport.
	// +kubebuilder:validation:Enum=from-lport;to-lport
	Direction string `json:"direction,omitempty"`
	// The highest that matches decides.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=32767
	Priority int `json:"priority,omitempty"`
	// OVN expression.
	Match string `json:"match,omitempty"`
	// What happens to a packet that matches.
	// +kubebuilder:validation:Enum=allow-related;allow-stateless;allow;drop;reject
	Action string `json:"action,omitempty"`
}

// NatOutgoingPolicyRule says what happens to outgoing traffic that it matches.
type NatOutgoingPolicyRule struct {
	// Traffic that the rule is for.
	Match NatOutgoingPolicyMatch `json:"match"`
	// nat or forward.
	// +kubebuilder:validation:Enum=nat;forward
	Action string `json:"action,omitempty"`
}

// NatOutgoingPolicyMatch selects traffic; an empty list selects all.
type NatOutgoingPolicyMatch struct {
	// Sources: addresses and CIDRs with commas between.
	// +kubebuilder:validation:Pattern=`^[0-9A-Fa-f.:/, ]*$`
	SrcIPs string `json:"srcIPs,omitempty"`
	// Destinations: addresses and CIDRs with commas between.
	// +kubebuilder:validation:Pattern=`^[0-9A-Fa-f.:/, ]*$`
	DstIPs string `json:"dstIPs,omitempty"`
}

// SubnetStatus is what the controller reports of a subnet.
type SubnetStatus struct {
	// State of the subnet, one entry an aspect.
	// +listType=map
	// +listMapKey=type
	Conditions []Condition `json:"conditions,omitempty"`
	// What is in force of the spec: of the last one that was accepted. While the spec as it reads now is refused, the
	// subnet's pods go on by this.
	InForce *SubnetInForce `json:"inForce,omitempty"`

	// Free IPv4 addresses.
	V4AvailableIPs Count `json:"v4availableIPs"`
	// Free IPv4 addresses as "address" and "first-last" with commas between.
	V4AvailableIPRange string `json:"v4availableIPrange"`
	// IPv4 addresses in use.
	V4UsingIPs Count `json:"v4usingIPs"`
	// IPv4 addresses in use as "address" and "first-last" with commas between.
	V4UsingIPRange string `json:"v4usingIPrange"`
	// Free IPv6 addresses.
	V6AvailableIPs Count `json:"v6availableIPs"`
	// Free IPv6 addresses as "address" and "first-last" with commas between.
	V6AvailableIPRange string `json:"v6availableIPrange"`
	// IPv6 addresses in use.
	V6UsingIPs Count `json:"v6usingIPs"`
	// IPv6 addresses in use as "address" and "first-last" with commas between.
	V6UsingIPRange string `json:"v6usingIPrange"`

	// Node that is the gateway of a centralized subnet now.
	ActivateGateway string `json:"activateGateway"`
	// Row of the subnet's DHCPv4 options.
	DHCPv4OptionsUUID string `json:"dhcpV4OptionsUUID"`
	// Row of the subnet's DHCPv6 options.
	DHCPv6OptionsUUID string `json:"dhcpV6OptionsUUID"`
	// Address of the router on an underlay subnet.
	U2OInterconnectionIP string `json:"u2oInterconnectionIP"`
	// MAC of the router on an underlay subnet.
	U2OInterconnectionMAC string `json:"u2oInterconnectionMAC"`
	// Vpc of the router on an underlay subnet.
	U2OInterconnectionVPC string `json:"u2oInterconnectionVPC"`
	// Rules in force, each with its ID.
	NatOutgoingPolicyRules []NatOutgoingPolicyRuleStatus `json:"natOutgoingPolicyRules,omitempty"`
	// Address of the multicast querier.
	McastQuerierIP string `json:"mcastQuerierIP"`
	// MAC of the multicast querier.
	McastQuerierMAC string `json:"mcastQuerierMAC"`
}

// SubnetInForce is what of a subnet's spec the controller and the nodes act on. Its fields are those of the spec, with
// defaults filled in.
type SubnetInForce struct {
	// Vpc that the subnet is in.
	Vpc string `json:"vpc,omitempty"`
	// Addresses of the subnet.
	CIDRBlock string `json:"cidrBlock,omitempty"`
	// Gateway addresses.
	Gateway string `json:"gateway,omitempty"`
	// Addresses that are never given out.
	ExcludeIps []string `json:"excludeIps,omitempty"`
	// Traffic to the outside takes the address of the node it leaves from.
	NatOutgoing bool `json:"natOutgoing,omitempty"`
	// MTU of the pods' interfaces; worked out from the tunnels when 0.
	Mtu uint32 `json:"mtu,omitempty"`
	// Whether Services are load-balanced for the subnet.
	EnableLb *bool `json:"enableLb,omitempty"`
}

// NatOutgoingPolicyRuleStatus is a rule in force.
type NatOutgoingPolicyRuleStatus struct {
	// Twelve hex digits that stay the same while the rule does.
	RuleID string `json:"ruleID"`

	NatOutgoingPolicyRule `json:",inline"`
}
