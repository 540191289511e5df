package service

import (
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/woven-cni/woven/pkg/ovs"
)

// Owner.Features: of a Service's rows, and of a node's template variables.
const (
	FeatureName          = "service"
	VariablesFeatureName = "chassis"
)

func loadBalancer(key string, p corev1.Protocol) ovs.Sym {
	return ovs.Sym("service/" + key + "/" + protocolText(p))
}

// retransmitLoadBalancer names the load balancer that lets a client's retransmissions through while OVN learns the session
// (affinity). The part "repeats" of its name, like "refuse" and "by-place" below, is the row's identity in databases.
func retransmitLoadBalancer(key string) ovs.Sym { return ovs.Sym("service/" + key + "/repeats") }

// topologyLoadBalancer names the load balancer of the virtual addresses whose backends depend on the client's node or zone.
func topologyLoadBalancer(key string, p corev1.Protocol, family string) ovs.Sym {
	return loadBalancer(key, p) + ovs.Sym("/by-place-"+family)
}

// rejectLoadBalancer names the load balancer that rejects what no virtual address of the client's node or zone takes.
func rejectLoadBalancer(key string) ovs.Sym { return ovs.Sym("service/" + key + "/refuse") }

func variables(node string) ovs.Sym { return ovs.Sym("chassis/" + node + "/variables") }

// variable is the template variable that has the virtual address as its value on the chassis of one node or zone, and is
// undefined elsewhere. Two addresses, nodes or zones never share a variable: a character that a variable's name cannot have is
// written as its code between underscores.
func variable(vip netip.Addr, scope Scope, topology string) string {
	var b strings.Builder
	b.WriteString("vip_" + strings.NewReplacer(".", "_", ":", "_").Replace(vip.String()) + "_" + scope.String() + "_")
	for _, c := range []byte(topology) {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "_%x_", c)
	}
	return b.String()
}
