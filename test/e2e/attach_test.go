//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/test/e2e/framework"
)

// url is the address of something that a pod's server serves.
func url(host string, port int, path string) string {
	return "http://" + net.JoinHostPort(host, strconv.Itoa(port)) + path
}

// served is the address of something that a Server serves.
func served(p *corev1.Pod, path string) string { return url(p.Status.PodIP, framework.HTTPPort, path) }

// trio starts a caller, a pod beside it and one on another node.
func trio(ns *framework.Namespace) (caller, near, far *corev1.Pod) {
	caller = framework.Server("caller", framework.On(here))
	near = framework.Server("near", framework.On(here))
	far = framework.Server("far", framework.On(there))
	ns.Start(caller, near, far)
	return caller, near, far
}

// echoes starts a trio of which two answer streams of the caller.
func echoes(ns *framework.Namespace) (caller, near, far *corev1.Pod) {
	caller, near, far = trio(ns)
	ns.Equip(caller)
	ns.Echo(near)
	ns.Echo(far)
	return caller, near, far
}

// host is the address without the port, as /clientip answers both.
func host(t *testing.T, address string) string {
	t.Helper()
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		t.Fatalf("reading the caller's address: %v", err)
	}
	return ap.Addr().Unmap().String()
}

func TestPodsReachEachOther(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	caller, near, far := trio(ns)
	for _, server := range []*corev1.Pod{near, far, caller} {
		t.Run(server.Name, func(t *testing.T) {
			ns := ns.For(t)
			ns.FetchUntil(caller, served(server, "/hostname"), server.Name)
			// Nothing between pods may change the source.
			if got := host(t, ns.FetchUntil(caller, served(server, "/clientip"), "")); got != caller.Status.PodIP {
				t.Errorf("%s sees the caller as %s, not as %s", server.Name, got, caller.Status.PodIP)
			}
		})
	}
}

func TestPodsAndNodesReachEachOther(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	caller := framework.Server("caller", framework.On(here))
	pods := []*corev1.Pod{caller}
	for _, node := range cluster.Nodes {
		pods = append(pods, framework.Server("on-"+node, framework.On(node), framework.OnHostNetwork(),
			framework.Listening("18080", "18081")))
	}
	ns.Start(pods...)
	for _, node := range cluster.Nodes {
		t.Run("pod to "+node, func(t *testing.T) {
			address := do[string](t)(cluster.NodeAddress(t.Context(), node))
			ns.For(t).FetchUntil(caller, url(address, 18080, "/hostname"), node)
		})
		t.Run(node+" to pod", func(t *testing.T) {
			fetchFromNode(t, node, served(caller, "/hostname"), "caller")
		})
	}
}

// fetchFromNode gets a URL from a node's own network until it is served as want says.
func fetchFromNode(t *testing.T, node, url, want string) {
	t.Helper()
	must(t, framework.Until(within(t, time.Minute, "serving "+url+" to "+node), func(ctx context.Context) error {
		limit := cluster.Patience(5 * time.Second).Seconds()
		got, err := cluster.OnNode(ctx, node, fmt.Sprintf("curl -sSgf --max-time %.0f %s", limit, url))
		if err == nil && !strings.Contains(got, want) {
			err = fmt.Errorf("%s serves %q, not %q", url, got, want)
		}
		return err
	}))
}

func TestPodReachesOutsideAsItsNode(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	var callers []*corev1.Pod
	for _, node := range cluster.Nodes {
		callers = append(callers, framework.Server("on-"+node, framework.On(node)))
	}
	ns.Start(callers...)
	seenAsNodes(t, ns, callers...)
}

// seenAsNodes checks that pods are seen outside under their nodes' addresses. The test itself is outside: it listens on
// this machine, which has no route to pods.
func seenAsNodes(t *testing.T, ns *framework.Namespace, callers ...*corev1.Pod) {
	t.Helper()
	address := do[string](t)(cluster.NodeAddress(t.Context(), here))
	outside := localAddress(t, address)
	listener := do[net.Listener](t)(net.Listen("tcp", net.JoinHostPort(outside, "0")))
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.RemoteAddr)
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Close() })
	for _, p := range callers {
		node := p.Spec.NodeName
		t.Run(node, func(t *testing.T) {
			seen := host(t, ns.For(t).FetchUntil(p, "http://"+listener.Addr().String(), ""))
			if want := do[string](t)(cluster.NodeAddress(t.Context(), node)); seen != want {
				t.Errorf("outside sees the pod as %s, not as its node %s", seen, want)
			}
		})
	}
}

