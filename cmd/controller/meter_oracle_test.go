//go:build oracle

package main

import (
	"slices"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ovs/ovstest"
)

func (o *oracle) sbctl(args ...string) string {
	o.t.Helper()
	return ovstest.Run(o.t, "ovn-sbctl", append([]string{"--db=" + o.northd.SB.Endpoint(), "--no-leader-only"}, args...)...)
}

// sb are the values of a column in the southbound database, each once.
func (o *oracle) sb(table, column string) []string {
	o.t.Helper()
	o.northd.Sync()
	out := strings.Fields(o.sbctl("--bare", "--columns="+column, "list", table))
	slices.Sort(out)
	return slices.Compact(out)
}

// TestOracleMeters is about what northd makes of the meters: flows that hand packets to ovn-controller name them.
func TestOracleMeters(t *testing.T) {
	o := newOracleOf(t, dualStack())
	o.pod(labelled("db", "db"))
	p := newPolicy("db", map[string]string{"app": "db"})
	p.Annotations = map[string]string{v1.AnnotationPolicyLog: "true"}
	p.Spec.PolicyTypes = append(p.Spec.PolicyTypes, networkingv1.PolicyTypeEgress)
	o.create(p)
	o.inForce(p)
	// Of the protocols those that these rows can be asked for; the others need DHCP, DNS, empty Services and so on.
	named := o.sb("Logical_Flow", "controller_meter")
	for _, protocol := range []string{"arp", "arp-resolve", "icmp4-error", "icmp6-error", "nd-na", "nd-ns", "nd-ns-resolve", "tcp-reset"} {
		if !slices.Contains(named, "woven.copp."+protocol) {
			t.Errorf("no flow has the meter of %s: %v", protocol, named)
		}
	}
	// Nothing that goes to ovn-controller is without a meter, but for what northd names none for.
	for _, flow := range strings.Split(o.sbctl("--bare", "--columns=actions,controller_meter", "list", "Logical_Flow"), "\n\n") {
		actions, meter, _ := strings.Cut(strings.TrimSpace(flow), "\n")
		for _, action := range []string{"put_arp(", "put_nd(", "nd_na ", "nd_na_router ", "nd_ns ", "arp {", "icmp4 {", "icmp6 {", "icmp4_error ", "icmp6_error ", "tcp_reset ", "reject "} {
			if strings.Contains(actions, action) && meter == "" {
				t.Errorf("no meter has %s", actions)
			}
		}
	}
	meters := o.sb("Meter", "name")
	if !slices.ContainsFunc(meters, func(m string) bool { return strings.HasPrefix(m, "woven.log__") }) {
		t.Errorf("the ACLs that log have no meters of their own: %v", meters)
	}
	before := o.northd.Recomputes("northd")
	o.pod(labelled("web", "web"))
	q := newPolicy("web", map[string]string{"app": "web"})
	q.Annotations = map[string]string{v1.AnnotationPolicyLog: "true"}
	o.create(q)
	o.inForce(q)
	o.northd.Sync()
	if after := o.northd.Recomputes("northd"); after != before {
		t.Errorf("another policy that logs without a rate is a recompute: %s before, %s after", before, after)
	}
}
