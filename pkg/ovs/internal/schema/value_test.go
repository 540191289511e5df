package schema

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/woven-cni/woven/pkg/ovs/nb"
)

// TestWrittenIsRead checks that what the encoder writes, the decoder reads.
func TestWrittenIsRead(t *testing.T) {
	id := "6f0b3d3c-7a4e-5d0e-9c57-0d0f5a1c9b11"
	db := New(nb.Schema, nb.FullDatabaseModel, Knowledge{}).Load()
	no := false
	for _, m := range []any{
		&nb.LogicalSwitchPort{Name: "n\"\\\né<", Addresses: []string{"a b", "", "c"}, Options: map[string]string{"k": "v", "": ""}, Dhcpv4Options: &id, Enabled: &no},
		&nb.ACL{Priority: -5, Log: true, Label: 1 << 40, Action: "drop", SampleNew: &id},
		&nb.QoS{Action: map[string]int{"dscp": 5}, Bandwidth: map[string]int{"rate": 10, "burst": 20}},
	} {
		table, err := db.TableOf(m)
		if err != nil {
			t.Fatal(err)
		}
		in := reflect.ValueOf(m).Elem()
		out := table.New("")
		for _, c := range table.Owned {
			text := c.Append(nil, in)
			if !json.Valid(text) {
				t.Errorf("%s: not JSON: %s", c.Name, text)
			}
			s := NewScanner(text)
			c.Read(s, out, false)
			if s.err != nil || !c.Equal(in, out) || hashOf(c.Of(in)) != hashOf(c.Of(out)) {
				t.Errorf("%s.%s: wrote %s, read %v (%v)", table.Name, c.Name, text, c.Of(out), s.err)
			}
			if c.composite && c.Of(in).Len() > 0 { // the difference with itself is nothing
				s = NewScanner(text)
				if c.Read(s, out, true); c.Of(out).Len() != 0 {
					t.Errorf("%s: %v is left", c.Name, c.Of(out))
				}
			}
		}
	}
}
