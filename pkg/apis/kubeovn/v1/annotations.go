package v1

// Provider is the provider of a pod's first interface and of every subnet that
// names none. An annotation key is the provider, ".kubernetes.io/" and a word.
const Provider = "ovn"

// Annotations of a pod. The controller writes all of its answer in one patch.
const (
	// AnnotationAllocated is "true" when the addresses below are final.
	AnnotationAllocated = "ovn.kubernetes.io/allocated"
	// AnnotationAllocatedUID is the UID of the pod that the answer is for. Annotations can be copied from one pod to
	// another, and nobody knows a pod's UID before the pod exists: without its own, the rest is no answer but a request.
	AnnotationAllocatedUID = "ovn.kubernetes.io/allocated_uid"
	// AnnotationRouted is "true" when the pod's OVN rows are committed.
	AnnotationRouted = "ovn.kubernetes.io/routed"
	// AnnotationIPAddress is "v4", "v6" or "v4,v6"; set by a user it asks for these addresses.
	AnnotationIPAddress = "ovn.kubernetes.io/ip_address"
	// AnnotationMACAddress is the MAC; set by a user it asks for this MAC.
	AnnotationMACAddress = "ovn.kubernetes.io/mac_address"
	// AnnotationCIDR is the subnet's "v4cidr[,v6cidr]".
	AnnotationCIDR = "ovn.kubernetes.io/cidr"
	// AnnotationGateway is the subnet's "v4gw[,v6gw]".
	AnnotationGateway = "ovn.kubernetes.io/gateway"
	// AnnotationLogicalSwitch is the subnet's name; on a namespace a list, the default first.
	AnnotationLogicalSwitch = "ovn.kubernetes.io/logical_switch"
	// AnnotationLogicalRouter is the Vpc's name.
	AnnotationLogicalRouter = "ovn.kubernetes.io/logical_router"
	// AnnotationRoutes is a JSON list of {"dst","gw"} for routes beside the default one.
	AnnotationRoutes = "ovn.kubernetes.io/routes"
	// AnnotationIPFamily, set by a user, is "ipv4" or "ipv6": one family of a dual subnet.
	AnnotationIPFamily = "ovn.kubernetes.io/ip_family"
	// AnnotationIPPool, set by a user, is an IPPool's name or a list of addresses to choose from.
	AnnotationIPPool = "ovn.kubernetes.io/ip_pool"
	// AnnotationPortSecurity, set by a user, is "true" or "false".
	AnnotationPortSecurity = "ovn.kubernetes.io/port_security"
	// AnnotationDefaultRoute, set by a user, is "true" on the attachment that has the default route.
	AnnotationDefaultRoute = "ovn.kubernetes.io/default_route"
	// AnnotationSecurityGroups, set by a user, is a list of SecurityGroup names.
	AnnotationSecurityGroups = "ovn.kubernetes.io/security_groups"
	// AnnotationIngressRate, set by a user, limits what the pod receives, in Mbit/s.
	AnnotationIngressRate = "ovn.kubernetes.io/ingress_rate"
	// AnnotationEgressRate, set by a user, limits what the pod sends, in Mbit/s.
	AnnotationEgressRate = "ovn.kubernetes.io/egress_rate"
	// AnnotationPodNicType, set by a user, is the kind of interface: "veth-pair" and others.
	AnnotationPodNicType = "ovn.kubernetes.io/pod_nic_type"
	// AnnotationLayer2Forward, set by a user, is "true" for a pod that forwards for others.
	AnnotationLayer2Forward = "ovn.kubernetes.io/layer2_forward"
	// AnnotationVip, set by a user, is the name of the Vip whose address the pod takes.
	AnnotationVip = "ovn.kubernetes.io/vip"
	// AnnotationMirror, set by a user, is "true" for a pod whose traffic is mirrored.
	AnnotationMirror = "ovn.kubernetes.io/mirror"
	// AnnotationNorthGateway, set by a user, is the next hop of the pod's traffic.
	AnnotationNorthGateway = "ovn.kubernetes.io/north_gateway"
	// AnnotationEIP, set by a user, is the pod's floating address.
	AnnotationEIP = "ovn.kubernetes.io/eip"
	// AnnotationSNAT, set by a user, is the address that the pod's traffic leaves with.
	AnnotationSNAT = "ovn.kubernetes.io/snat"
)

// MarkAnnotations are the annotations by which a node knows that a pod has its answer. Nobody but the controller changes
// them on any pod.
func MarkAnnotations() []string {
	return []string{AnnotationAllocated, AnnotationAllocatedUID, AnnotationRouted}
}

// AnswerAnnotations are the controller's answer for a pod. Once a pod is allocated nobody else changes them: the
// ValidatingAdmissionPolicy of the chart lists the same.
func AnswerAnnotations() []string {
	return append(MarkAnnotations(), AnnotationIPAddress, AnnotationMACAddress, AnnotationCIDR, AnnotationGateway,
		AnnotationLogicalSwitch, AnnotationLogicalRouter)
}

