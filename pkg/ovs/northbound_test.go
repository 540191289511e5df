package ovs

import (
	"strings"
	"testing"
)

// TestKnowledgeMatchesSchema finds columns that were renamed in a newer schema.
func TestKnowledgeMatchesSchema(t *testing.T) {
	db := Northbound.Load()
	for _, s := range northbound.Sets {
		table, name, _ := strings.Cut(s, ".")
		if _, err := db.Set(table, name); err != nil {
			t.Error(err)
		}
	}
	for _, f := range northbound.Foreign {
		table, name, _ := strings.Cut(f, ".")
		if db.Tables[table] == nil || db.Tables[table].Columns[name] == nil {
			t.Errorf("there is no column %s", f)
		}
	}
	for _, name := range northbound.Names {
		if db.Tables[name].UniqueName == nil {
			t.Errorf("%s has no name", name)
		}
	}
}
