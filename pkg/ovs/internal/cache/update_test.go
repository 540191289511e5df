package cache

import (
	"encoding/json"
	"testing"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/internal/schema"
)

// FuzzUpdate feeds the cache with what no server would send: errors are fine, panics are not.
func FuzzUpdate(f *testing.F) {
	for _, s := range []string{
		`{"Logical_Switch":{"u1":{"initial":{"name":"s","ports":["set",[["uuid","p1"],["uuid","p2"]]],"external_ids":["map",[["woven/owner","pod/x"]]]}}}}`,
		`{"Logical_Switch":{"u1":{"modify":{"ports":["uuid","p1"],"other_config":["map",[["a","b"]]]}}}}`,
		`{"ACL":{"a":{"insert":{"priority":5,"log":true,"label":1e3,"severity":["set",[]]}},"b":{"delete":null}}}`,
		`{"Port_Group":{"a":{"insert":{"name":"\u00e9\"\\"}}}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if !json.Valid(data) || len(data) == 0 || data[0] != '{' {
			t.Skip("not an object: the session's own JSON reader refuses it before the cache sees it")
		}
		c := New(ovs.Northbound.Load(), nil)
		if err := c.update(schema.NewScanner(data), nil); err != nil {
			t.Skip(err) // refused, as it should be: only a panic fails
		}
	})
}
