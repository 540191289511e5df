//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/woven-cni/woven/test/e2e/framework"
)

// sees checks that a server sees its caller as a certain address.
func sees(t *testing.T, caller *corev1.Pod, address string, port int, want string) {
	t.Helper()
	if got := host(t, do[string](t)(cluster.Fetch(t.Context(), caller, url(address, port, "/clientip")))); got != want {
		t.Errorf("at %s:%d the server sees %s as %s, not as %s", address, port, caller.Name, got, want)
	}
}

// Addresses that a Service has for the outside serve pods without a way round by the nodes: the server sees the pod.
func TestServiceForTheOutside(t *testing.T) {
	const external, ingress, proxied = "203.0.113.70", "203.0.113.71", "203.0.113.72"
	ns := cluster.Namespace(t, nil)
	db := cluster.Northbound(t)
	caller := framework.Server("caller", framework.On(here))
	far := framework.Server("far", framework.On(there), framework.Labelled("app", "web"))
	web := service("web", "web", corev1.ServiceTypeLoadBalancer)
	web.Spec.ExternalIPs = []string{external}
	web.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	ns.Add(web)
	web.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{
		{IP: ingress}, {IP: proxied, IPMode: ptr.To(corev1.LoadBalancerIPModeProxy)},
	}
	must(t, cluster.Status().Update(t.Context(), web))
	ns.Start(caller, far)
	for _, address := range []string{web.Spec.ClusterIP, external, ingress} {
		awaitBalanced(t, db, address, 80, 1)
		ns.FetchUntil(caller, url(address, 80, "/hostname"), "far")
		sees(t, caller, address, 80, caller.Status.PodIP)
	}
	unserved(t, caller, url(proxied, 80, "/hostname")) // the proxy's, which is not here
}

// At a port of a node with the policy Local are the pods of that node, and they see who calls.
func TestNodePortOfTheLocalPolicy(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	db := cluster.Northbound(t)
	caller, beside := framework.Server("caller", framework.On(here)), framework.Server("beside", framework.On(there))
	far := framework.Server("far", framework.On(there), framework.Labelled("app", "web"))
	fromHost := framework.Server("from-host", framework.On(here), framework.OnHostNetwork(), framework.Listening("18080", "18081"))
	web := service("web", "web", corev1.ServiceTypeNodePort)
	web.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	ns.Add(web)
	ns.Start(caller, beside, far, fromHost)
	port := int(web.Spec.Ports[0].NodePort)
	with, without := do[string](t)(cluster.NodeAddress(t.Context(), there)), do[string](t)(cluster.NodeAddress(t.Context(), here))
	awaitBalanced(t, db, with, port, 1)
	for _, from := range []*corev1.Pod{caller, beside, fromHost} {
		t.Run(from.Name, func(t *testing.T) {
			ns.For(t).FetchUntil(from, url(with, port, "/hostname"), "far")
			sees(t, from, with, port, from.Status.PodIP)
		})
	}
	for _, from := range []*corev1.Pod{caller, beside} {
		unserved(t, from, url(without, port, "/hostname"))
	}
	fetchFromHere(t, url(with, port, "/hostname"), "far")
	fetchFromHere(t, url(with, port, "/clientip"), localAddress(t, with))
	for node, address := range map[string]string{here: without, there: with} { // kube-proxy lets nodes call their own port
		fetchFromNode(t, node, url(address, port, "/clientip"), address)
	}
	// A port by which pods know calls of that other kind.
	fetchFromNode(t, here, url(with, port, "/clientip")+" --local-port 65000-65500", without)
}

// A UDP client that goes on from the same port is not kept with a pod that is gone.
func TestUDPClientLeavesPodThatIsGone(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	db := cluster.Northbound(t)
	caller := framework.Server("caller", framework.On(here))
	old := framework.Server("old", framework.On(there), framework.Labelled("app", "web"))
	web := service("web", "web", corev1.ServiceTypeNodePort)
	ns.Add(web)
	ns.Start(caller, old)
	awaitBalanced(t, db, web.Spec.ClusterIP, 81, 1)
	node := do[string](t)(cluster.NodeAddress(t.Context(), there))
	doors := map[string]int{web.Spec.ClusterIP: 81, node: int(web.Spec.Ports[1].NodePort)}
	ask := func(ctx context.Context, address, want string) error {
		out, err := cluster.Exec(ctx, caller, "sh", "-c",
			fmt.Sprintf("echo hostname | nc -u -w 1 -p 12345 %s %d", address, doors[address]))
		if err == nil && strings.TrimSpace(out) != want {
			err = fmt.Errorf("%q answers, not %s", out, want)
		}
		return err
	}
	for address := range doors {
		must(t, framework.Until(within(t, 30*time.Second, "an answer"), func(ctx context.Context) error { return ask(ctx, address, "old") }))
	}
	next := framework.Server("next", framework.On(here), framework.Labelled("app", "web"))
	ns.Start(next)
	ns.Stop(old)
	awaitBalanced(t, db, web.Spec.ClusterIP, 81, 1)
	for address := range doors {
		must(t, framework.Until(within(t, 20*time.Second, "the next pod's answer at "+address), func(ctx context.Context) error {
			return ask(ctx, address, "next")
		}))
	}
}

