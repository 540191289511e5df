package main

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
)

// TestEditsLeavePodsConnected is the table of edits that do come into force, beside the refused ones of
// TestSpoiltSubnetStaysInForce and those of a pod's own annotations in TestEditedAnnotationsMoveNobody: edits of a Vpc and of the
// Subnet that its pods are in, of their labels, their Namespace, their node and their Service, and deletions of each, seen while
// running and after a restart. Whoever has an address keeps it, with its switch, its router and its policies.
func TestEditsLeavePodsConnected(t *testing.T) {
	t.Parallel()
	type objects struct {
		vpc     *v1.Vpc
		subnet  *v1.Subnet
		node    *corev1.Node
		service *corev1.Service
		first   *corev1.Pod
	}
	ofService := func(change func(*corev1.Service)) func(*world, objects) {
		return func(w *world, o objects) { edit(w, o.service, change) }
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
		"its range shrinks and grows": func(w *world, o objects) {
			ofSubnet(func(s *v1.SubnetSpec) { s.CIDRBlock = "10.30.0.0/29" })(w, o)
			ofSubnet(func(s *v1.SubnetSpec) { s.CIDRBlock = "10.30.0.0/20" })(w, o)
		},
		"another Subnet takes the namespace": func(w *world, _ objects) {
			w.create(newSubnet("rival", "10.31.0.0/24", "shop"))
		},
		"a pod has other labels": func(w *world, o objects) {
			edit(w, o.first, func(p *corev1.Pod) { p.Labels["tier"] = "back" })
		},
		"a pod asks for what is not there": func(w *world, o objects) {
			edit(w, o.first, func(p *corev1.Pod) { p.Annotations[v1.AnnotationSecurityGroups] = "all" })
		},
		"its range is spoilt on a pod": func(w *world, o objects) {
			edit(w, o.first, func(p *corev1.Pod) { p.Annotations[v1.AnnotationCIDR] = "10.99.0.0/16" })
		},
		"the Namespace has other labels": func(w *world, _ objects) {
			edit(w, shop(), func(ns *corev1.Namespace) { ns.Labels = map[string]string{"team": "red"} })
		},
		"the Namespace names another Subnet": func(w *world, _ objects) {
			edit(w, shop(), func(ns *corev1.Namespace) {
				ns.Annotations = map[string]string{v1.AnnotationLogicalSwitch: "ovn-default", v1.AnnotationCIDR: "10.16.0.0/16"}
			})
		},
		"the node has other addresses": func(w *world, o objects) {
			edit(w, o.node, func(n *corev1.Node) { n.Labels = map[string]string{corev1.LabelTopologyZone: "b"} })
			n := now(w, o.node)
			n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.30.0.2"}}
			if err := w.WithWatch.Status().Update(w.t.Context(), n); err != nil {
				w.t.Fatal(err)
			}
		},
		"the node's own answer is spoilt": func(w *world, o objects) {
			edit(w, o.node, func(n *corev1.Node) {
				n.Annotations = map[string]string{v1.AnnotationAllocated: "true", v1.AnnotationIPAddress: "10.30.0.2", v1.AnnotationLogicalSwitch: "web"}
			})
		},
		"the node is deleted":         func(w *world, o objects) { w.remove(o.node) },
		"the Service names the Vpc":   ofService(func(s *corev1.Service) { s.Annotations = map[string]string{v1.AnnotationVpc: "tenant"} }),
		"the Service takes a pod's":   ofService(func(s *corev1.Service) { s.Spec.ExternalIPs = []string{"10.30.0.2"} }),
		"the Service names no Vpc":    ofService(func(s *corev1.Service) { s.Annotations = map[string]string{v1.AnnotationVpc: "nowhere"} }),
		"the Service is deleted":      func(w *world, o objects) { w.remove(o.service) },
		"the IP objects are deleted":  func(w *world, _ objects) { deleteAll(w, &v1.IP{}) },
		"all its policies come again": func(w *world, _ objects) { w.create(newPolicy("before", map[string]string{"app": "web"})) },
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
				service, endpoints := newService()
				o.service, o.node = service, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}
				w.create(o.vpc, o.subnet, o.node, o.service, endpoints)
				w.ready("web")
				first, second := aged("m-0", time.Hour), aged("m-1", time.Minute)
				o.first = first
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

// deleteAll deletes all objects of a kind.
func deleteAll(w *world, kind client.Object) {
	w.t.Helper()
	if err := w.DeleteAllOf(w.t.Context(), kind); err != nil {
		w.t.Fatal(err)
	}
}
