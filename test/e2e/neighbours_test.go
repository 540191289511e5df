//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/test/e2e/framework"
)

// Pods and nodes ask by broadcast and multicast whether the router is still there: what is sent to the router itself, OVN
// floods to all ports of the switch.
func TestNeighbourProbes(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	p := framework.Server("asker", framework.On(here))
	p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{
		Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"NET_ADMIN"}},
	}
	ns.Start(p)
	inPod := func(ctx context.Context, script string) (string, error) {
		return cluster.Exec(ctx, p, "sh", "-c", script)
	}
	onNode := func(ctx context.Context, script string) (string, error) { return cluster.OnNode(ctx, here, script) }
	t.Run("pod", func(t *testing.T) { probes(t, "eth0", p.Annotations[v1.AnnotationGateway], inPod) })
	t.Run("node", func(t *testing.T) { probes(t, "ovn0", nodeGateways(t), onNode) })
}

// nodeGateways are the router's addresses on the join subnet, with commas between.
func nodeGateways(t *testing.T) string {
	t.Helper()
	var node corev1.Node
	must(t, cluster.Get(t.Context(), client.ObjectKey{Name: here}, &node))
	return node.Annotations[v1.AnnotationGateway]
}

// probes checks an interface's settings, and has the kernel ask for each gateway as it does for one that it has not heard
// of for a while.
func probes(t *testing.T, link, gateways string, run func(context.Context, string) (string, error)) {
	t.Helper()
	for gateway := range strings.SplitSeq(gateways, ",") {
		family := "ipv4"
		if strings.Contains(gateway, ":") {
			family = "ipv6"
		}
		t.Run(family, func(t *testing.T) {
			settings := fmt.Sprintf("cd /proc/sys/net/%s/neigh/%s && cat ucast_solicit mcast_resolicit", family, link)
			if got := do[string](t)(run(t.Context(), settings)); got != "0\n3" {
				t.Errorf("ucast_solicit and mcast_resolicit are %q, not 0 and 3", got)
			}
			at := gateway + " dev " + link
			do[string](t)(run(t.Context(), "ping -c1 -W5 "+gateway))
			do[string](t)(run(t.Context(), "ip neigh change "+at+" nud probe"))
			must(t, framework.Until(within(t, 20*time.Second, "probing "+at), func(ctx context.Context) error {
				state, err := run(ctx, "ip neigh show "+at)
				if err == nil && !strings.Contains(state, "REACHABLE") {
					err = fmt.Errorf("the neighbour is %q", state)
				}
				return err
			}))
		})
	}
}
