package policy

import (
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/vpc"
)

// ParseAdminNetworkPolicy reads an AdminNetworkPolicy.
func ParseAdminNetworkPolicy(obj *v1alpha1.AdminNetworkPolicy) (Policy, reconcile.Problems) {
	var ps reconcile.Problems
	p := Policy{Tier: vpc.AdminTier}
	highest, err := clusterPriority(obj.Spec.Priority)
	if err != nil {
		ps.Add("spec.priority", v1.ReasonInvalid, "%s", err)
	}
	parseSubject1(&p, obj.Spec.Subject, &ps)
	if len(ps) > 0 {
		return p, ps
	}
	var in, out []clusterRule
	for i := range obj.Spec.Ingress {
		r := &obj.Spec.Ingress[i]
		in = append(in, clusterRule{action: actionsOf1[string(r.Action)], peers: sourcesOf1(r.From), ports: portsOf1(r.Ports)})
	}
	for i := range obj.Spec.Egress {
		r := &obj.Spec.Egress[i]
		rule := clusterRule{action: actionsOf1[string(r.Action)], ports: portsOf1(r.Ports)}
		for _, peer := range r.To {
			rule.peers = append(rule.peers, clusterPeer{
				namespaces: peer.Namespaces, pods: podsOf1(peer.Pods), nodes: peer.Nodes, networks: texts(peer.Networks), domainNames: len(peer.DomainNames),
			})
		}
		out = append(out, rule)
	}
	p.Ingress = parseClusterRules(in, "spec.ingress", highest, &ps)
	p.Egress = parseClusterRules(out, "spec.egress", highest, &ps)
	return p, ps
}

// ParseBaselineAdminNetworkPolicy reads a BaselineAdminNetworkPolicy. It comes after all ClusterNetworkPolicies of the
// baseline tier.
func ParseBaselineAdminNetworkPolicy(obj *v1alpha1.BaselineAdminNetworkPolicy) (Policy, reconcile.Problems) {
	var ps reconcile.Problems
	p := Policy{Tier: vpc.BaselineTier}
	parseSubject1(&p, obj.Spec.Subject, &ps)
	if len(ps) > 0 {
		return p, ps
	}
	var in, out []clusterRule
	for i := range obj.Spec.Ingress {
		r := &obj.Spec.Ingress[i]
		in = append(in, clusterRule{action: actionsOf1[string(r.Action)], peers: sourcesOf1(r.From), ports: portsOf1(r.Ports)})
	}
	for i := range obj.Spec.Egress {
		r := &obj.Spec.Egress[i]
		rule := clusterRule{action: actionsOf1[string(r.Action)], ports: portsOf1(r.Ports)}
		for _, peer := range r.To {
			rule.peers = append(rule.peers, clusterPeer{
				namespaces: peer.Namespaces, pods: podsOf1(peer.Pods), nodes: peer.Nodes, networks: texts(peer.Networks),
			})
		}
		out = append(out, rule)
	}
	p.Ingress = parseClusterRules(in, "spec.ingress", baselineHighest, &ps)
	p.Egress = parseClusterRules(out, "spec.egress", baselineHighest, &ps)
	return p, ps
}

// actionsOf1 are the actions of both kinds, which have the same names.
var actionsOf1 = map[string]Action{
	string(v1alpha1.AdminNetworkPolicyRuleActionAllow): Accept,
	string(v1alpha1.AdminNetworkPolicyRuleActionDeny):  Deny,
	string(v1alpha1.AdminNetworkPolicyRuleActionPass):  Pass,
}

func parseSubject1(p *Policy, s v1alpha1.AdminNetworkPolicySubject, ps *reconcile.Problems) {
	var err error
	if p.Subject, err = parseClusterSubject(s.Namespaces, podsOf1(s.Pods)); err != nil {
		ps.Add("spec.subject", v1.ReasonInvalid, "%s", err)
	}
}

func podsOf1(p *v1alpha1.NamespacedPod) *clusterPods {
	if p == nil {
		return nil
	}
	return &clusterPods{&p.NamespaceSelector, &p.PodSelector}
}

func sourcesOf1(peers []v1alpha1.AdminNetworkPolicyIngressPeer) []clusterPeer {
	var out []clusterPeer
	for _, p := range peers {
		out = append(out, clusterPeer{namespaces: p.Namespaces, pods: podsOf1(p.Pods)})
	}
	return out
}

func portsOf1(ports *[]v1alpha1.AdminNetworkPolicyPort) []clusterPort {
	if ports == nil {
		return nil
	}
	var out []clusterPort
	for _, p := range *ports {
		switch {
		case p.PortNumber != nil:
			out = append(out, clusterPort{protocol: p.PortNumber.Protocol, first: p.PortNumber.Port, last: p.PortNumber.Port})
		case p.PortRange != nil:
			out = append(out, clusterPort{protocol: p.PortRange.Protocol, first: p.PortRange.Start, last: p.PortRange.End})
		case p.NamedPort != nil:
			out = append(out, clusterPort{name: *p.NamedPort})
		default:
			out = append(out, clusterPort{})
		}
	}
	return out
}
