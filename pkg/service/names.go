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

func balancer(key string, p corev1.Protocol) ovs.Sym {
	return ovs.Sym("service/" + key + "/" + protocolText(p))
}

// repeater names the load balancer that lets a client's retransmissions through while it opens a session.
func repeater(key string) ovs.Sym { return ovs.Sym("service/" + key + "/repeats") }

// placedBalancer names the load balancer of the virtual addresses that answer each place in its own way.
func placedBalancer(key string, p corev1.Protocol, family string) ovs.Sym {
	return balancer(key, p) + ovs.Sym("/by-place-"+family)
}

func refuser(key string) ovs.Sym { return ovs.Sym("service/" + key + "/refuse") }

func variables(node string) ovs.Sym { return ovs.Sym("chassis/" + node + "/variables") }

// variable is the template variable that is the virtual address on the chassis of one place, and undefined elsewhere.
// Two addresses or places never share one: what a name cannot hold is written as its code between underscores.
func variable(vip netip.Addr, scope Scope, place string) string {
	var b strings.Builder
	b.WriteString("vip_" + strings.NewReplacer(".", "_", ":", "_").Replace(vip.String()) + "_" + scope.String() + "_")
	for _, c := range []byte(place) {
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "_%x_", c)
	}
	return b.String()
}
