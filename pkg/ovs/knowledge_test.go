package ovs

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/woven-cni/woven/pkg/ovs/internal/schema"
)

// TestKnowledgeMatchesSchema finds columns that were renamed in a newer schema.
func TestKnowledgeMatchesSchema(t *testing.T) {
	for db, know := range map[*schema.Database]schema.Knowledge{Northbound: northbound, NodeSwitch: nodeSwitch} {
		matches(t, db.Load(), know)
	}
}

func matches(t *testing.T, db *schema.Database, know schema.Knowledge) {
	t.Helper()
	for _, s := range know.Sets {
		table, name, _ := strings.Cut(s, ".")
		if _, err := db.Set(table, name); err != nil {
			t.Error(err)
		}
	}
	for _, f := range slices.Concat(know.Foreign, know.Observed) {
		table, name, _ := strings.Cut(f, ".")
		if db.Tables[table] == nil || db.Tables[table].Columns[name] == nil {
			t.Errorf("there is no column %s", f)
		}
	}
	for _, name := range know.Names {
		if db.Tables[name].UniqueName == nil {
			t.Errorf("%s has no name", name)
		}
	}
	for _, name := range slices.Concat(know.Given, know.ByName) {
		if db.Tables[name] == nil {
			t.Errorf("there is no table %s", name)
		}
	}
}

// TestNodeSchemaIsPartOfOpenVSwitchs: the models of a node's database are generated from a part of the schema.
func TestNodeSchemaIsPartOfOpenVSwitchs(t *testing.T) {
	type table struct {
		Columns map[string]any
		IsRoot  bool
		Indexes any
	}
	read := func(path string) (out struct{ Tables map[string]table }) {
		text, err := os.ReadFile(path)
		if err == nil {
			err = json.Unmarshal(text, &out)
		}
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	whole := read("schema/vswitch.ovsschema")
	for name, part := range read("schema/vswitch-node.ovsschema").Tables {
		of := whole.Tables[name]
		if part.IsRoot != of.IsRoot || !reflect.DeepEqual(part.Indexes, of.Indexes) {
			t.Errorf("%s is not as in Open vSwitch", name)
		}
		for column, kind := range part.Columns {
			if !reflect.DeepEqual(kind, of.Columns[column]) {
				t.Errorf("%s.%s is not as in Open vSwitch", name, column)
			}
		}
	}
}
