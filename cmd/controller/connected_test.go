package main

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
)

// TestEditsLeavePodsConnected is the table of edits that do come into force, beside the refused ones of
// TestSpoiltSubnetStaysInForce: edits of a Vpc and of the Subnet that its pods are in, and deletions of both, seen while
// running and after a restart. Whoever has an address keeps it, with its switch, its router and its policies.
func TestEditsLeavePodsConnected(t *testing.T) {
	t.Parallel()
	type objects struct {
		vpc    *v1.Vpc
		subnet *v1.Subnet
	}
	ofVpc := func(change func(*v1.VpcSpec)) func(*world, objects) {
		return func(w *world, o objects) { edit(w, o.vpc, func(v *v1.Vpc) { change(&v.Spec) }) }
	}
	ofSubnet := func(change func(*v1.SubnetSpec)) func(*world, objects) {
		return func(w *world, o objects) { edit(w, o.subnet, func(s *v1.Subnet) { change(&s.Spec) }) }
	}
	for name, change := range map[string]func(*world, objects){
		"the Subnet grows":                  ofSubnet(func(s *v1.SubnetSpec) { s.CIDRBlock = "10.30.0.0/16" }),
		"its pods' addresses are excluded":  ofSubnet(func(s *v1.SubnetSpec) { s.ExcludeIps = []string{"10.30.0.1..10.30.0.100"} }),
		"it is bound to another namespace":  ofSubnet(func(s *v1.SubnetSpec) { s.Namespaces = []string{"other"} }),
		"it has other settings":             ofSubnet(func(s *v1.SubnetSpec) { s.NatOutgoing, s.Private, s.Mtu, s.Default = true, true, 1300, true }),
		"it asks for what is not there":     ofSubnet(func(s *v1.SubnetSpec) { s.GatewayType, s.GatewayNode = v1.GatewayCentralized, "n9" }),
		"its default values are taken out":  ofSubnet(func(s *v1.SubnetSpec) { *s = v1.SubnetSpec{CIDRBlock: "10.30.0.9/24", Vpc: "tenant"} }),
		"it is deleted":                     func(w *world, o objects) { w.remove(o.subnet) },
		"the Vpc has no namespaces":         ofVpc(func(v *v1.VpcSpec) { v.Namespaces = nil }),
		"its default Subnet is nowhere":     ofVpc(func(v *v1.VpcSpec) { v.DefaultSubnet = "nowhere" }),
		"it asks for what is not there too": ofVpc(func(v *v1.VpcSpec) { v.EnableExternal, v.StaticRoutes = true, []v1.StaticRoute{{CIDR: "ten"}} }),
		"it is empty":                       ofVpc(func(v *v1.VpcSpec) { *v = v1.VpcSpec{} }),
		"it is deleted too":                 func(w *world, o objects) { w.remove(o.vpc) },
		"both are deleted":                  func(w *world, o objects) { w.remove(o.vpc); w.remove(o.subnet) },
	} {
		for when, away := range map[string]bool{"and restarted": false, "while away": true} {
			t.Run(name+" "+when, func(t *testing.T) {
				w := newWorld(t)
				o := objects{
					vpc: &v1.Vpc{
						ObjectMeta: metav1.ObjectMeta{Name: "tenant", Generation: 1},
						Spec:       v1.VpcSpec{DefaultSubnet: "web", Namespaces: []string{"shop"}},
					},
					subnet: newSubnet("web", "10.30.0.0/24"),
				}
				o.subnet.Spec.Vpc = "tenant"
				w.create(o.vpc, o.subnet)
				w.ready("web")
				first, second := aged("m-0", time.Hour), aged("m-1", time.Minute)
				w.addressed(first, second)
				has := map[*corev1.Pod]string{first: "10.30.0.2", second: "10.30.0.3"}
				if away {
					w.stop()
					change(w, o)
					w.start()
				} else {
					change(w, o)
					w.addressed(newPod("before", v1.AnnotationLogicalSwitch, "ovn-default")) // the edit has been seen meanwhile
					w.restart()
				}
				w.addressed(newPod("after", v1.AnnotationLogicalSwitch, "ovn-default")) // the controller is at work again
				w.connected("tenant", has)
			})
		}
	}
}
