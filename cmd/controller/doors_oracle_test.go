//go:build oracle

package main

import (
	"strings"
	"testing"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ovs/ovstest"
)

// Pods reach nodes, but for the ends of tunnels, the databases, and the nodes' addresses on the join subnet.
func TestOracleDoors(t *testing.T) {
	o := newOracle(t)
	o.create(newSubnet("other", "10.30.0.0/24"))
	o.ready("other")
	pod, far := o.pod(newPod("a")), o.pod(newPod("far", v1.AnnotationLogicalSwitch, "other"))
	const node, join, outside = "192.0.2.1", "100.64.0.2", "203.0.113.7"
	const toTunnel, beside = "udp && udp.src == 40000 && udp.dst == 6081", "udp && udp.src == 40000 && udp.dst == 6082"
	begins := func(port string) string { return "tcp && tcp.src == 40000 && tcp.flags == 2 && tcp.dst == " + port }

	for _, port := range []string{"6641", "6642", "6643", "6644"} {
		o.dropped(pod, o.packet(pod, node, begins(port)))
		o.reaches(pod, o.packet(pod, outside, begins(port)), "node-n1")
		o.reaches(pod, o.packet(pod, far.Annotations[v1.AnnotationIPAddress], begins(port)), "far.shop")
	}
	for _, port := range []string{"6640", "6645", "10250"} {
		o.reaches(pod, o.packet(pod, node, begins(port)), "node-n1")
	}
	for _, to := range []string{node, outside} {
		o.dropped(pod, o.packet(pod, to, toTunnel))
		o.reaches(pod, o.packet(pod, to, beside), "node-n1")
	}
	o.reaches(pod, o.packet(pod, far.Annotations[v1.AnnotationIPAddress], toTunnel), "far.shop")

	for _, what := range []string{begins("10250"), beside, ping} {
		o.dropped(pod, o.packet(pod, join, what))
		reply := ovstest.Run(t, "ovn-trace", "--db="+o.northd.SB.Endpoint(), "--no-leader-only", "--minimal", "--ct=est,rpl",
			pod.Annotations[v1.AnnotationLogicalSwitch], o.packet(pod, join, what))
		if !strings.Contains(reply, `output("node-n1")`) {
			t.Errorf("%s does not come back to the node that called:\n%s", what, reply)
		}
	}
	// Conntrack may have forgotten the call that this answers.
	o.reaches(pod, o.packet(pod, join, "tcp && tcp.src == 8080 && tcp.dst == 40000 && tcp.flags == 0x10"), "node-n1")
}
