package main

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// TestAddressOfTwoServices has two Services of one external address and port: the younger one answers when the older one leaves
// the address, or gives it back when the older one comes back to it.
func TestAddressOfTwoServices(t *testing.T) {
	w := newWorld(t)
	made := func(name, ip string) *corev1.Service {
		s, _ := newService()
		s.Name, s.Spec.ClusterIP, s.Spec.ClusterIPs, s.Spec.ExternalIPs = name, ip, []string{ip}, []string{"192.0.2.9"}
		return s
	}
	older, younger := made("a", "10.96.0.10"), made("b", "10.96.0.11")
	w.create(older)
	w.row("Load_Balancer", `"shop/a/tcp"`, "vips", "10.96.0.10:80= 192.0.2.9:80=")
	w.create(younger)
	w.event("AddressTaken", "shop/b", "192.0.2.9:80/tcp is not answered, since it is Service shop/a's")
	w.row("Load_Balancer", `"shop/b/tcp"`, "vips", "10.96.0.11:80=")
	edit(w, older, func(s *corev1.Service) { s.Spec.ExternalIPs = nil })
	w.row("Load_Balancer", `"shop/b/tcp"`, "vips", "10.96.0.11:80= 192.0.2.9:80=")
	edit(w, older, func(s *corev1.Service) { s.Spec.ExternalIPs = []string{"192.0.2.9"} })
	w.row("Load_Balancer", `"shop/b/tcp"`, "vips", "10.96.0.11:80=")
	w.remove(older)
	w.row("Load_Balancer", `"shop/b/tcp"`, "vips", "10.96.0.11:80= 192.0.2.9:80=")
}
