package pod

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/port"
)

func TestRequest(t *testing.T) {
	for name, tc := range map[string]struct {
		annotations map[string]string
		addrs, mac  string
		family      ipam.Family
		refused     string
	}{
		"nothing":               {},
		"one address":           {annotations: map[string]string{v1.AnnotationIPAddress: "10.16.0.5"}, addrs: "10.16.0.5"},
		"one of each family":    {annotations: map[string]string{v1.AnnotationIPAddress: "FD00::5, 10.16.0.5"}, addrs: "10.16.0.5,fd00::5"},
		"a MAC in capitals":     {annotations: map[string]string{v1.AnnotationMACAddress: "00-00-00-53-6B-B6"}, mac: "00:00:00:53:6b:b6"},
		"one family":            {annotations: map[string]string{v1.AnnotationIPFamily: "ipv6"}, family: ipam.OnlyV6},
		"a group's MAC":         {annotations: map[string]string{v1.AnnotationMACAddress: "01:00:5e:00:00:01"}, refused: v1.AnnotationMACAddress},
		"text":                  {annotations: map[string]string{v1.AnnotationIPAddress: "ten"}, refused: v1.AnnotationIPAddress},
		"a long address":        {annotations: map[string]string{v1.AnnotationIPAddress: strings.Repeat("1", 200_000)}, refused: "has 200000 bytes"},
		"a long list":           {annotations: map[string]string{v1.AnnotationLogicalSwitch: strings.Repeat("net,", 50_000)}, refused: "has 200000 bytes"},
		"many subnets":          {annotations: map[string]string{v1.AnnotationLogicalSwitch: strings.Repeat("net,", 9)}, refused: "names 9 subnets"},
		"a family that is none": {annotations: map[string]string{v1.AnnotationIPFamily: "IPX"}, refused: v1.AnnotationIPFamily},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseRequest(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-0", Annotations: tc.annotations}})
			if tc.refused != "" {
				if err == nil || !strings.Contains(err.Error(), tc.refused) {
					t.Fatalf("it is refused with %v, which should name %s", err, tc.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Owner != port.First(ovs.Owner{Feature: "pod", Key: "shop/web-0"}) || got.Addrs.String() != tc.addrs || got.MAC.String() != tc.mac || got.Family != tc.family {
				t.Errorf("it asks for %+v", got)
			}
		})
	}
}
