package rules

import (
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"

	"github.com/woven-cni/woven/pkg/reconcile"
)

// The older version of the administrators' API says nothing that the newer one cannot say: it is rewritten in that.

// ParseAdminNetworkPolicy reads an AdminNetworkPolicy.
func ParseAdminNetworkPolicy(obj *v1alpha1.AdminNetworkPolicy) (Policy, reconcile.Problems) {
	spec := newer(&obj.Spec)
	spec.Tier = v1alpha2.AdminTier
	return parseCluster(&spec, clusterLast)
}

// ParseBaselineAdminNetworkPolicy reads a BaselineAdminNetworkPolicy. It comes after all ClusterNetworkPolicies of the
// baseline tier.
func ParseBaselineAdminNetworkPolicy(obj *v1alpha1.BaselineAdminNetworkPolicy) (Policy, reconcile.Problems) {
	like := v1alpha1.AdminNetworkPolicySpec{Priority: clusterLast + 1, Subject: obj.Spec.Subject}
	for _, r := range obj.Spec.Ingress {
		like.Ingress = append(like.Ingress, v1alpha1.AdminNetworkPolicyIngressRule{
			Action: v1alpha1.AdminNetworkPolicyRuleAction(r.Action), From: r.From, Ports: r.Ports,
		})
	}
	for _, r := range obj.Spec.Egress {
		rule := v1alpha1.AdminNetworkPolicyEgressRule{Action: v1alpha1.AdminNetworkPolicyRuleAction(r.Action), Ports: r.Ports}
		for _, p := range r.To {
			rule.To = append(rule.To, v1alpha1.AdminNetworkPolicyEgressPeer{
				Namespaces: p.Namespaces, Pods: p.Pods, Nodes: p.Nodes, Networks: p.Networks,
			})
		}
		like.Egress = append(like.Egress, rule)
	}
	spec := newer(&like)
	spec.Tier = v1alpha2.BaselineTier
	return parseCluster(&spec, like.Priority)
}

// newer is what a policy of v1alpha1 says, in the words of v1alpha2. What v1alpha2 has no word for becomes a part of an
// unknown kind, which fails closed.
func newer(old *v1alpha1.AdminNetworkPolicySpec) v1alpha2.ClusterNetworkPolicySpec {
	spec := v1alpha2.ClusterNetworkPolicySpec{Priority: old.Priority, Subject: v1alpha2.ClusterNetworkPolicySubject{
		Namespaces: old.Subject.Namespaces, Pods: (*v1alpha2.NamespacedPod)(old.Subject.Pods),
	}}
	for _, r := range old.Ingress {
		rule := v1alpha2.ClusterNetworkPolicyIngressRule{Action: newerAction(r.Action), Protocols: newerPorts(r.Ports)}
		for _, p := range r.From {
			rule.From = append(rule.From, v1alpha2.ClusterNetworkPolicyIngressPeer{
				Namespaces: p.Namespaces, Pods: (*v1alpha2.NamespacedPod)(p.Pods),
			})
		}
		spec.Ingress = append(spec.Ingress, rule)
	}
	for _, r := range old.Egress {
		rule := v1alpha2.ClusterNetworkPolicyEgressRule{Action: newerAction(r.Action), Protocols: newerPorts(r.Ports)}
		for _, p := range r.To {
			rule.To = append(rule.To, v1alpha2.ClusterNetworkPolicyEgressPeer{
				Namespaces: p.Namespaces, Pods: (*v1alpha2.NamespacedPod)(p.Pods), Nodes: p.Nodes,
				Networks: recast[v1alpha2.CIDR](p.Networks), DomainNames: recast[v1alpha2.DomainName](p.DomainNames),
			})
		}
		spec.Egress = append(spec.Egress, rule)
	}
	return spec
}

func newerAction(a v1alpha1.AdminNetworkPolicyRuleAction) v1alpha2.ClusterNetworkPolicyRuleAction {
	if a == v1alpha1.AdminNetworkPolicyRuleActionAllow {
		return v1alpha2.ClusterNetworkPolicyRuleActionAccept
	}
	return v1alpha2.ClusterNetworkPolicyRuleAction(a)
}

func newerPorts(old *[]v1alpha1.AdminNetworkPolicyPort) []v1alpha2.ClusterNetworkPolicyProtocol {
	if old == nil {
		return nil
	}
	out := make([]v1alpha2.ClusterNetworkPolicyProtocol, len(*old))
	for i, p := range *old {
		switch {
		case p.PortNumber != nil:
			out[i] = newerPort(p.PortNumber.Protocol, &v1alpha2.Port{Number: p.PortNumber.Port})
		case p.PortRange != nil:
			out[i] = newerPort(p.PortRange.Protocol, &v1alpha2.Port{Range: &v1alpha2.PortRange{Start: p.PortRange.Start, End: p.PortRange.End}})
		case p.NamedPort != nil:
			out[i].DestinationNamedPort = *p.NamedPort
		}
	}
	return out
}

func newerPort(protocol corev1.Protocol, port *v1alpha2.Port) v1alpha2.ClusterNetworkPolicyProtocol {
	var p v1alpha2.ClusterNetworkPolicyProtocol
	switch protocol {
	case corev1.ProtocolTCP:
		p.TCP = &v1alpha2.ClusterNetworkPolicyProtocolTCP{DestinationPort: port}
	case corev1.ProtocolUDP:
		p.UDP = &v1alpha2.ClusterNetworkPolicyProtocolUDP{DestinationPort: port}
	case corev1.ProtocolSCTP:
		p.SCTP = &v1alpha2.ClusterNetworkPolicyProtocolSCTP{DestinationPort: port}
	}
	return p
}

// recast is a list of strings of one type as strings of another.
func recast[To, From ~string](list []From) []To {
	out := make([]To, len(list))
	for i := range list {
		out[i] = To(list[i])
	}
	return out
}
