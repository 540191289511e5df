package ovs

// The sets of a node's Open_vSwitch database whose members belong to many owners.
var (
	NodeBridges = Set{"Open_vSwitch", "bridges"}
	BridgePorts = Set{"Bridge", "ports"}
)

// The sets of the Northbound database whose members belong to many owners. DESIGN: "members" columns.
var (
	SwitchPorts              = Set{"Logical_Switch", "ports"}
	SwitchACLs               = Set{"Logical_Switch", "acls"}
	SwitchQoSRules           = Set{"Logical_Switch", "qos_rules"}
	SwitchLoadBalancers      = Set{"Logical_Switch", "load_balancer"}
	SwitchLoadBalancerGroups = Set{"Logical_Switch", "load_balancer_group"}
	SwitchDNSRecords         = Set{"Logical_Switch", "dns_records"}
	SwitchForwardingGroups   = Set{"Logical_Switch", "forwarding_groups"}

	RouterPorts              = Set{"Logical_Router", "ports"}
	RouterStaticRoutes       = Set{"Logical_Router", "static_routes"}
	RouterPolicies           = Set{"Logical_Router", "policies"}
	RouterNAT                = Set{"Logical_Router", "nat"}
	RouterLoadBalancers      = Set{"Logical_Router", "load_balancer"}
	RouterLoadBalancerGroups = Set{"Logical_Router", "load_balancer_group"}

	RouterPortGatewayChassis = Set{"Logical_Router_Port", "gateway_chassis"}
	ChassisGroupMembers      = Set{"HA_Chassis_Group", "ha_chassis"}

	GroupPorts   = Set{"Port_Group", "ports"}
	GroupACLs    = Set{"Port_Group", "acls"}
	SetAddresses = Set{"Address_Set", "addresses"}

	LoadBalancerGroupMembers = Set{"Load_Balancer_Group", "load_balancer"}
	LoadBalancerHealthChecks = Set{"Load_Balancer", "health_check"}
)
