package service_test

import (
	"reflect"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/randfill"

	"github.com/woven-cni/woven/pkg/ovs"
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
		if err := want.Check(ovs.Northbound, ovs.Owner{Feature: service.FeatureName, Key: in.Key}); err != nil {
			t.Fatalf("the engine refuses the rows: %v", err)
		}
		if again, _ := service.Translate(in); !reflect.DeepEqual(want, again) {
			t.Fatal("twice the same objects make different rows")
		}
		slices.Reverse(in.Slices)
		if reversed, _ := service.Translate(in); !reflect.DeepEqual(want, reversed) {
			t.Fatal("the order of the slices shows in the rows")
		}
		for _, row := range want.Rows {
			if lb := row.Model.(*nb.LoadBalancer); len(lb.Vips) == 0 {
				t.Fatalf("%s balances nothing", row.Sym)
			}
		}
	})
}

// arbitrary fills objects from the bytes, with the few words that matter likelier than others.
func arbitrary(data []byte) service.In {
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
		},
		func(p *discoveryv1.EndpointPort, c randfill.Continue) {
			c.FillNoCustom(p)
			if name := pick(c, "", "http"); p.Name != nil {
				*p.Name = name
			}
		},
		func(p *corev1.ServicePort, c randfill.Continue) {
			c.FillNoCustom(p)
			p.Name = pick(c, "", "http")
		},
	)
	in := service.In{Key: "shop/web", Service: &corev1.Service{}, Vpc: "ovn-cluster"}
	fill.Fill(in.Service)
	fill.Fill(&in.Slices)
	in.Slices = slices.DeleteFunc(in.Slices, func(s *discoveryv1.EndpointSlice) bool { return s == nil })
	return in
}