func TestServiceOfPodsThatAreNotReady(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	db := cluster.Northbound(t)
	caller := framework.Server("caller", framework.On(here))
	unready := framework.Server("unready", framework.On(there), framework.Labelled("app", "web"))
	unready.Spec.Containers[0].ReadinessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{
		Exec: &corev1.ExecAction{Command: []string{"false"}},
	}}
	all, ready := service("all", "web", corev1.ServiceTypeClusterIP), service("ready", "web", corev1.ServiceTypeClusterIP)
	all.Spec.PublishNotReadyAddresses = true
	ns.Add(all, ready, unready)
	ns.Start(caller)
	awaitBalanced(t, db, all.Spec.ClusterIP, 80, 1)
	awaitBalanced(t, db, ready.Spec.ClusterIP, 80, 0)
	ns.FetchUntil(caller, url(all.Spec.ClusterIP, 80, "/hostname"), "unready")
	hears(t, caller, ready)
}

// Service addresses of a range that came later are addresses like others.
func TestServiceCIDR(t *testing.T) {
	const address = "10.97.113.7"
	ns := cluster.Namespace(t, nil)
	db := cluster.Northbound(t)
	ns.Add(&networkingv1.ServiceCIDR{
		ObjectMeta: metav1.ObjectMeta{Name: ns.Name}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.97.113.0/24"}},
	})
	web := service("web", "web", corev1.ServiceTypeClusterIP)
	web.Spec.ClusterIP = address
	web.Namespace = ns.Name
	must(t, framework.Until(within(t, 30*time.Second, "taking "+address), func(ctx context.Context) error {
		return cluster.Create(ctx, web)
	}))
	far, caller := framework.Server("far", framework.On(there), framework.Labelled("app", "web")), framework.Server("caller", framework.On(here))
	ns.Start(far, caller)
	awaitBalanced(t, db, address, 80, 1)
	ns.FetchUntil(caller, url(address, 80, "/hostname"), "far")
	fetchFromNode(t, here, url(address, 80, "/hostname"), "far")
	must(t, cluster.Delete(t.Context(), web))
}

func TestServiceOnTheHostNetwork(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	db := cluster.Northbound(t)
	caller, beside := framework.Server("caller", framework.On(here)), framework.Server("beside", framework.On(there))
	far := framework.Server("far", framework.On(there), framework.Labelled("app", "web"), framework.OnHostNetwork(),
		framework.Listening("18080", "18081"))
	web := service("web", "web", corev1.ServiceTypeClusterIP)
	web.Spec.Ports = web.Spec.Ports[:1]
	web.Spec.Ports[0].TargetPort.IntVal = 18080
	ns.Add(web)
	ns.Start(caller, beside, far)
	awaitBalanced(t, db, web.Spec.ClusterIP, 80, 1)
	for _, from := range []*corev1.Pod{caller, beside} {
		ns.FetchUntil(from, url(web.Spec.ClusterIP, 80, "/hostname"), there)
	}
	fetchFromNode(t, here, url(web.Spec.ClusterIP, 80, "/hostname"), there)
}

// One port of a node may be many pods', when the address or the protocol differs.
func TestHostPortsOfOneNumber(t *testing.T) {
	const port = 18091
	ns := cluster.Namespace(t, nil)
	address := do[string](t)(cluster.NodeAddress(t.Context(), there))
	published := func(name, hostIP string, p corev1.Protocol, number int32) *corev1.Pod {
		pod := framework.Server(name, framework.On(there))
		pod.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: number, HostPort: port, HostIP: hostIP, Protocol: p}}
		return pod
	}
	caller := framework.Server("caller", framework.On(here))
	ns.Start(caller, published("loopback", "127.0.0.1", corev1.ProtocolTCP, framework.HTTPPort),
		published("tcp", address, corev1.ProtocolTCP, framework.HTTPPort), published("udp", address, corev1.ProtocolUDP, framework.UDPPort))
	ns.FetchUntil(caller, url(address, port, "/hostname"), "tcp")
	hearsByUDP(t, caller, address, port, "udp")
	fetchFromNode(t, there, url(address, port, "/hostname"), "tcp")
	fetchFromNode(t, here, url(address, port, "/hostname"), "tcp")
	fetchFromNode(t, there, url("127.0.0.1", port, "/hostname")+" --interface "+address, "loopback")

	elsewhere := cluster.Namespace(t, nil)
	other := subnet(elsewhere, "10.200.40.0/24")
	elsewhere.Add(other)
	awaitCondition(t, other, ready)
	stranger := framework.Server("stranger", framework.On(here))
	elsewhere.Start(stranger)
	elsewhere.FetchUntil(stranger, url(address, port, "/hostname"), "tcp")
}