// localAddress is this machine's address on the way to another.
func localAddress(t *testing.T, to string) string {
	t.Helper()
	conn, err := net.Dial("udp", net.JoinHostPort(to, "9"))
	must(t, err)
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).IP.String()
}

func TestHostPort(t *testing.T) {
	const port = 18090
	ns := cluster.Namespace(t, nil)
	server := framework.Server("server", framework.On(there), framework.HostPort(port))
	caller := framework.Server("caller", framework.On(here))
	ns.Start(server, caller)
	address := do[string](t)(cluster.NodeAddress(t.Context(), there))
	t.Run("from a pod", func(t *testing.T) {
		ns := ns.For(t)
		ns.FetchUntil(caller, url(address, port, "/hostname"), "server")
	})
	t.Run("from outside", func(t *testing.T) {
		fetchFromHere(t, url(address, port, "/hostname"), "server")
	})
	t.Run("and no more when the pod is gone", func(t *testing.T) {
		ns := ns.For(t)
		ns.Stop(server)
		unserved(t, caller, url(address, port, "/hostname"))
	})
}

// fetchFromHere gets a URL from this machine until it is served as want says.
func fetchFromHere(t *testing.T, url, want string) {
	t.Helper()
	web := &http.Client{Timeout: cluster.Patience(5 * time.Second), Transport: &http.Transport{DisableKeepAlives: true}}
	err := framework.Until(within(t, time.Minute, "being served "+url), func(ctx context.Context) error {
		return fetchOnce(ctx, web, url, want)
	})
	must(t, err)
}

// A packet as large as the interface's MTU passes between nodes in one piece, and the MTU is all that the tunnel leaves.
func TestMTU(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	caller, near, far := trio(ns)
	mtu := do[int](t)(strconv.Atoi(ns.Run(caller, "cat", "/sys/class/net/eth0/mtu")))
	if want := tunnelMTU(t, here) - geneveOverhead; mtu != want {
		t.Errorf("the pod's MTU is %d, and the tunnel has room for %d", mtu, want)
	}
	ns.Equip(caller)
	for _, server := range []*corev1.Pod{near, far} {
		ns.Echo(server)
		must(t, ns.SendSized(within(t, time.Minute, "a full packet to "+server.Name), caller, server, mtu))
		if err := ns.SendSized(t.Context(), caller, server, mtu+1); err == nil || !strings.Contains(err.Error(), "message too long") {
			t.Errorf("a packet of %d bytes to %s: got %v, want it refused as too long", mtu+1, server.Name, err)
		}
	}
}

// geneveOverhead is the outer IPv4 and UDP headers (28), Geneve with OVN's option (16) and the inner Ethernet header (14).
const geneveOverhead = 58

// tunnelMTU is the MTU of the interface that carries a node's tunnels.
func tunnelMTU(t *testing.T, node string) int {
	t.Helper()
	var n corev1.Node
	must(t, cluster.Get(t.Context(), client.ObjectKey{Name: node}, &n))
	find := "echo " + n.Annotations[v1.AnnotationTunnelInterface]
	if n.Annotations[v1.AnnotationTunnelInterface] == "" {
		address := do[string](t)(cluster.NodeAddress(t.Context(), node))
		find = "ip -o addr show to " + address + " | awk '{print $2}'"
	}
	out := do[string](t)(cluster.OnNode(t.Context(), node, "cat /sys/class/net/$("+find+")/mtu"))
	return do[int](t)(strconv.Atoi(out))
}

func TestLargeTransferArrivesWhole(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	caller := framework.Server("caller", framework.On(here))
	far := framework.Server("far", framework.On(there))
	ns.Start(caller, far)
	ns.FetchUntil(caller, served(far, "/hostname"), "far")
	sent := ns.Run(caller, "sh", "-c", "head -c 64000000 /dev/urandom > /tmp/big && sha256sum < /tmp/big")
	began := time.Now()
	limit := fmt.Sprintf("%.0f", cluster.Patience(time.Minute).Seconds())
	ns.Run(caller, "curl", "-sSgf", "--max-time", limit, "-F", "file=@/tmp/big", served(far, "/upload"))
	t.Logf("64 MB from %s to %s in %s", here, there, time.Since(began).Round(time.Millisecond))
	if received := ns.Run(far, "sh", "-c", "cat /uploads/upload* | sha256sum"); received != sent {
		t.Errorf("sent %s, received %s", sent, received)
	}
}
