package subnet_test

import (
	"net/netip"
	"reflect"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/subnet"
)

func TestParse(t *testing.T) {
	for name, tc := range map[string]struct {
		spec v1.SubnetSpec
		// reasons are those of the blocking problems, in order.
		reasons []string
		// gateways are what is understood when there are none.
		gateways string
	}{
		"first address is the gateway": {spec: v1.SubnetSpec{CIDRBlock: "10.20.0.0/24"}, gateways: "10.20.0.1"},
		"gateway of one family":        {spec: v1.SubnetSpec{CIDRBlock: "10.20.0.0/24,fd00::/112", Gateway: "fd00::9"}, gateways: "10.20.0.1,fd00::9"},
		"spaces are no matter":         {spec: v1.SubnetSpec{CIDRBlock: " 10.20.0.0/24 , fd00::/112 "}, gateways: "10.20.0.1,fd00::1"},
		"capitals are no matter":       {spec: v1.SubnetSpec{CIDRBlock: "FD00::/112", Gateway: "FD00::A"}, gateways: "fd00::a"},
		"nothing":                      {reasons: []string{v1.ReasonInvalidCIDR}},
		"text":                         {spec: v1.SubnetSpec{CIDRBlock: "ten"}, reasons: []string{v1.ReasonInvalidCIDR}},
		"an address":                   {spec: v1.SubnetSpec{CIDRBlock: "10.20.0.1"}, reasons: []string{v1.ReasonInvalidCIDR}},
		"three CIDRs":                  {spec: v1.SubnetSpec{CIDRBlock: "10.0.0.0/24,fd00::/112,10.1.0.0/24"}, reasons: []string{v1.ReasonInvalidCIDR}},
		"gateway is text":              {spec: v1.SubnetSpec{CIDRBlock: "10.20.0.0/24", Gateway: "first"}, reasons: []string{v1.ReasonInvalidGateway}},
		"gateway outside":              {spec: v1.SubnetSpec{CIDRBlock: "10.20.0.0/24", Gateway: "10.20.1.1"}, reasons: []string{v1.ReasonGatewayOutsideCIDR}},
		"all wrong at once": {
			spec: v1.SubnetSpec{CIDRBlock: "10.20.0.0/24", Gateway: "10.20.1.1", ExcludeIps: []string{"?"}, Vlan: "v", Provider: "net1.default"},
			reasons: []string{
				v1.ReasonGatewayOutsideCIDR, v1.ReasonInvalidExcludeIPs, v1.ReasonNotImplemented, v1.ReasonNotImplemented,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, problems := subnet.Parse(&v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: tc.spec}, "ovn-cluster")
			var reasons []string
			for _, p := range problems.Blocking() {
				reasons = append(reasons, p.Reason)
			}
			if !reflect.DeepEqual(reasons, tc.reasons) {
				t.Errorf("refused for %v, want %v: %s", reasons, tc.reasons, problems)
			}
			if len(reasons) == 0 && s.Gateways.String() != tc.gateways {
				t.Errorf("gateways are %s, want %s", s.Gateways, tc.gateways)
			}
		})
	}
}

// FuzzParseSubnet holds that a spec, whatever is in it, is either refused or understood as something that makes sense.
func FuzzParseSubnet(f *testing.F) {
	f.Add("10.20.0.0/24", "10.20.0.1", "10.20.0.5..10.20.0.9", "web", "")
	f.Add("10.20.0.0/24,FD00::/112", "", "", "web", "tenant")
	f.Add("10.20.0.0/33", "::", "..", "", "")
	f.Add("0.0.0.0/0,::/0", "0.0.0.0,::", "::..::1", "x", "x")
	f.Add("::ffff:10.0.0.0/104", "::ffff:10.0.0.1", "", "web", "")
	f.Add("10.0.0.0/32", "", "", "web", "")
	f.Fuzz(func(t *testing.T, cidr, gateway, exclude, name, vpc string) {
		obj := &v1.Subnet{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec:       v1.SubnetSpec{CIDRBlock: cidr, Gateway: gateway, ExcludeIps: []string{exclude}, Vpc: vpc},
		}
		s, problems := subnet.Parse(obj, "ovn-cluster")
		want, refused := subnet.Translate(subnet.Input{Subnet: obj, DefaultVpc: "ovn-cluster", EnableLB: true})
		if (len(problems.Blocking()) > 0) != (len(refused.Blocking()) > 0) {
			t.Fatalf("Parse says %q and Translate %q", problems, refused)
		}
		if len(problems.Blocking()) > 0 {
			if len(want.Rows) > 0 {
				t.Fatalf("a refused subnet wants %d rows", len(want.Rows))
			}
			return
		}
		for _, family := range []struct {
			cidr    netip.Prefix
			gateway netip.Addr
		}{{s.CIDRs.V4, s.Gateways.V4}, {s.CIDRs.V6, s.Gateways.V6}} {
			if family.cidr.IsValid() != family.gateway.IsValid() || family.cidr.IsValid() && !family.cidr.Contains(family.gateway) {
				t.Fatalf("%q with gateway %q is understood as %s with gateway %s", cidr, gateway, family.cidr, family.gateway)
			}
		}
		// What is written back is understood as the same.
		again := obj.DeepCopy()
		again.Spec.CIDRBlock, again.Spec.Gateway = s.CIDRs.String(), s.Gateways.String()
		if s2, p := subnet.Parse(again, "ovn-cluster"); len(p.Blocking()) > 0 || s2.CIDRs != s.CIDRs || s2.Gateways != s.Gateways {
			t.Fatalf("%v written back is understood as %v (%s)", s, s2, p)
		}
	})
}
