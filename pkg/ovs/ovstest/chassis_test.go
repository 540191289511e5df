package ovstest

import (
	"maps"
	"testing"
)

func TestFlowsByTable(t *testing.T) {
	const text = `OFPST_TABLE reply (OF1.3) (xid=0x2):
  table 0:
    active=2, lookup=0, matched=0
  table 1:
    active=0, lookup=0, matched=0

  tables 2...7: ditto
  table 8 ("ls_in"):
    active=85, lookup=4, matched=4
`
	got, err := FlowsByTable(text)
	if want := map[int]int{0: 2, 8: 85}; err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if _, err := FlowsByTable("ovs-ofctl: no"); err == nil {
		t.Error("read what is no table")
	}
}
