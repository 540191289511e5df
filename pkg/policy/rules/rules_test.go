package rules_test

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/woven-cni/woven/pkg/policy/rules"
)

// parse reads a policy with one rule for ingress.
func parse(t *testing.T, rule networkingv1.NetworkPolicyIngressRule) (rules.Policy, int) {
	t.Helper()
	p, problems := rules.ParseNetworkPolicy(&networkingv1.NetworkPolicy{Spec: networkingv1.NetworkPolicySpec{
		Ingress: []networkingv1.NetworkPolicyIngressRule{rule},
	}})
	if len(problems.Blocking()) > 0 {
		t.Fatalf("the policy is refused: %s", problems)
	}
	return p, len(problems)
}

// An exception is one of its own block: what it leaves out, a block beside it lets in.
func TestExceptionsStayWithTheirBlock(t *testing.T) {
	block := func(cidr string, except ...string) networkingv1.NetworkPolicyPeer {
		return networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: cidr, Except: except}}
	}
	for name, c := range map[string]struct {
		from []networkingv1.NetworkPolicyPeer
		want []string
	}{
		"alone":          {[]networkingv1.NetworkPolicyPeer{block("10.0.0.0/30", "10.0.0.1/32")}, []string{"10.0.0.0/32", "10.0.0.2/31"}},
		"let in beside":  {[]networkingv1.NetworkPolicyPeer{block("10.0.0.0/30", "10.0.0.1/32"), block("10.0.0.1/32")}, []string{"10.0.0.0/30"}},
		"before as well": {[]networkingv1.NetworkPolicyPeer{block("10.0.0.1/32"), block("10.0.0.0/30", "10.0.0.1/32")}, []string{"10.0.0.0/30"}},
		"all of it":      {[]networkingv1.NetworkPolicyPeer{block("10.0.0.0/30", "10.0.0.0/8")}, nil},
	} {
		p, _ := parse(t, networkingv1.NetworkPolicyIngressRule{From: c.from})
		var got []string
		for _, n := range p.Ingress.Rules[0].Peers.Networks.Prefixes() {
			got = append(got, n.String())
		}
		if !slices.Equal(got, c.want) || p.Ingress.Rules[0].Anyone {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestPorts(t *testing.T) {
	port := func(first int32, last ...int32) networkingv1.NetworkPolicyPort {
		p := networkingv1.NetworkPolicyPort{Port: ptr.To(intstr.FromInt32(first))}
		if len(last) > 0 {
			p.EndPort = &last[0]
		}
		return p
	}
	for name, c := range map[string]struct {
		ports []networkingv1.NetworkPolicyPort
		want  []rules.Range
	}{
		"overlap":        {[]networkingv1.NetworkPolicyPort{port(100, 200), port(80), port(150, 300)}, []rules.Range{{80, 80}, {100, 300}}},
		"touch":          {[]networkingv1.NetworkPolicyPort{port(81), port(80)}, []rules.Range{{80, 81}}},
		"any":            {[]networkingv1.NetworkPolicyPort{{}, port(80)}, []rules.Range{rules.EveryPort}},
		"up to the last": {[]networkingv1.NetworkPolicyPort{port(1, 65535), port(65535)}, []rules.Range{{1, 65535}}},
	} {
		p, _ := parse(t, networkingv1.NetworkPolicyIngressRule{Ports: c.ports})
		if got := p.Ingress.Rules[0].Ports.Numbers[corev1.ProtocolTCP]; !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	for name, wrong := range map[string]networkingv1.NetworkPolicyPort{
		"reversed": port(90, 80), "zero": port(0), "too high": port(65536), "no begin": {EndPort: ptr.To[int32](80)},
		"no name": {Port: ptr.To(intstr.FromString(""))}, "no ports": {Protocol: ptr.To(corev1.Protocol("GRE"))},
	} {
		if p, told := parse(t, networkingv1.NetworkPolicyIngressRule{Ports: []networkingv1.NetworkPolicyPort{wrong}}); told != 1 || len(p.Ingress.Rules) > 0 {
			t.Errorf("%s: %d problems, rules %v", name, told, p.Ingress.Rules)
		}
	}
}
