package main

import (
	"testing"
	"time"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
)

// TestExcludedAddressIsReserved holds that a pod gets an excluded address by an IP object and not by asking, that nobody else does
// by asking for it, and that a pod keeps the address that it has when it is excluded later, also without the database.
func TestExcludedAddressIsReserved(t *testing.T) {
	w := newWorld(t)
	subnet := newSubnet("web", "10.30.0.0/24", "shop")
	subnet.Spec.ExcludeIps = []string{"10.30.0.9..10.30.0.12"}
	w.create(subnet)
	w.ready("web")
	asks, reserved := aged("asks", time.Hour, v1.AnnotationIPAddress, "10.30.0.9"), aged("web-0", time.Hour)
	w.create(asks)
	w.event("AcquireAddressFailed", "shop/asks", "10.30.0.9 cannot be given: it is excluded (excludeIps), and an IP object has to reserve it")
	w.create(newIP("web-0", "web", "10.30.0.10"), newIP("asks", "web", "10.30.0.9"))
	w.told(asks, "10.30.0.9")
	w.addressed(reserved)
	w.told(reserved, "10.30.0.10")
	late := aged("late", time.Hour, v1.AnnotationIPAddress, "10.30.0.12")
	w.create(late)
	w.event("AcquireAddressFailed", "shop/late", "10.30.0.12 cannot be given: it is excluded")
	edit(w, subnet, func(s *v1.Subnet) { s.Spec.ExcludeIps = []string{"10.30.0.9..10.30.0.11"} })
	w.told(late, "10.30.0.12")
	w.recorded("late", "10.30.0.12")
	edit(w, subnet, func(s *v1.Subnet) { s.Spec.ExcludeIps = []string{"10.30.0.2..10.30.0.200"} })
	w.ready("web")
	w.stop()
	w.nb.Kill()
	w.nb.Empty()
	w.nb.Restart()
	w.start()
	w.told(late, "10.30.0.12")
	w.row("Logical_Switch_Port", "late.shop", "addresses", "0a:58:0a:1e:00:0c 10.30.0.12")
}
