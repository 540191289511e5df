package engine

import (
	"testing"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/internal/plan"
	"github.com/woven-cni/woven/pkg/ovs/internal/record"
)

// TestLedgerForgets has an owner want rows, wait for others' and be refused, and then want nothing: nothing of it is kept.
func TestLedgerForgets(t *testing.T) {
	l := newLedger(func(string) {})
	o := ovs.Owner{Feature: "subnet", Key: "web"}
	l.expect(o, &digest{Digest: plan.Digest{
		Rows:     []plan.RowDigest{{Owner: o, UUID: "switch", Sym: "subnet/web/switch", Hash: 1}},
		Elements: []record.Element{{Parent: "group", Value: "port"}},
		Sum:      1,
	}})
	l.wait(o, []ovs.Ref{{UUID: "router"}})
	l.block(o, obstacle{inUse: "Logical_Switch"})
	l.expect(o, &digest{})
	l.forget(o)
	if n := len(l.owners) + len(l.rows) + len(l.elements) + len(l.waiting) + len(l.blocked); n > 0 {
		t.Errorf("kept are %v, %v, %v, %v and %v", l.owners, l.rows, l.elements, l.waiting, l.blocked)
	}
}
