package ovs

import "strings"

// class says whose a column is.
type class int

const (
	// owned columns are compared and replaced whole.
	owned class = iota
	// keyed columns are maps of which some keys are ours.
	keyed
	// members columns are sets whose elements belong to many owners.
	members
	// foreign columns belong to northd and ovn-controller: never monitored, never written.
	foreign
)

// knowledge is what a schema does not say about a database.
type knowledge struct {
	sets    []Set    // the members columns
	joined  []Set    // those of them, weak, whose elements are only ever put in by their own rows
	foreign []string // Table.column
	names   []string // tables whose names must be unique though the schema does not say so
}

// northbound is the knowledge about the NB schema of OVN 25.03.
var northbound = knowledge{
	sets: []Set{
		SwitchPorts, SwitchACLs, SwitchQoSRules, SwitchLoadBalancers, SwitchLoadBalancerGroups, SwitchDNSRecords,
		SwitchForwardingGroups, RouterPorts, RouterStaticRoutes, RouterPolicies, RouterNAT, RouterLoadBalancers,
		RouterLoadBalancerGroups, RouterPortGatewayChassis, ChassisGroupMembers, GroupPorts, GroupACLs, SetAddresses,
		LoadBalancerGroupMembers, LoadBalancerHealthChecks,
	},
	joined: []Set{GroupPorts},
	foreign: []string{
		"Logical_Switch_Port.up", "Logical_Switch_Port.dynamic_addresses", "Logical_Switch_Port.tag",
		"Logical_Router_Port.status", "Logical_Router_Port.ipv6_prefix", "BFD.status",
		"Connection.is_connected", "Connection.status",
		"NB_Global.nb_cfg", "NB_Global.nb_cfg_timestamp", "NB_Global.sb_cfg", "NB_Global.sb_cfg_timestamp",
		"NB_Global.hv_cfg", "NB_Global.hv_cfg_timestamp", "NB_Global.options",
	},
	names: []string{"Logical_Switch", "Logical_Router"},
}

// classOf finds the class of a column.
func (k knowledge) classOf(table, column string) class {
	for _, s := range k.sets {
		if s.Table == table && s.Column == column {
			return members
		}
	}
	for _, f := range k.foreign {
		if t, c, _ := strings.Cut(f, "."); t == table && c == column {
			return foreign
		}
	}
	if column == externalIDs {
		return keyed
	}
	return owned
}