// Annotations of a node, beside AnnotationAllocated, AnnotationIPAddress,
// AnnotationMACAddress, AnnotationCIDR, AnnotationGateway and AnnotationLogicalSwitch.
const (
	// AnnotationPortName is the node's switch port, node-<node>.
	AnnotationPortName = "ovn.kubernetes.io/port_name"
	// AnnotationChassis is the node's name in the southbound database.
	AnnotationChassis = "ovn.kubernetes.io/chassis"
	// AnnotationTunnelInterface, set by a user, is the interface that carries tunnels.
	AnnotationTunnelInterface = "ovn.kubernetes.io/tunnel_interface"
	// AnnotationNodeNetworks, set by a user, is JSON: the node's address by network name.
	AnnotationNodeNetworks = "ovn.kubernetes.io/node_networks"
)

// Annotations of a namespace, beside AnnotationLogicalSwitch and AnnotationCIDR
// (joined by ";") and AnnotationIPPool.
const (
	// AnnotationExcludeIPs is the excluded addresses of the namespace's subnets, joined by ";".
	AnnotationExcludeIPs = "ovn.kubernetes.io/exclude_ips"
)

// Annotations of a Service, beside AnnotationLogicalSwitch and AnnotationLogicalRouter.
const (
	// AnnotationVpc is the Vpc that the Service is in.
	AnnotationVpc = "ovn.kubernetes.io/vpc"
	// AnnotationSwitchLBVip is the address of the SwitchLBRule that the Service belongs to.
	AnnotationSwitchLBVip = "ovn.kubernetes.io/switch_lb_vip"
)

// Labels.
const (
	// LabelOVSDatapathType, of a node, is "kernel" or "userspace".
	LabelOVSDatapathType = "ovn.kubernetes.io/ovs_dp_type"
	// LabelSubnet, of an IP, is its subnet. An IP also has a label that is the subnet's bare name.
	LabelSubnet = "ovn.kubernetes.io/subnet"
	// LabelNodeName, of an IP, is the node of its pod.
	LabelNodeName = "ovn.kubernetes.io/node-name"
	// LabelIPReserved, of an IP, is "true" when a user made it and "false" when a pod or node did.
	LabelIPReserved = "ovn.kubernetes.io/ip_reserved"
	// LabelRole, of a node, is "master" where the OVN databases may run.
	LabelRole = "kube-ovn/role"
)

// Values of LabelOVSDatapathType.
const (
	// DatapathKernel is the datapath of the openvswitch kernel module.
	DatapathKernel = "kernel"
	// DatapathUserspace is the netdev datapath of ovs-vswitchd.
	DatapathUserspace = "userspace"
)

// Finalizers. The first is Kube-OVN's too, so that objects which moved over can
// be deleted on either side.
const (
	// FinalizerKubeOVN keeps a Subnet while pods have addresses of it, and a Vpc while Subnets are in it.
	FinalizerKubeOVN = "kubeovn.io/kube-ovn-controller"
	// FinalizerKubeOVNOld is what older releases put on them.
	FinalizerKubeOVNOld = "kube-ovn-controller"
)

// Names of the objects that every cluster has, unless flags say otherwise.
const (
	// DefaultVpc is the Vpc of subnets that name none.
	DefaultVpc = "ovn-cluster"
	// DefaultSubnet is the subnet of pods that nothing binds to another.
	DefaultSubnet = "ovn-default"
	// JoinSubnet is the subnet of the nodes.
	JoinSubnet = "join"
)

// Annotations of a NetworkPolicy, set by users but for the status.
const (
	// AnnotationPolicyLog is "true" to log what the policy decides.
	AnnotationPolicyLog = "ovn.kubernetes.io/enable_log"
	// AnnotationPolicyLogActions is a list of "allow", "drop" and "pass": the decisions to log, "drop" when absent.
	AnnotationPolicyLogActions = "ovn.kubernetes.io/log_acl_actions"
	// AnnotationPolicyLogRate is how many messages a second the policy may log at most.
	AnnotationPolicyLogRate = "ovn.kubernetes.io/acl_log_meter_rate"
	// AnnotationPolicyEnforcement is "standard" or "lax": a lax policy denies TCP, UDP and SCTP only, and lets DHCP through.
	AnnotationPolicyEnforcement = "ovn.kubernetes.io/network_policy_enforcement"
	// AnnotationPolicyFor is a list of the interfaces that the policy is for: "ovn" is a pod's first one.
	AnnotationPolicyFor = "ovn.kubernetes.io/network_policy_for"
	// AnnotationPolicyStatus is our answer: whether the policy is in force, for how many pods on how many nodes, and why not.
	AnnotationPolicyStatus = "ovn.kubernetes.io/network_policy_status"
)
