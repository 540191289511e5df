package pod

import (
	"slices"
	"strings"
	"testing"
)

// TestEachAnnotationIsActedOnOrAnswered goes through all annotations that Kube-OVN reads on a pod, or writes there.
func TestEachAnnotationIsActedOnOrAnswered(t *testing.T) {
	const acted, answered = true, false
	for annotation, want := range map[string]bool{
		"logical_switch=web": acted, "ip_address=10.16.0.9": acted, "mac_address=0a:00:00:00:00:09": acted, "ip_family=ipv4": acted,
		"routes=[]": acted, "allocated=true": acted, "allocated_uid=1": acted, "routed=true": acted, "cidr=10.16.0.0/16": acted,
		"gateway=10.16.0.1": acted, "logical_router=tenant": acted, "virtualmachine=vm": acted, "vlan_id=7": acted,
		"provider_network=net": acted, "vf=1": acted, "vf_representor=eth1_0": acted,
		"port_security=true": acted, "port_security=false": answered, "pod_nic_type=veth-pair": acted, "pod_nic_type=dpdk-port": answered,
		"default_route=true": acted, "default_route=false": answered, "mirror=true": answered, "mirror=false": acted,
		"layer2_forward=true": answered, "layer2_forward=false": acted,
		"ip_pool=pool": acted, "ip_pool=": acted, "security_groups=sg": answered, "port_vips=a": answered, "aaps=a": answered, "vip=a": answered,
		"ingress_rate=3": answered, "egress_rate=3": answered, "ingress_burst=0": answered, "egress_burst=0": answered,
		"latency=3": answered, "jitter=3": answered, "limit=3": answered, "loss=3": answered, "north_gateway=10.16.0.9": answered,
		"dhcp-v4-options=a": answered, "dhcp-v6-options=a": answered, "eip=192.0.2.9": answered, "snat=192.0.2.9": answered, "bgp=true": answered,
		"activation_strategy=rarp": answered, "attachmentprovider=a": answered, "vpc_nat_gw=a": answered, "vpc_nat_gw_init=true": answered,
		"new_to_kube_ovn=1": answered,
	} {
		word, value, _ := strings.Cut(annotation, "=")
		for _, domain := range []string{"ovn.kubernetes.io/", "net1.shop.ovn.kubernetes.io/", "example.com/", "pod-security.kubernetes.io/"} {
			got := !slices.Contains(heeded.Unheeded(map[string]string{domain + word: value}), domain+word)
			expect := want
			switch domain {
			case "net1.shop.ovn.kubernetes.io/": // attachments are a later version's
				expect = value == ""
			case "example.com/", "pod-security.kubernetes.io/": // not Kube-OVN's
				expect = true
			}
			if got != expect {
				t.Errorf("%s%s: needs no answer: %t, want %t", domain, annotation, got, expect)
			}
		}
	}
}
