package main

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
)

// TestNodeConcernsItsReaders counts what the news of a node cost beside many nodes, Subnets and policies: those look again
// that have read addresses of nodes, and nobody reads or parses the others.
func TestNodeConcernsItsReaders(t *testing.T) {
	const nodes, subnets, policies, news = 200, 60, 100, 5
	w := loneWorld(t)
	last := newNode("last", "198.51.100.1")
	for i := range nodes - 1 {
		w.create(newNode(fmt.Sprintf("n%d", i), fmt.Sprintf("192.0.2.%d", i+1)))
	}
	w.create(last)
	for i := range subnets {
		w.create(newSubnet(fmt.Sprintf("s%d", i), fmt.Sprintf("10.%d.%d.0/24", 30+i/256, i%256)))
	}
	for i := range policies {
		p := newPolicy(fmt.Sprintf("p%d", i), map[string]string{"app": "db"})
		p.Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{From: from("web")}}
		if i == 0 {
			p.Spec.Ingress[0].From = []networkingv1.NetworkPolicyPeer{{IPBlock: &networkingv1.IPBlock{CIDR: "198.51.100.0/24"}}}
		}
		w.create(p)
	}
	w.allReady(subnets + 2)
	for i := range policies {
		w.inForce(newPolicy(fmt.Sprintf("p%d", i), nil))
	}
	w.leadsTo("198.51.100.1", "last")

	controllers := map[string]float64{"networkpolicy": 2, "subnet": 0, "namespace": 0, "pod": 0, "service": 0, "chassis": 0, "vpc": 0, "node": 4}
	looks := map[string]float64{}
	for name := range controllers {
		looks[name] = w.looks(name)
	}
	kinds := map[string]client.Object{"policies": &networkingv1.NetworkPolicy{}, "Subnets": &v1.Subnet{}, "nodes": &corev1.Node{}}
	reads := map[string]int{}
	for name, kind := range kinds {
		reads[name] = w.Reads(kind)
	}
	for i := range news {
		address := fmt.Sprintf("198.51.100.%d", 2+i)
		w.known(last, address)
		w.leadsTo(address, "last")
	}
	for name, most := range controllers {
		// A Vpc looks at its Subnets a moment after they have come: one look may be late.
		if n := w.looks(name) - looks[name]; n > news*most+1 {
			t.Errorf("controller %s has looked %v times at %d news, and not %v", name, n, news, news*most)
		}
	}
	for name, kind := range kinds {
		t.Logf("%d %s were read", w.Reads(kind)-reads[name], name)
	}
	if n := w.Reads(kinds["policies"]) - reads["policies"]; n > 4*news {
		t.Errorf("%d policies were read for %d news, of which one speaks of nodes", n, news)
	}
}
