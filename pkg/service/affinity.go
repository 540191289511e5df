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
	usualMemory   = 10800
	longestMemory = 65535
)

func (in Input) sticky() bool {
	return in.Service.Spec.SessionAffinity == corev1.ServiceAffinityClientIP
}

// memory is for how many seconds without a new connection a client belongs to its backend.
func (in Input) memory() int {
	if c := in.Service.Spec.SessionAffinityConfig; c != nil && c.ClientIP != nil && c.ClientIP.TimeoutSeconds != nil {
		return int(*c.ClientIP.TimeoutSeconds)
	}
	return usualMemory
}

// remembers says whether a load balancer remembers its clients. Others choose by the client's address, which ends nothing:
// those that are to remember for longer than OVN can, and templates, for which OVN 25.03 loses the backend's port.
func (in Input) remembers(k kind) bool {
	return in.sticky() && k.family == "" && in.memory() <= longestMemory
}

// clientAddress is what a backend is chosen by where clients are not remembered: the choice stays the same for as long as the
// backends do.
var clientAddress = map[string][]nb.LoadBalancerSelectionFields{
	"":   {nb.LoadBalancerSelectionFieldsIPSrc, nb.LoadBalancerSelectionFieldsIpv6Src},
	"v4": {nb.LoadBalancerSelectionFieldsIPSrc},
	"v6": {nb.LoadBalancerSelectionFieldsIpv6Src},
}

// addRepeats adds the load balancer that leads each backend to itself, if clients are remembered.
//
// OVN loses the packet by which it learns a session, and the client sends it again. The kernel's conntrack leaves the
// retransmission as it is. That of the userspace datapath translates it before OVN asks for the session, so that it would
// come to the flow that learns with the backend's address, and be lost again, however often. With this row it is a packet
// to the backend, and is let through. The row has no ports: OVN 25.03 looks for the packet's own port there, and 26.03 for
// the one that the client called. docs/adr/0008 tells more.
func (in Input) addRepeats(want *ovs.Desired, t tables, group ovs.Member) {
	vips := map[string]string{}
	for k, balanced := range t {
		if !in.remembers(k) {
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
	// A pod that calls itself has to see the Service: what it answers to itself would not come by OVN.
	var own []string
	for _, ip := range parse(in.Service.Spec.ClusterIPs) {
		own = append(own, ip.String())
	}
	want.Add(repeater(in.Key), &nb.LoadBalancer{
		Name: in.Key + "/repeats", Vips: vips, Options: map[string]string{"hairpin_snat_ip": strings.Join(own, " ")},
	}).Also(group)
}
