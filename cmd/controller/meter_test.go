package main

import (
	"fmt"
	"strings"
	"testing"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/meter"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
)

// TestMetersOfOvnController is about the rows that keep pods from flooding it: as many as there are protocols, however many
// switches there are.
func TestMetersOfOvnController(t *testing.T) {
	w := newWorld(t)
	w.create(newVpc("tenant"), subnetOf("tenant", "web", "10.50.0.0/24"))
	w.ready("web")
	copp := strings.TrimSpace(w.nb.Ctl("--bare", "--columns=_uuid", "find", "Copp", "name=woven"))
	for table, names := range map[string][]string{"Logical_Switch": {"ovn-default", "join", "web"}, "Logical_Router": {"ovn-cluster", "tenant"}} {
		for _, name := range names {
			w.row(table, name, "copp", copp)
		}
	}
	if meters := strings.Fields(w.nb.Ctl("--bare", "--columns=name", "list", "Meter")); len(meters) != 18 {
		t.Errorf("the meters are %v", meters)
	}
	w.nb.Ctl("clear", "Logical_Switch", "web", "copp")
	w.row("Logical_Switch", "web", "copp", copp)

	// A log without a rate has the one of all.
	p := newPolicy("db", nil)
	p.Annotations = map[string]string{v1.AnnotationPolicyLog: "true"}
	w.create(p)
	w.inForce(p)
	if got := strings.TrimSpace(w.nb.Ctl("--bare", "--columns=meter", "find", "ACL", "log=true")); got != meter.LogName {
		t.Errorf("the meter of the log is %q", got)
	}

	// Other rates change the meters, and no switch.
	w.stop()
	w.options.Rates = meter.Input{Packets: 70, Messages: 7}
	w.start()
	reconciletest.Eventually(t, "the new rates", func() string {
		if rates := strings.Fields(w.nb.Ctl("--bare", "--columns=rate", "find", "Meter_Band", "rate=70")); len(rates) != 17 {
			return fmt.Sprint(rates)
		}
		return ""
	})
	w.row("Logical_Switch", "web", "copp", copp)
}
