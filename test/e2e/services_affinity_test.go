//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/woven-cni/woven/test/e2e/framework"
)

// stays checks that a client hears the same pod, in some connections.
func stays(t *testing.T, client *corev1.Pod, address, want string) {
	t.Helper()
	for range 15 {
		if got := do[string](t)(cluster.Fetch(t.Context(), client, address)); got != want {
			t.Fatalf("%s: first %s answered, then %s", client.Name, want, got)
		}
	}
}

// A client stays with its pod while others come, and leaves it when it goes. Its first connection comes about, although OVN
// loses the first packet.
func TestServiceKeepsSessions(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	db := cluster.Northbound(t)
	caller, other := framework.Server("caller", framework.On(here)), framework.Server("other", framework.On(there))
	pods := map[string]*corev1.Pod{}
	add := func(name, node string) *corev1.Pod {
		pods[name] = framework.Server(name, framework.On(node), framework.Labelled("app", "web"))
		return pods[name]
	}
	sticky := service("sticky", "web", corev1.ServiceTypeClusterIP)
	sticky.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
	ns.Add(sticky)
	ns.Start(caller, other, add("near", here), add("far", there))
	awaitBalanced(t, db, sticky.Spec.ClusterIP, 80, 2)
	address := url(sticky.Spec.ClusterIP, 80, "/hostname")
	ns.FetchUntil(caller, address, "") // from here on the flows are there
	first := map[*corev1.Pod]string{}
	for _, client := range []*corev1.Pod{caller, other, pods["near"]} {
		first[client] = do[string](t)(cluster.Fetch(t.Context(), client, address))
		stays(t, client, address, first[client])
	}
	ns.Start(add("next", here))
	awaitBalanced(t, db, sticky.Spec.ClusterIP, 80, 3)
	for client, pod := range first {
		stays(t, client, address, pod)
	}
	ns.Stop(pods[first[other]])
	awaitBalanced(t, db, sticky.Spec.ClusterIP, 80, 2)
	stays(t, other, address, do[string](t)(cluster.Fetch(t.Context(), other, address)))
}

// Who has been silent for the time of the affinity may get another answer, from OVN as from kube-proxy.
func TestServiceForgetsSessions(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	db := cluster.Northbound(t)
	caller := framework.Server("caller", framework.On(here))
	near := framework.Server("near", framework.On(here), framework.Labelled("app", "web"))
	far := framework.Server("far", framework.On(there), framework.Labelled("app", "web"))
	sticky := service("sticky", "web", corev1.ServiceTypeNodePort)
	sticky.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
	sticky.Spec.SessionAffinityConfig = &corev1.SessionAffinityConfig{ClientIP: &corev1.ClientIPConfig{TimeoutSeconds: ptr.To[int32](5)}}
	ns.Add(sticky)
	ns.Start(caller, near, far)
	awaitBalanced(t, db, sticky.Spec.ClusterIP, 80, 2)
	node := do[string](t)(cluster.NodeAddress(t.Context(), there))
	for address, port := range map[string]int{sticky.Spec.ClusterIP: 80, node: int(sticky.Spec.Ports[0].NodePort)} {
		t.Run(address, func(t *testing.T) {
			first := ns.For(t).FetchUntil(caller, url(address, port, "/hostname"), "")
			stays(t, caller, url(address, port, "/hostname"), first)
			// Each try waits in the pod until its session is over.
			must(t, framework.Until(within(t, 2*time.Minute, "another answer"), func(ctx context.Context) error {
				got, err := cluster.Exec(ctx, caller, "sh", "-c", "sleep 8; curl -sSgf --max-time 2 "+url(address, port, "/hostname"))
				if err == nil && got == first {
					err = fmt.Errorf("%s answers again", got)
				}
				return err
			}))
		})
	}
}

// A UDP client that opens a session is answered at its second attempt, also from the same port.
func TestUDPClientOpensSession(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	db := cluster.Northbound(t)
	caller := framework.Server("caller", framework.On(here))
	far := framework.Server("far", framework.On(there), framework.Labelled("app", "web"))
	sticky := service("sticky", "web", corev1.ServiceTypeClusterIP)
	sticky.Spec.SessionAffinity = corev1.ServiceAffinityClientIP
	ns.Add(sticky)
	ns.Start(caller, far)
	awaitBalanced(t, db, sticky.Spec.ClusterIP, 81, 1)
	ask := fmt.Sprintf("echo hostname | nc -u -w 1 -p 12345 %s 81", sticky.Spec.ClusterIP)
	must(t, framework.Until(within(t, 30*time.Second, "an answer"), func(ctx context.Context) error {
		out, err := cluster.Exec(ctx, caller, "sh", "-c", ask)
		if err == nil && strings.TrimSpace(out) != "far" {
			err = fmt.Errorf("%q answers", out)
		}
		return err
	}))
}

// Requests and answers of several fragments pass through Services, by sockets that are connected and so hear nobody else.
func TestLargeDatagrams(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	db := cluster.Northbound(t)
	caller := framework.Server("caller", framework.On(here))
	far := framework.Server("far", framework.On(there), framework.Labelled("app", "web"))
	web := service("web", "web", corev1.ServiceTypeNodePort)
	ns.Add(web)
	ns.Start(caller, far)
	awaitBalanced(t, db, web.Spec.ClusterIP, 81, 1)
	node := do[string](t)(cluster.NodeAddress(t.Context(), there))
	text := "n" + strings.Repeat("o", 1999) // the server reads 2,048 bytes
	for address, port := range map[string]int{
		far.Status.PodIP: framework.UDPPort, web.Spec.ClusterIP: 81, node: int(web.Spec.Ports[1].NodePort),
	} {
		must(t, framework.Until(within(t, 30*time.Second, "an answer of "+address), func(ctx context.Context) error {
			got, err := dial(ctx, caller, "udp", address, port, "echo%20"+text)
			if err == nil && (len(got) != 1 || got[0] != text) {
				err = fmt.Errorf("%v answers", got)
			}
			return err
		}))
	}
}
