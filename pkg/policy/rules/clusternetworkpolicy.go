package rules

import (
	"errors"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/group"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/vpc"
)

// The priorities of ACLs: a policy has a span of them, the policies of priority 0 the highest. Within the span, rules in
// a row with the same action share a priority, because among them the order makes no difference.
const (
	clusterSpan    = 32
	clusterHighest = 32500
	clusterLast    = 1000
)

// ParseClusterNetworkPolicy reads a ClusterNetworkPolicy.
func ParseClusterNetworkPolicy(obj *v1alpha2.ClusterNetworkPolicy) (Policy, reconcile.Problems) {
	return parseCluster(&obj.Spec, clusterLast)
}

// parseCluster reads what an administrator's policy says, with priorities up to a last one.
func parseCluster(spec *v1alpha2.ClusterNetworkPolicySpec, last int32) (Policy, reconcile.Problems) {
	var ps reconcile.Problems
	var p Policy
	switch spec.Tier {
	case v1alpha2.AdminTier:
		p.Tier = vpc.AdminTier
	case v1alpha2.BaselineTier:
		p.Tier = vpc.BaselineTier
	default:
		ps.Add("spec.tier", v1.ReasonInvalid, "there is no tier %q", spec.Tier)
	}
	if spec.Priority < 0 || spec.Priority > last {
		ps.Add("spec.priority", v1.ReasonInvalid, "the priority %d is not between 0 and %d", spec.Priority, last)
	}
	var err error
	if p.Subject, err = clusterPods(spec.Subject.Namespaces, spec.Subject.Pods); err != nil {
		ps.Add("spec.subject", v1.ReasonInvalid, "%s", err)
	}
	if len(ps) > 0 {
		return p, ps
	}
	highest := clusterHighest - clusterSpan*int(spec.Priority)
	p.Ingress = parseClusterRules(likeEgress(spec.Ingress), "spec.ingress", highest, &ps)
	p.Egress = parseClusterRules(spec.Egress, "spec.egress", highest, &ps)
	return p, ps
}

// likeEgress are ingress rules in the form of egress rules, which have all kinds of peers that ingress rules have, and more.
func likeEgress(rules []v1alpha2.ClusterNetworkPolicyIngressRule) []v1alpha2.ClusterNetworkPolicyEgressRule {
	out := make([]v1alpha2.ClusterNetworkPolicyEgressRule, len(rules))
	for i, r := range rules {
		out[i] = v1alpha2.ClusterNetworkPolicyEgressRule{Action: r.Action, Protocols: r.Protocols}
		for _, peer := range r.From {
			out[i].To = append(out[i].To, v1alpha2.ClusterNetworkPolicyEgressPeer{Namespaces: peer.Namespaces, Pods: peer.Pods})
		}
	}
	return out
}

// parseClusterRules reads the rules of one direction, which have priorities from highest on.
//
// A rule that is not understood fails closed, as the API asks: a rule that accepts is left out, and a rule that denies or
// passes denies everything.
func parseClusterRules(rules []v1alpha2.ClusterNetworkPolicyEgressRule, field string, highest int, ps *reconcile.Problems) Direction {
	var d Direction
	run := 0
	for i := range rules {
		rule, err := parseClusterRule(strconv.Itoa(i), &rules[i])
		if err != nil {
			reason := v1.ReasonInvalid
			if errors.Is(err, errDomainNames) {
				reason = v1.ReasonNotImplemented
			}
			if rule.Action == Accept {
				ps.Advise(fmt.Sprintf("%s[%d]", field, i), reason, "the rule is left out: %s", err)
				continue
			}
			ps.Advise(fmt.Sprintf("%s[%d]", field, i), reason, "the rule denies everything: %s", err)
			rule = Rule{Name: strconv.Itoa(i), Action: Deny, Anyone: true, AnyPort: true}
		}
		if n := len(d.Rules); n > 0 && d.Rules[n-1].Action != rule.Action {
			run++
		}
		if run >= clusterSpan {
			ps.Add(field, v1.ReasonInvalid, "its rules change between actions more than %d times", clusterSpan-1)
			return Direction{}
		}
		rule.Priority = highest - run
		d.Rules = append(d.Rules, rule)
	}
	return d
}

