package v1

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func answer() Allocation {
	mac, _ := net.ParseMAC("0a:58:0a:10:00:05")
	return Allocation{
		For: "uid-1", Subnet: "web", Router: "ovn-cluster", MAC: mac,
		Addresses: []netip.Addr{netip.MustParseAddr("10.16.0.5"), netip.MustParseAddr("fd00:10:16::5")},
		CIDRs:     []netip.Prefix{netip.MustParsePrefix("10.16.0.0/16"), netip.MustParsePrefix("fd00:10:16::/64")},
		Gateways:  []netip.Addr{netip.MustParseAddr("10.16.0.1"), netip.MustParseAddr("fd00:10:16::1")},
	}
}

// TestAllocationIsAsKubeOVNs holds the texts that users and tools read.
func TestAllocationIsAsKubeOVNs(t *testing.T) {
	want := map[string]string{
		"ovn.kubernetes.io/allocated": "true", "ovn.kubernetes.io/allocated_uid": "uid-1", "ovn.kubernetes.io/routed": "true",
		"ovn.kubernetes.io/logical_switch": "web", "ovn.kubernetes.io/logical_router": "ovn-cluster",
		"ovn.kubernetes.io/mac_address": "0a:58:0a:10:00:05", "ovn.kubernetes.io/ip_address": "10.16.0.5,fd00:10:16::5",
		"ovn.kubernetes.io/cidr": "10.16.0.0/16,fd00:10:16::/64", "ovn.kubernetes.io/gateway": "10.16.0.1,fd00:10:16::1",
	}
	if have := answer().Annotations(Provider); !maps.Equal(have, want) {
		t.Errorf("annotations %v, want %v", have, want)
	}
	have := slices.Sorted(maps.Keys(answer().Annotations(Provider)))
	if listed := AnswerAnnotations(); !slices.Equal(have, slices.Sorted(slices.Values(listed))) {
		t.Errorf("AnswerAnnotations are %v, and the answer has %v", listed, have)
	}
	attachment := answer().Annotations("net1.default")
	if attachment["net1.default.kubernetes.io/ip_address"] == "" || len(attachment) != len(want) {
		t.Errorf("of an attachment: %v", attachment)
	}
}

func TestAllocationComesBack(t *testing.T) {
	node := answer()
	node.For, node.Router, node.Port = "", "", PortNameOfNode("node1")
	unsure := answer()
	unsure.CIDRs, unsure.Gateways, unsure.Router = nil, nil, ""
	for name, want := range map[string]Allocation{"pod": answer(), "node": node, "unsure": unsure} {
		for _, provider := range []string{Provider, "net1.default"} {
			have, err := DecodeAllocation(want.Annotations(provider), provider)
			if err != nil || have == nil || !reflect.DeepEqual(*have, want) {
				t.Errorf("%s of %s: %+v, %v", name, provider, have, err)
			}
		}
		if have, err := DecodeAllocation(want.Annotations("net1.default"), Provider); have != nil || err != nil {
			t.Errorf("%s: an attachment's answer passes for the pod's: %v, %v", name, have, err)
		}
	}
	if uid := AllocatedFor(answer().Annotations(Provider), Provider); uid != "uid-1" {
		t.Errorf("the answer is for %s", uid)
	}
	if text := fmt.Sprint(answer().Prefixes()); text != "[10.16.0.5/16 fd00:10:16::5/64]" {
		t.Errorf("prefixes %s", text)
	}
	if text := fmt.Sprint(unsure.Prefixes()); text != "[10.16.0.5/32 fd00:10:16::5/128]" {
		t.Errorf("prefixes without CIDRs %s", text)
	}
}

func TestAllocationSaysWhatCannotBeRead(t *testing.T) {
	for annotation, text := range map[string]string{
		AnnotationMACAddress: "0a:58", AnnotationIPAddress: "10.16.0", AnnotationCIDR: "10.16.0.0", AnnotationGateway: "gw",
	} {
		spoilt := answer().Annotations(Provider)
		spoilt[annotation] = text
		if _, err := DecodeAllocation(spoilt, Provider); err == nil || !strings.Contains(err.Error(), annotation) {
			t.Errorf("%s %q: %v", annotation, text, err)
		}
	}
	for _, none := range []map[string]string{nil, {AnnotationAllocatedUID: "uid-1"}, {AnnotationAllocated: "false"}} {
		if have, err := DecodeAllocation(none, Provider); have != nil || err != nil || AllocatedFor(none, Provider) != "" {
			t.Errorf("%v is an answer: %v, %v", none, have, err)
		}
	}
}

func FuzzDecodeAllocation(f *testing.F) {
	f.Add("0a:58:0a:10:00:05", "10.16.0.5,fd00::5", "10.16.0.0/16", "10.16.0.1")
	f.Fuzz(func(t *testing.T, mac, ip, cidr, gateway string) {
		a, err := DecodeAllocation(map[string]string{
			AnnotationAllocated: "true", AnnotationMACAddress: mac, AnnotationIPAddress: ip, AnnotationCIDR: cidr, AnnotationGateway: gateway,
		}, Provider)
		if err != nil {
			return
		}
		again, err := DecodeAllocation(a.Annotations(Provider), Provider)
		if err != nil || !reflect.DeepEqual(a, again) {
			t.Errorf("%+v comes back as %+v, %v", a, again, err)
		}
	})
}

func TestPortNames(t *testing.T) {
	for have, want := range map[string]string{
		PortNameOfPod("shop", "web-0", Provider): "web-0.shop", PortNameOfPod("shop", "web-0", ""): "web-0.shop",
		PortNameOfPod("shop", "web-0", "net1.default"): "web-0.shop.net1.default", PortNameOfNode("n1"): "node-n1",
	} {
		if have != want {
			t.Errorf("%s, want %s", have, want)
		}
	}
}

func TestProviderOfPort(t *testing.T) {
	for _, provider := range []string{"", "net1.default", "net1.default.ovn"} {
		if got, ok := ProviderOfPort(PortNameOfPod("shop", "web-0", provider), "shop", "web-0"); !ok || got != provider {
			t.Errorf("the port for %q is for %q (%t)", provider, got, ok)
		}
	}
	for _, name := range []string{"web-0", "web-0.shop.", "web-0.shopping", "web-1.shop", "web-0.shop." + Provider} {
		if provider, ok := ProviderOfPort(name, "shop", "web-0"); ok {
			t.Errorf("%s is a port for %q", name, provider)
		}
	}
}
