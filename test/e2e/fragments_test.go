//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/test/e2e/framework"
)

// Rules without ports let datagrams of any size in. Rules with a UDP port do so where the kernel's datapath puts fragments together;
// the userspace datapath shows them no port, and they stay out (docs/adr/0022).
func TestFragmentsAndPorts(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	server, caller := framework.Server("server", framework.On(there)), framework.Server("caller", framework.On(here))
	ns.Start(server, caller)
	kernel := func(node string) bool {
		var n corev1.Node
		must(t, cluster.Get(t.Context(), client.ObjectKey{Name: node}, &n))
		return n.Labels[v1.LabelOVSDatapathType] == v1.DatapathKernel
	}
	udp := networkingv1.NetworkPolicyPort{Protocol: ptr.To(corev1.ProtocolUDP), Port: ptr.To(intstr.FromInt32(framework.UDPPort))}
	in := ingressTo("server", letIn(podPeer("app", "caller")))
	out := egressFrom("caller", networkingv1.NetworkPolicyEgressRule{To: []networkingv1.NetworkPolicyPeer{podPeer("app", "server")}})
	addPolicy(t, ns, in)
	addPolicy(t, ns, out)
	passes := func(size int, want bool) {
		t.Helper()
		text := strings.Repeat("o", size)
		ask := func(ctx context.Context) error {
			got, err := dial(ctx, caller, "udp", server.Status.PodIP, framework.UDPPort, "echo%20"+text)
			if err == nil && !slices.Equal(got, []string{text}) {
				err = fmt.Errorf("%v answers", got)
			}
			return err
		}
		if want {
			must(t, framework.Until(within(t, 30*time.Second, fmt.Sprintf("an answer of %d bytes", size)), ask))
			return
		}
		if err := ask(within(t, time.Minute, "no answer")); err == nil {
			t.Errorf("%d bytes pass a rule with a port", size)
		}
	}
	const small, large = 100, 2000
	passes(small, true)
	passes(large, true)
	editPolicy(t, in, func(spec *networkingv1.NetworkPolicySpec) {
		spec.Ingress[0].Ports = []networkingv1.NetworkPolicyPort{udp}
	})
	passes(small, true)
	passes(large, kernel(there))
	editPolicy(t, in, func(spec *networkingv1.NetworkPolicySpec) { spec.Ingress[0].Ports = nil })
	editPolicy(t, out, func(spec *networkingv1.NetworkPolicySpec) {
		spec.Egress[0].Ports = []networkingv1.NetworkPolicyPort{udp}
	})
	passes(small, true)
	passes(large, kernel(here))
}