var clusterActions = map[v1alpha2.ClusterNetworkPolicyRuleAction]Action{
	v1alpha2.ClusterNetworkPolicyRuleActionAccept: Accept,
	v1alpha2.ClusterNetworkPolicyRuleActionDeny:   Deny,
	v1alpha2.ClusterNetworkPolicyRuleActionPass:   Pass,
}

// parseClusterRule reads a rule. Of a rule that is not understood it returns the action, beside the error.
func parseClusterRule(name string, r *v1alpha2.ClusterNetworkPolicyEgressRule) (Rule, error) {
	rule := Rule{Name: name, Action: clusterActions[r.Action], AnyPort: len(r.Protocols) == 0}
	if rule.Action == None {
		return rule, errors.New("it has an unknown action")
	}
	if len(r.To) == 0 {
		return rule, errors.New("it has no peers")
	}
	var blocks networks
	for i := range r.To {
		if err := parseClusterPeer(&rule.Peers, &blocks, &r.To[i]); err != nil {
			return rule, err
		}
	}
	var err error
	if rule.Peers.Networks, err = blocks.networks(); err != nil {
		return rule, err
	}
	for _, p := range r.Protocols {
		if err := parseClusterPort(&rule.Ports, p); err != nil {
			return rule, err
		}
	}
	rule.Ports.tidy()
	return rule, nil
}

var errDomainNames = errors.New("domain names are not implemented yet")

// parseClusterPeer reads a peer. Exactly one of its fields is set; one with none of them is of a version of the API that
// this one does not know.
func parseClusterPeer(to *Peers, blocks *networks, p *v1alpha2.ClusterNetworkPolicyEgressPeer) error {
	switch {
	case p.Nodes != nil:
		nodes, err := group.Canonical(p.Nodes)
		if err != nil {
			return fmt.Errorf("nodes: %w", err)
		}
		to.Nodes = append(to.Nodes, nodes)
	case len(p.Networks) > 0:
		for _, cidr := range p.Networks {
			if err := blocks.add(string(cidr), nil); err != nil {
				return err
			}
		}
	case len(p.DomainNames) > 0:
		return errDomainNames
	case p.Namespaces == nil && p.Pods == nil:
		return errors.New("it has a peer of an unknown kind")
	default:
		pods, err := clusterPods(p.Namespaces, p.Pods)
		if err != nil {
			return err
		}
		to.add(pods)
	}
	return nil
}

// clusterPods are the pods of namespaces, or some of their pods, as peers and subjects have them.
func clusterPods(namespaces *metav1.LabelSelector, pods *v1alpha2.NamespacedPod) (group.Selector, error) {
	switch {
	case pods != nil:
		return group.Of(&pods.NamespaceSelector, &pods.PodSelector) //nolint:wrapcheck // it says which selector it is
	case namespaces != nil:
		return group.Of(namespaces, nil) //nolint:wrapcheck // it says which selector it is
	default:
		return group.Selector{}, errors.New("it selects neither namespaces nor pods")
	}
}

// parseClusterPort reads a protocol with or without ports, or the name of a port, which may be of any protocol.
func parseClusterPort(to *Ports, p v1alpha2.ClusterNetworkPolicyProtocol) error {
	switch {
	case p.TCP != nil:
		return to.addPort(corev1.ProtocolTCP, p.TCP.DestinationPort)
	case p.UDP != nil:
		return to.addPort(corev1.ProtocolUDP, p.UDP.DestinationPort)
	case p.SCTP != nil:
		return to.addPort(corev1.ProtocolSCTP, p.SCTP.DestinationPort)
	case p.DestinationNamedPort != "":
		for _, protocol := range protocols {
			to.name(group.NamedPort{Protocol: protocol, Name: p.DestinationNamedPort})
		}
		return nil
	default:
		return errors.New("it has a protocol of an unknown kind")
	}
}

func (p *Ports) addPort(protocol corev1.Protocol, port *v1alpha2.Port) error {
	switch {
	case port == nil:
		p.add(protocol, EveryPort)
		return nil
	case port.Range != nil:
		return p.addRange(protocol, port.Range.Start, port.Range.End)
	default:
		return p.addRange(protocol, port.Number, port.Number)
	}
}
