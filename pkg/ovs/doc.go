// Package ovs is the language in which features say what rows an OVSDB database should hold.
//
// Every row belongs to one Owner, a Kubernetes object, and has one name for ever, its Sym, from which its UUID
// follows. An owner states all it wants as a Desired:
//
//	var want ovs.Desired
//	want.Add(subnet.Switch("web"), &nb.LogicalSwitch{Name: "web"})
//	want.Add(podPort, &nb.LogicalSwitchPort{Name: "web-0.shop", Addresses: addresses}).
//		In(ovs.SwitchPorts.Of(subnet.Switch("web"))).
//		Also(ovs.GroupPorts.Of(group).This())
//
// Rows that others make are named by FoundRow: to put rows of ours into their sets, or keys of ours into their external_ids.
// Rows of ours are named once and for ever; so it is on a node, too, whose own Open vSwitch is another database of the same kind.
//
// The zero Desired deletes. Package ovs/engine makes it true; nothing outside these two sees an operation, a session or
// a transaction, and neither imports a Kubernetes package.
//
// What the engine needs to remember it writes into the rows, under keys of external_ids that begin with "woven/":
//
//	woven/owner  feature/key of the owner; rows without it are not ours and are never touched
//	woven/id     the Sym
//	woven/in     the sets this row is in, and values it put into sets, so that they can be undone; but for port groups,
//	             where an index finds the rows that hold it
//	woven/with   rows of the same owner whose tables have no external_ids
package ovs

//go:generate go tool -modfile=../../tools/go.mod modelgen --extended -p nb -o nb schema/ovn-nb.ovsschema
//go:generate go tool -modfile=../../tools/go.mod modelgen --extended -p vswitch -o vswitch schema/vswitch-node.ovsschema
