package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
	"github.com/woven-cni/woven/pkg/vpc"
)

// servedIn waits until the tests' Service is answered in one Vpc, and in no other.
func (w *world) servedIn(name string) {
	w.t.Helper()
	reconciletest.Eventually(w.t, "the Service in Vpc "+name, func() string {
		row := strings.TrimSpace(w.nb.Ctl("--bare", "--columns=_uuid", "find", "Load_Balancer", `name="shop/web/tcp"`))
		for _, of := range []string{"ovn-cluster", "tenant"} {
			group := w.nb.Ctl("--if-exists", "--bare", "get", "Load_Balancer_Group", vpc.LoadBalancerGroup(of).UUID(), "load_balancer")
			if has := row != "" && strings.Contains(group, row); has != (of == name) {
				return fmt.Sprintf("Load_Balancer %q, and the group of Vpc %s is %s", row, of, group)
			}
		}
		return ""
	})
}

// TestServiceIsInTheVpcOfItsPods holds that a Service which names no Vpc is reached where its pods are, and that nobody brings it
// into a Vpc by writing endpoints.
func TestServiceIsInTheVpcOfItsPods(t *testing.T) {
	t.Parallel()
	pod := func(name string) *corev1.ObjectReference {
		return &corev1.ObjectReference{Kind: "Pod", Namespace: "shop", Name: name}
	}
	for name, tc := range map[string]struct {
		endpoint discoveryv1.Endpoint
		names    string // by annotation
		want     string
	}{
		"its pod is in one":               {discoveryv1.Endpoint{Addresses: []string{"10.30.0.2"}, TargetRef: pod("inner")}, "", "tenant"},
		"its pod is in the default one":   {discoveryv1.Endpoint{Addresses: []string{"10.16.0.2"}, TargetRef: pod("outer")}, "", "ovn-cluster"},
		"it names another":                {discoveryv1.Endpoint{Addresses: []string{"10.30.0.2"}, TargetRef: pod("inner")}, "ovn-cluster", "ovn-cluster"},
		"an address that its pod has not": {discoveryv1.Endpoint{Addresses: []string{"10.30.0.9"}, TargetRef: pod("inner")}, "", "ovn-cluster"},
		"an address of a pod, unnamed":    {discoveryv1.Endpoint{Addresses: []string{"10.30.0.2"}}, "", "ovn-cluster"},
		"a pod that is not":               {discoveryv1.Endpoint{Addresses: []string{"10.30.0.2"}, TargetRef: pod("nobody")}, "", "ovn-cluster"},
		"a pod of another namespace": {discoveryv1.Endpoint{
			Addresses: []string{"10.30.0.3"}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: "lab", Name: "theirs"},
		}, "", "ovn-cluster"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			inner := newSubnet("inner", "10.30.0.0/24")
			inner.Spec.Vpc = "tenant"
			lab := shop()
			lab.Name = "lab"
			w.create(newTenant(v1.VpcSpec{}), inner, lab)
			w.ready("inner")
			theirs := aged("theirs", time.Hour, v1.AnnotationLogicalSwitch, "inner")
			theirs.Namespace = "lab"
			w.addressed(aged("outer", time.Hour), aged("inner", time.Hour, v1.AnnotationLogicalSwitch, "inner"), theirs)
			service, endpoints := newService()
			endpoints.Endpoints = []discoveryv1.Endpoint{tc.endpoint}
			if tc.names != "" {
				service.Annotations = map[string]string{v1.AnnotationVpc: tc.names}
			}
			w.create(service, endpoints)
			w.servedIn(tc.want)
			w.restart()
			w.addressed(aged("later", 0))
			w.servedIn(tc.want)
		})
	}
}

// TestServiceMovesToTheVpcOfItsPods follows a Service whose pods come later, and one that shares an address with it and is asked
// again when it has moved.
func TestServiceMovesToTheVpcOfItsPods(t *testing.T) {
	w := newWorld(t)
	inner := newSubnet("inner", "10.30.0.0/24")
	inner.Spec.Vpc = "tenant"
	w.create(newTenant(v1.VpcSpec{}), inner)
	w.ready("inner")
	service, endpoints := newService()
	service.Spec.ExternalIPs = []string{"192.0.2.9"}
	service.CreationTimestamp.Time = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	endpoints.Endpoints = nil
	w.create(service, endpoints)
	w.servedIn("ovn-cluster")
	other := service.DeepCopy()
	other.ResourceVersion, other.Name, other.Spec.ClusterIP, other.Spec.ClusterIPs = "", "other", "10.96.0.11", []string{"10.96.0.11"}
	other.CreationTimestamp.Time = other.CreationTimestamp.Add(time.Hour)
	w.create(other)
	w.event("AddressTaken", "shop/other", "192.0.2.9:80/tcp is not answered, since it is Service shop/web's")
	w.addressed(aged("inner", time.Hour, v1.AnnotationLogicalSwitch, "inner"))
	edit(w, endpoints, func(s *discoveryv1.EndpointSlice) {
		s.Endpoints = []discoveryv1.Endpoint{{
			Addresses: []string{"10.30.0.2"}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: "shop", Name: "inner"},
		}}
	})
	w.servedIn("tenant")
	reconciletest.Eventually(t, "the address of the other Service", func() string {
		if got := w.nb.Ctl("--bare", "--columns=vips", "find", "Load_Balancer", `name="shop/other/tcp"`); !strings.Contains(got, "192.0.2.9:80") {
			return got
		}
		return ""
	})
}
