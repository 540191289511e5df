package vsdb

import (
	"fmt"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// NewPort is a port with its one interface, both of one name.
type NewPort struct {
	Bridge      *Bridge
	Name        string
	Type        string // empty: a device that exists; "internal": one that vswitchd makes
	MAC         string // empty: the device's own
	MTURequest  int    // 0: leave it
	ExternalIDs map[string]string
}

// Add makes the operations that add a port and, in the same step, take others off the bridge.
func (p NewPort) Add(others ...*Port) []ovsdb.Operation {
	iface := ovsdb.Row{"name": p.Name, "type": p.Type, "external_ids": Map(p.ExternalIDs)}
	if p.MAC != "" {
		iface["mac"] = Set(p.MAC)
	}
	if p.MTURequest != 0 {
		iface["mtu_request"] = Set(p.MTURequest)
	}
	port := ovsdb.Row{"name": p.Name, "interfaces": Set(ovsdb.UUID{GoUUID: "iface"}), "external_ids": Map(p.ExternalIDs)}
	mutations := portMutations(ovsdb.MutateOperationDelete, others)
	mutations = append(mutations, *ovsdb.NewMutation("ports", ovsdb.MutateOperationInsert, Set(ovsdb.UUID{GoUUID: "port"})))
	return []ovsdb.Operation{
		{Op: ovsdb.OperationInsert, Table: TableInterface, Row: iface, UUIDName: "iface"},
		{Op: ovsdb.OperationInsert, Table: TablePort, Row: port, UUIDName: "port"},
		{Op: ovsdb.OperationMutate, Table: TableBridge, Where: byUUID(p.Bridge.UUID), Mutations: mutations},
	}
}

// Remove makes the operation that takes ports off a bridge; rows of ports and interfaces die with the last reference.
func (b *Bridge) Remove(ports ...*Port) []ovsdb.Operation {
	if len(ports) == 0 {
		return nil
	}
	return []ovsdb.Operation{{
		Op: ovsdb.OperationMutate, Table: TableBridge, Where: byUUID(b.UUID),
		Mutations: portMutations(ovsdb.MutateOperationDelete, ports),
	}}
}

func portMutations(mutator ovsdb.Mutator, ports []*Port) []ovsdb.Mutation {
	if len(ports) == 0 {
		return nil
	}
	uuids := make([]any, 0, len(ports))
	for _, port := range ports {
		uuids = append(uuids, ovsdb.UUID{GoUUID: port.UUID})
	}
	return []ovsdb.Mutation{*ovsdb.NewMutation("ports", mutator, Set(uuids...))}
}

// NewBridge makes the operations that add a bridge with its own internal port and, if given, one device.
func (r *Root) NewBridge(row ovsdb.Row, device string) []ovsdb.Operation {
	name := fmt.Sprint(row["name"])
	members := []any{ovsdb.UUID{GoUUID: "port_self"}}
	ops := insertPort("self", ovsdb.Row{"name": name, "type": "internal"})
	if device != "" {
		members = append(members, ovsdb.UUID{GoUUID: "port_device"})
		ops = append(ops, insertPort("device", ovsdb.Row{"name": device})...)
	}
	row["ports"] = Set(members...)
	return append(ops,
		ovsdb.Operation{Op: ovsdb.OperationInsert, Table: TableBridge, Row: row, UUIDName: "bridge"},
		ovsdb.Operation{Op: ovsdb.OperationMutate, Table: TableRoot, Where: byUUID(r.UUID), Mutations: []ovsdb.Mutation{
			*ovsdb.NewMutation("bridges", ovsdb.MutateOperationInsert, Set(ovsdb.UUID{GoUUID: "bridge"})),
		}})
}

// DeleteBridge makes the operation that deletes a bridge with its ports.
func (r *Root) DeleteBridge(bridge *Bridge) []ovsdb.Operation {
	return []ovsdb.Operation{{
		Op: ovsdb.OperationMutate, Table: TableRoot, Where: byUUID(r.UUID), Mutations: []ovsdb.Mutation{
			*ovsdb.NewMutation("bridges", ovsdb.MutateOperationDelete, Set(ovsdb.UUID{GoUUID: bridge.UUID})),
		},
	}}
}

func insertPort(id string, iface ovsdb.Row) []ovsdb.Operation {
	return []ovsdb.Operation{
		{Op: ovsdb.OperationInsert, Table: TableInterface, Row: iface, UUIDName: "iface_" + id},
		{
			Op: ovsdb.OperationInsert, Table: TablePort, UUIDName: "port_" + id,
			Row: ovsdb.Row{"name": iface["name"], "interfaces": Set(ovsdb.UUID{GoUUID: "iface_" + id})},
		},
	}
}

// Update makes the operation that writes columns of an interface.
func (i *Interface) Update(row ovsdb.Row) []ovsdb.Operation {
	return []ovsdb.Operation{{Op: ovsdb.OperationUpdate, Table: TableInterface, Where: byUUID(i.UUID), Row: row}}
}

// SetExternalIDs makes the operation that gives keys of a map their values and leaves all other keys alone; none if
// they have them already. An empty value removes the key.
func (r *Root) SetExternalIDs(want map[string]string) []ovsdb.Operation {
	return setKeys(TableRoot, r.UUID, r.ExternalIDs, want)
}

// SetExternalIDs is as for Root.
func (b *Bridge) SetExternalIDs(want map[string]string) []ovsdb.Operation {
	return setKeys(TableBridge, b.UUID, b.ExternalIDs, want)
}

// SetExternalIDs is as for Root.
func (i *Interface) SetExternalIDs(want map[string]string) []ovsdb.Operation {
	return setKeys(TableInterface, i.UUID, i.ExternalIDs, want)
}

func setKeys(table, uuid string, have, want map[string]string) []ovsdb.Operation {
	set, stale := map[string]string{}, []any{}
	for key, value := range want {
		old, had := have[key]
		if had && old != value {
			stale = append(stale, key) // an insertion never overwrites
		}
		if value != "" && old != value {
			set[key] = value
		}
	}
	var mutations []ovsdb.Mutation
	if len(stale) > 0 {
		mutations = append(mutations, *ovsdb.NewMutation("external_ids", ovsdb.MutateOperationDelete, Set(stale...)))
	}
	if len(set) > 0 {
		mutations = append(mutations, *ovsdb.NewMutation("external_ids", ovsdb.MutateOperationInsert, Map(set)))
	}
	if len(mutations) == 0 {
		return nil
	}
	return []ovsdb.Operation{{Op: ovsdb.OperationMutate, Table: table, Where: byUUID(uuid), Mutations: mutations}}
}

func byUUID(uuid string) []ovsdb.Condition {
	return []ovsdb.Condition{ovsdb.NewCondition("_uuid", ovsdb.ConditionEqual, ovsdb.UUID{GoUUID: uuid})}
}

// Set is an OVSDB set of values.
func Set(values ...any) ovsdb.OvsSet { return ovsdb.OvsSet{GoSet: values} }

// Map is an OVSDB map of strings.
func Map(m map[string]string) ovsdb.OvsMap {
	out := make(map[any]any, len(m))
	for key, value := range m {
		out[key] = value
	}
	return ovsdb.OvsMap{GoMap: out}
}
