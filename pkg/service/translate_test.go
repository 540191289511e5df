package service_test

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/randfill"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/engine"
	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/pkg/service"
)

// FuzzTranslateService holds that whatever the objects say, the rows are the engine's to take, the same each time, and
// do not depend on the order in which the cache lists slices.
func FuzzTranslateService(f *testing.F) {
	for _, seed := range []string{"", "0", "a Service and its slices", "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		in := arbitrary(data)
		want, problems := service.Translate(in)
		if len(problems) > 0 {
			t.Fatalf("a Service, which the API server has checked, has problems: %s", problems)
		}
		if err := engine.Check(ovs.Northbound, ovs.Owner{Feature: service.FeatureName, Key: in.Key}, want); err != nil {
			t.Fatalf("the engine refuses the rows: %v", err)
		}
		if again, _ := service.Translate(in); !reflect.DeepEqual(want, again) {
			t.Fatal("twice the same objects make different rows")
		}
		checkVariables(t, in, want)
		slices.Reverse(in.Slices)
		slices.Reverse(in.Nodes)
		if reversed, _ := service.Translate(in); !reflect.DeepEqual(want, reversed) {
			t.Fatal("the order of the slices or nodes shows in the rows")
		}
		for _, row := range want.Rows {
			if lb := row.Model.(*nb.LoadBalancer); len(lb.Vips) == 0 {
				t.Fatalf("%s balances nothing", row.Sym)
			}
		}
	})
}

// checkVariables holds that the engine takes the variables of all nodes, and that a template has an answer for each node
// by exactly one variable, unless the policy leaves nodes without.
func checkVariables(t *testing.T, in service.Input, want ovs.Desired) {
	t.Helper()
	for _, host := range in.Nodes {
		byTopology := service.TopologyAddresses(in.Service, in.Slices)
		rows, problems := service.TranslateVariables(service.VariablesIn{Exists: true, Topology: host.Topology, VIPs: byTopology})
		if len(problems) > 0 {
			t.Fatalf("variables have problems: %s", problems)
		}
		if err := engine.Check(ovs.Northbound, ovs.Owner{Feature: service.VariablesFeatureName, Key: host.Node}, rows); err != nil {
			t.Fatalf("the engine refuses the variables: %v", err)
		}
		if len(byTopology) == 0 || in.Service.Spec.InternalTrafficPolicy != nil {
			continue
		}
		known := rows.Rows[0].Model.(*nb.ChassisTemplateVar).Variables
		for _, row := range want.Rows {
			lb := row.Model.(*nb.LoadBalancer)
			if lb.Options["template"] != "true" {
				continue
			}
			answers := map[string]int{} // by address and port
			for vip := range lb.Vips {
				name, port, _ := strings.Cut(strings.TrimPrefix(vip, "^"), ":")
				if address, ok := known[name]; ok {
					answers[address+" "+port]++
				}
			}
			if len(answers) == 0 {
				t.Fatalf("%s has no answer for clients on %s", row.Sym, host.Node)
			}
			for what, n := range answers {
				if n > 1 {
					t.Fatalf("%s has %d answers at %s on %s", row.Sym, n, what, host.Node)
				}
			}
		}
	}
}

// arbitrary fills objects from the bytes, with the few words that matter likelier than others.
func arbitrary(data []byte) service.Input {
	pick := func(c randfill.Continue, words ...string) string { return words[c.Intn(len(words))] }
	fill := randfill.NewFromGoFuzz(data).NilChance(0.3).NumElements(0, 4).Funcs(
		func(p *corev1.Protocol, c randfill.Continue) { *p = corev1.Protocol(pick(c, "TCP", "UDP", "SCTP", "")) },
		func(a *discoveryv1.AddressType, c randfill.Continue) {
			*a = discoveryv1.AddressType(pick(c, "IPv4", "IPv6", "FQDN"))
		},
		func(s *corev1.ServiceSpec, c randfill.Continue) {
			c.FillNoCustom(s)
			s.ClusterIPs = [][]string{nil, {"10.96.0.10"}, {"fd00:96::a"}, {"10.96.0.10", "fd00:96::a"}, {"None"}}[c.Intn(5)]
			if s.ClusterIP = ""; len(s.ClusterIPs) > 0 {
				s.ClusterIP = s.ClusterIPs[0]
			}
			s.ExternalIPs = [][]string{nil, {"203.0.113.7"}, {"fd00::7%eth0", "nonsense"}, {"::ffff:203.0.113.7", "fd00::7"}}[c.Intn(4)]
		},
		func(p *discoveryv1.EndpointPort, c randfill.Continue) {
			c.FillNoCustom(p)
			if name := pick(c, "", "http"); p.Name != nil {
				*p.Name = name
			}
		},
		func(p *corev1.ServiceInternalTrafficPolicy, c randfill.Continue) {
			*p = corev1.ServiceInternalTrafficPolicy(pick(c, "Local", "Cluster"))
		},
		func(p *corev1.ServiceExternalTrafficPolicy, c randfill.Continue) {
			*p = corev1.ServiceExternalTrafficPolicy(pick(c, "Local", "Cluster", ""))
		},
		func(i *corev1.LoadBalancerIngress, c randfill.Continue) {
			c.FillNoCustom(i)
			i.IP = pick(c, "203.0.113.8", "fd00::8", "")
		},
		func(m *corev1.LoadBalancerIPMode, c randfill.Continue) {
			*m = corev1.LoadBalancerIPMode(pick(c, "VIP", "Proxy"))
		},
		func(e *discoveryv1.Endpoint, c randfill.Continue) {
			c.FillNoCustom(e)
			if e.NodeName != nil {
				*e.NodeName = pick(c, "n1", "n2", "n3.example.com")
			}
		},
		func(z *discoveryv1.ForZone, c randfill.Continue) { z.Name = pick(c, "a", "b-2", "c") },
		func(n *discoveryv1.ForNode, c randfill.Continue) { n.Name = pick(c, "n1", "n2", "n4") },
		func(p *corev1.ServicePort, c randfill.Continue) {
			c.FillNoCustom(p)
			p.Name = pick(c, "", "http")
		},
	)
	addr := netip.MustParseAddr
	in := service.Input{Key: "shop/web", Service: &corev1.Service{}, Vpc: "ovn-cluster", Nodes: []service.Host{
		{Topology: service.Topology{Node: "n1", Zone: "a"}, Addrs: []netip.Addr{addr("192.0.2.1"), addr("2001:db8::1")}},
		{Topology: service.Topology{Node: "n2", Zone: "b-2"}, Addrs: []netip.Addr{addr("192.0.2.2")}},
		{Topology: service.Topology{Node: "n3.example.com"}},
	}}
	fill.Fill(in.Service)
	if distribution := in.Service.Spec.TrafficDistribution; distribution != nil && len(*distribution)%2 == 0 {
		*distribution = corev1.ServiceTrafficDistributionPreferSameNode
	}
	fill.Fill(&in.Slices)
	in.Slices = slices.DeleteFunc(in.Slices, func(s *discoveryv1.EndpointSlice) bool { return s == nil })
	return in
}
