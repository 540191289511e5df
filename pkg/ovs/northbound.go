package ovs

import (
	"github.com/woven-cni/woven/pkg/ovs/internal/schema"
	"github.com/woven-cni/woven/pkg/ovs/nb"
)

// Northbound is OVN's northbound database.
var Northbound = schema.New(nb.Schema, nb.FullDatabaseModel, northbound)

// northbound is what the NB schema of OVN 26.03 does not say.
var northbound = schema.Knowledge{
	Sets: names(
		SwitchPorts, SwitchACLs, SwitchQoSRules, SwitchLoadBalancers, SwitchLoadBalancerGroups, SwitchDNSRecords,
		SwitchForwardingGroups, RouterPorts, RouterStaticRoutes, RouterPolicies, RouterNAT, RouterLoadBalancers,
		RouterLoadBalancerGroups, RouterPortGatewayChassis, ChassisGroupMembers, GroupPorts, GroupACLs, SetAddresses,
		LoadBalancerGroupMembers, LoadBalancerHealthChecks,
	),
	Joined: names(GroupPorts),
	Foreign: []string{
		"Logical_Switch_Port.up", "Logical_Switch_Port.dynamic_addresses", "Logical_Switch_Port.tag",
		"Logical_Router_Port.status", "Logical_Router_Port.ipv6_prefix", "BFD.status",
		"Logical_Switch_Port_Health_Check.status", "Network_Function_Group.network_function_active",
		"Connection.is_connected", "Connection.status",
		"NB_Global.nb_cfg", "NB_Global.nb_cfg_timestamp", "NB_Global.sb_cfg", "NB_Global.sb_cfg_timestamp",
		"NB_Global.hv_cfg", "NB_Global.hv_cfg_timestamp", "NB_Global.options",
	},
	Names: []string{"Logical_Switch", "Logical_Router"},
	Spaces: [][]string{
		// The southbound database has one name space for the ports of switches and routers: of two that meet, northd programs
		// one, and says so in its log only.
		{"Logical_Switch_Port", "Logical_Router_Port"},
		// Tools find switches and routers by their names in one list.
		{"Logical_Switch", "Logical_Router"},
	},
}

func names(sets ...Set) []string {
	out := make([]string, len(sets))
	for i, s := range sets {
		out[i] = s.String()
	}
	return out
}
