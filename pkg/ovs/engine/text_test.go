package engine_test

import (
	"testing"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/ovstest"
)

// The goldens show the three texts that people read: what is wanted, what would be done, and what the database holds.
func TestTexts(t *testing.T) {
	f := newFixture(t)
	f.apply(vpcOwner("v"), vpc("v"), 1)
	f.apply(subnetOwner("s"), subnet("s", "v"), 1)
	f.apply(policyOwner("p"), policy("p"), 1)
	want := pod("web-0", "s", "p")
	plan, err := f.db.Plan(podOwner("web-0"), want)
	if err != nil {
		t.Fatal(err)
	}
	f.apply(podOwner("web-0"), want, 1)
	moved := pod("web-0", "s", "")
	change, err := f.db.Plan(podOwner("web-0"), moved)
	if err != nil {
		t.Fatal(err)
	}
	ovstest.Golden(t, "testdata/texts.golden", "# Desired.Text\n"+want.Text(ovs.Northbound, dhcp("s"))+
		"\n# Plan.String\n"+plan.String()+"\n# Plan.String, out of the policy\n"+change.String()+"\n# DB.Dump\n"+f.db.Dump())
}
