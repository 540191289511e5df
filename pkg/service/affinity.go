package service

import (
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/nb"
)

// Kubernetes' default session affinity, and the longest that OVN knows, in seconds.
const (
	defaultAffinityTimeout = 10800
	maxAffinityTimeout     = 65535
)

func (in Input) hasAffinity() bool {
	return in.Service.Spec.SessionAffinity == corev1.ServiceAffinityClientIP
}

// affinityTimeout is for how many seconds after its last new connection a client is led to the same backend.
func (in Input) affinityTimeout() int {
	if c := in.Service.Spec.SessionAffinityConfig; c != nil && c.ClientIP != nil && c.ClientIP.TimeoutSeconds != nil {
		return int(*c.ClientIP.TimeoutSeconds)
	}
	return defaultAffinityTimeout
}

// ovnKeepsAffinity says whether a load balancer learns sessions (OVN's affinity_timeout). The others choose the backend by a
// hash of the client's address, which never ends an affinity: those whose timeout is longer than OVN can have, and templates,
// for which OVN 25.03 loses the backend's port.
func (in Input) ovnKeepsAffinity(k kind) bool {
	return in.hasAffinity() && k.family == "" && in.affinityTimeout() <= maxAffinityTimeout
}

// affinityFields are the fields whose hash chooses the backend where OVN learns no sessions: the choice stays the same for as
// long as the backends do.
var affinityFields = map[string][]nb.LoadBalancerSelectionFields{
	"":   {nb.LoadBalancerSelectionFieldsIPSrc, nb.LoadBalancerSelectionFieldsIpv6Src},
	"v4": {nb.LoadBalancerSelectionFieldsIPSrc},
	"v6": {nb.LoadBalancerSelectionFieldsIpv6Src},
}

// addRetransmits adds the load balancer that translates each backend's address to itself, if OVN keeps the affinity.
//
// OVN drops the packet by which it learns a session, and the client sends the packet again. Conntrack of the kernel leaves that
// retransmission as it is. Conntrack of the userspace datapath translates it to the backend's address before OVN looks the
// session up: the retransmission would come to the learning flow with that address, and be dropped, however often it is
// sent. With this row the retransmission is a call of the backend's own address, and passes. The row has no ports: OVN 25.03
// looks for the packet's destination port in it, and OVN 26.03 for the Service's port. docs/adr/0008 tells more.
func (in Input) addRetransmits(want *ovs.Desired, t tables, group ovs.Membership) {
	vips := map[string]string{}
	for k, balanced := range t {
		if !in.ovnKeepsAffinity(k) {
			continue
		}
		for _, list := range balanced {
			for _, text := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' }) {
				if backend, err := netip.ParseAddrPort(text); err == nil {
					vips[backend.Addr().String()] = backend.Addr().String()
				}
			}
		}
	}
	if len(vips) == 0 {
		return
	}
	// Hairpin: a pod that calls itself by the Service has to see the ClusterIP as the client. Its answers to its own address
	// would not leave the pod.
	var clusterIPs []string
	for _, ip := range parse(in.Service.Spec.ClusterIPs) {
		clusterIPs = append(clusterIPs, ip.String())
	}
	want.Add(retransmitLoadBalancer(in.Key), &nb.LoadBalancer{
		Name: in.Key + "/repeats", Vips: vips, Options: map[string]string{"hairpin_snat_ip": strings.Join(clusterIPs, " ")},
	}).Also(group)
}
