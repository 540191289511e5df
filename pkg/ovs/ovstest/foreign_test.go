package ovstest

import (
	"slices"
	"testing"
)

// TestForeign is about writes of others in a transaction that names the marker.
func TestForeign(t *testing.T) {
	const (
		wait    = `{"op":"wait","table":"Logical_Switch","columns":["name"],"until":"!=","where":[["name","==","web"]],"rows":[{"name":"web"}]}`
		insert  = `{"op":"insert","table":"Logical_Switch_Port","uuid":"u1","row":{"name":"marker.shop"}}`
		other   = `{"op":"insert","table":"Logical_Switch_Port","uuid":"u2","row":{"name":"web.shop"}}`
		update  = `{"op":"update","table":"Logical_Switch_Port","where":[["_uuid","==",["uuid","u1"]]],"row":{"type":""}}`
		foreign = `{"op":"update","table":"Logical_Switch_Port","where":[["_uuid","==",["uuid","u3"]]],"row":{"type":""}}`
		join    = `{"op":"mutate","table":"Port_Group","where":[["_uuid","==",["uuid","u4"]]],"mutations":[["ports","insert",["set",[["uuid","u1"]]]]]}`
		both    = `{"op":"mutate","table":"Port_Group","where":[["_uuid","==",["uuid","u4"]]],"mutations":[["ports","insert",["set",[["uuid","u1"],["uuid","u3"]]]]]}`
		single  = `{"op":"mutate","table":"Port_Group","where":[["_uuid","==",["uuid","u4"]]],"mutations":[["ports","delete",["uuid","u3"]]]}`
		keys    = `{"op":"mutate","table":"Logical_Switch","where":[["_uuid","==",["uuid","u4"]]],"mutations":[["external_ids","insert",["map",[["k","v"]]]]]}`
		gone    = `{"op":"delete","table":"Logical_Switch_Port","where":[["_uuid","==",["uuid","u1"]]]}`
		removed = `{"op":"delete","table":"Logical_Switch_Port","where":[["_uuid","==",["uuid","u3"]]]}`
	)
	sent := []string{
		`["OVN_Northbound",` + wait + `,` + insert + `,` + other + `,` + join + `]`,
		`["OVN_Northbound",` + update + `,` + foreign + `,` + both + `,` + single + `,` + keys + `]`,
		`["OVN_Northbound",` + gone + `,` + removed + `]`,
	}
	want := []string{other, foreign, both, single, keys, removed}
	if got := Foreign(t, sent, "marker"); !slices.Equal(got, want) {
		t.Errorf("foreign are %q, not %q", got, want)
	}
}
