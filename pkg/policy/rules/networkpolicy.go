package rules

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/group"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/vpc"
)

// Priorities of NetworkPolicies' ACLs in their tier: they only allow, and what none allows an isolated pod does not get.
const (
	policyAllowPriority = 2001
	policyDenyPriority  = 2000
)

// ParseNetworkPolicy reads a NetworkPolicy. A rule that makes no sense is left out and told: what it would have allowed
// stays closed, and all else is in force.
func ParseNetworkPolicy(obj *networkingv1.NetworkPolicy) (Policy, reconcile.Problems) {
	var ps reconcile.Problems
	p := Policy{Tier: vpc.PolicyTier}
	var err error
	if p.Subject, err = group.Of(nil, &obj.Spec.PodSelector); err != nil {
		ps.Add("spec", v1.ReasonInvalid, "%s", err)
		return p, ps
	}
	p.Subject.Namespace = obj.Namespace
	if concerns(obj, networkingv1.PolicyTypeIngress) {
		p.Ingress = Direction{Default: Deny, DefaultPriority: policyDenyPriority}
		for i, rule := range obj.Spec.Ingress {
			parseRule(&p.Ingress, rule.From, rule.Ports, place{obj.Namespace, fmt.Sprintf("spec.ingress[%d]", i), i, &ps})
		}
	}
	if concerns(obj, networkingv1.PolicyTypeEgress) {
		p.Egress = Direction{Default: Deny, DefaultPriority: policyDenyPriority}
		for i, rule := range obj.Spec.Egress {
			parseRule(&p.Egress, rule.To, rule.Ports, place{obj.Namespace, fmt.Sprintf("spec.egress[%d]", i), i, &ps})
		}
	}
	parseAnnotations(obj, &p, &ps)
	return p, ps
}

// concerns says whether the policy is about a direction. The API server fills in the types; an object that was stored
// without them means what it says in the API's documentation.
func concerns(obj *networkingv1.NetworkPolicy, t networkingv1.PolicyType) bool {
	if len(obj.Spec.PolicyTypes) == 0 {
		return t == networkingv1.PolicyTypeIngress || len(obj.Spec.Egress) > 0
	}
	return slices.Contains(obj.Spec.PolicyTypes, t)
}

// place is where a rule stands.
type place struct {
	namespace, field string
	index            int
	problems         *reconcile.Problems
}

func (at place) wrong(err error) {
	at.problems.Advise(at.field, v1.ReasonInvalid, "the rule is left out: %s", err)
}

func parseRule(d *Direction, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort, at place) {
	rule := Rule{Name: strconv.Itoa(at.index), Action: Accept, Priority: policyAllowPriority, Anyone: len(peers) == 0, AnyPort: len(ports) == 0}
	var blocks networks
	for _, peer := range peers {
		if peer.IPBlock != nil {
			if err := blocks.add(peer.IPBlock.CIDR, peer.IPBlock.Except); err != nil {
				at.wrong(err)
				return
			}
			continue
		}
		selector, err := group.Of(peer.NamespaceSelector, peer.PodSelector)
		if err != nil {
			at.wrong(err)
			return
		}
		if peer.NamespaceSelector == nil {
			selector.Namespace = at.namespace
		}
		rule.Peers.add(selector)
	}
	var err error
	if rule.Peers.Networks, err = blocks.networks(); err != nil {
		at.wrong(err)
		return
	}
	for _, port := range ports {
		if err := parsePort(&rule.Ports, port); err != nil {
			at.wrong(err)
			return
		}
	}
	rule.Ports.tidy()
	d.Rules = append(d.Rules, rule)
}

func parsePort(to *Ports, p networkingv1.NetworkPolicyPort) error {
	protocol := corev1.ProtocolTCP
	if p.Protocol != nil {
		protocol = *p.Protocol
	}
	if !slices.Contains(protocols, protocol) {
		return fmt.Errorf("there is no protocol %q with ports", protocol)
	}
	switch {
	case p.Port == nil && p.EndPort != nil:
		return fmt.Errorf("endPort %d has no port to begin at", *p.EndPort)
	case p.Port == nil:
		to.add(protocol, EveryPort)
	case p.Port.Type == intstr.String && p.EndPort != nil:
		return fmt.Errorf("a range cannot begin at the named port %q", p.Port.StrVal)
	case p.Port.Type == intstr.String && p.Port.StrVal == "":
		return fmt.Errorf("a port without a name")
	case p.Port.Type == intstr.String:
		to.name(group.NamedPort{Protocol: protocol, Name: p.Port.StrVal})
	default:
		last := p.Port.IntVal
		if p.EndPort != nil {
			last = *p.EndPort
		}
		return to.addRange(protocol, p.Port.IntVal, last)
	}
	return nil
}

// parseAnnotations reads Kube-OVN's annotations.
func parseAnnotations(obj metav1.Object, p *Policy, ps *reconcile.Problems) {
	a := obj.GetAnnotations()
	switch enforcement := a[v1.AnnotationPolicyEnforcement]; enforcement {
	case "", "standard":
	case "lax":
		p.Ingress.Lax, p.Egress.Lax = true, true
	default:
		ps.Advise("metadata.annotations", v1.ReasonInvalid, "%s is neither standard nor lax: standard is in force", v1.AnnotationPolicyEnforcement)
	}
	if list := a[v1.AnnotationPolicyFor]; list != "" && !slices.Contains(split(list), v1.Provider) {
		p.Ingress, p.Egress = Direction{}, Direction{}
		ps.Advise("metadata.annotations", v1.ReasonNotImplemented,
			"%s names other interfaces than a pod's first one, which policies do not speak of yet: the policy is NOT in force", v1.AnnotationPolicyFor)
	}
	parseLog(a, p, ps)
}

func parseLog(a map[string]string, p *Policy, ps *reconcile.Problems) {
	if a[v1.AnnotationPolicyLog] != "true" {
		return
	}
	p.Log.Actions = map[Action]bool{Deny: true}
	if list := a[v1.AnnotationPolicyLogActions]; list != "" {
		p.Log.Actions = map[Action]bool{}
		for _, word := range split(list) {
			action, known := map[string]Action{"allow": Accept, "drop": Deny, "pass": Pass}[word]
			if !known {
				ps.Advise("metadata.annotations", v1.ReasonInvalid, "%s: %q is not allow, drop or pass", v1.AnnotationPolicyLogActions, word)
				continue
			}
			p.Log.Actions[action] = true
		}
	}
	if text := a[v1.AnnotationPolicyLogRate]; text != "" {
		rate, err := strconv.Atoi(text)
		if err != nil || rate < 1 || rate > maxLogRate {
			ps.Advise("metadata.annotations", v1.ReasonInvalid, "%s: %q is no number of messages a second", v1.AnnotationPolicyLogRate, text)
			return
		}
		p.Log.Rate = rate
	}
}

// maxLogRate is far more than any log takes.
const maxLogRate = 1_000_000

func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}
