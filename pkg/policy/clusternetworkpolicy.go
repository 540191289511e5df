package policy

import (
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/vpc"
)

// ParseClusterNetworkPolicy reads a ClusterNetworkPolicy.
func ParseClusterNetworkPolicy(obj *v1alpha2.ClusterNetworkPolicy) (Policy, reconcile.Problems) {
	var ps reconcile.Problems
	p := Policy{}
	switch obj.Spec.Tier {
	case v1alpha2.AdminTier:
		p.Tier = vpc.AdminTier
	case v1alpha2.BaselineTier:
		p.Tier = vpc.BaselineTier
	default:
		ps.Add("spec.tier", v1.ReasonInvalid, "there is no tier %q", obj.Spec.Tier)
		return p, ps
	}
	var err error
	if p.Subject, err = parseClusterSubject(obj.Spec.Subject.Namespaces, podsOf2(obj.Spec.Subject.Pods)); err != nil {
		ps.Add("spec.subject", v1.ReasonInvalid, "%s", err)
	}
	highest, err := clusterPriority(obj.Spec.Priority)
	if err != nil {
		ps.Add("spec.priority", v1.ReasonInvalid, "%s", err)
	}
	if len(ps) > 0 {
		return p, ps
	}
	var in, out []clusterRule
	for i := range obj.Spec.Ingress {
		r := &obj.Spec.Ingress[i]
		rule := clusterRule{action: actionsOf2[r.Action], ports: portsOf2(r.Protocols)}
		for _, peer := range r.From {
			rule.peers = append(rule.peers, clusterPeer{namespaces: peer.Namespaces, pods: podsOf2(peer.Pods)})
		}
		in = append(in, rule)
	}
	for i := range obj.Spec.Egress {
		r := &obj.Spec.Egress[i]
		rule := clusterRule{action: actionsOf2[r.Action], ports: portsOf2(r.Protocols)}
		for _, peer := range r.To {
			rule.peers = append(rule.peers, clusterPeer{
				namespaces: peer.Namespaces, pods: podsOf2(peer.Pods), nodes: peer.Nodes, networks: texts(peer.Networks), domainNames: len(peer.DomainNames),
			})
		}
		out = append(out, rule)
	}
	p.Ingress = parseClusterRules(in, "spec.ingress", highest, &ps)
	p.Egress = parseClusterRules(out, "spec.egress", highest, &ps)
	return p, ps
}

var actionsOf2 = map[v1alpha2.ClusterNetworkPolicyRuleAction]Action{
	v1alpha2.ClusterNetworkPolicyRuleActionAccept: Accept,
	v1alpha2.ClusterNetworkPolicyRuleActionDeny:   Deny,
	v1alpha2.ClusterNetworkPolicyRuleActionPass:   Pass,
}

func podsOf2(p *v1alpha2.NamespacedPod) *clusterPods {
	if p == nil {
		return nil
	}
	return &clusterPods{&p.NamespaceSelector, &p.PodSelector}
}

func portsOf2(protocols []v1alpha2.ClusterNetworkPolicyProtocol) []clusterPort {
	var out []clusterPort
	for _, p := range protocols {
		switch {
		case p.TCP != nil:
			out = append(out, portOf2(corev1.ProtocolTCP, p.TCP.DestinationPort))
		case p.UDP != nil:
			out = append(out, portOf2(corev1.ProtocolUDP, p.UDP.DestinationPort))
		case p.SCTP != nil:
			out = append(out, portOf2(corev1.ProtocolSCTP, p.SCTP.DestinationPort))
		default:
			out = append(out, clusterPort{name: p.DestinationNamedPort})
		}
	}
	return out
}

func portOf2(protocol corev1.Protocol, p *v1alpha2.Port) clusterPort {
	switch {
	case p == nil:
		return clusterPort{protocol: protocol}
	case p.Range != nil:
		return clusterPort{protocol: protocol, first: p.Range.Start, last: p.Range.End}
	default:
		return clusterPort{protocol: protocol, first: p.Number, last: p.Number}
	}
}

// texts are the strings of a list of strings of another type.
func texts[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i := range list {
		out[i] = string(list[i])
	}
	return out
}
