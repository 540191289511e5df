//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/test/e2e/framework"
)

// service has port 80 for the HTTP and port 81 for the UDP of Servers labelled app=app.
func service(name, app string, kind corev1.ServiceType) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{
			Type:     kind,
			Selector: map[string]string{"app": app},
			Ports: []corev1.ServicePort{
				{Name: "http", Port: 80, TargetPort: intstr.FromInt32(framework.HTTPPort)},
				{Name: "udp", Port: 81, TargetPort: intstr.FromInt32(framework.UDPPort), Protocol: corev1.ProtocolUDP},
			},
		},
	}
}

// awaitBalanced waits until OVN's load balancer of a Service's port has as many backends on all nodes.
func awaitBalanced(t *testing.T, db *framework.Northbound, address string, port, backends int) {
	t.Helper()
	vip := net.JoinHostPort(address, strconv.Itoa(port))
	ctx := within(t, time.Minute, "balancing "+vip)
	must(t, db.Await(ctx, func() bool {
		rows, err := framework.Rows(db, func(lb *nb.LoadBalancer) bool {
			list, ok := lb.Vips[vip]
			return ok && len(strings.FieldsFunc(list, func(r rune) bool { return r == ',' })) == backends
		})
		return err == nil && len(rows) == 1
	}))
	must(t, cluster.Synced(ctx))
}

// dial has a pod's server talk to somebody, and returns what it heard.
func dial(ctx context.Context, from *corev1.Pod, protocol, host string, port int, request string) ([]string, error) {
	out, err := cluster.Fetch(ctx, from, url("localhost", framework.HTTPPort,
		fmt.Sprintf("/dial?host=%s&port=%d&protocol=%s&request=%s&tries=1", host, port, protocol, request)))
	if err != nil {
		return nil, err
	}
	var answer struct{ Responses, Errors []string }
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		return nil, fmt.Errorf("reading %q: %w", out, err)
	}
	if len(answer.Errors) > 0 {
		return nil, fmt.Errorf("dialling %s %s:%d: %v", protocol, host, port, answer.Errors)
	}
	return answer.Responses, nil
}

// hearsByUDP checks who answers a pod by UDP. A datagram may be lost, and nobody else may answer.
func hearsByUDP(t *testing.T, caller *corev1.Pod, host string, port int, want string) {
	t.Helper()
	var got []string
	must(t, framework.Until(within(t, 30*time.Second, "an answer by UDP"), func(ctx context.Context) (err error) {
		got, err = dial(ctx, caller, "udp", host, port, "hostname")
		return err
	}))
	if !slices.Equal(got, []string{want}) {
		t.Errorf("by UDP %v answers %s at %s, not %s", got, caller.Name, host, want)
	}
}

func fetchOnce(ctx context.Context, web *http.Client, url, want string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := web.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && !strings.Contains(string(body), want) {
		err = fmt.Errorf("%s serves %q, not %q", url, body, want)
	}
	return err
}

// A Service serves pods as soon as OVN has it: the first attempt counts.
func TestService(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	db := cluster.Northbound(t)
	caller := framework.Server("caller", framework.On(here))
	near := framework.Server("near", framework.On(here), framework.Labelled("app", "web"))
	far := framework.Server("far", framework.On(there), framework.Labelled("app", "web"))
	web := service("web", "web", corev1.ServiceTypeNodePort)
	ns.Add(web)
	ns.Start(caller, near, far)
	awaitBalanced(t, db, web.Spec.ClusterIP, 80, 2)
	awaitBalanced(t, db, web.Spec.ClusterIP, 81, 2)

	t.Run("spreads TCP over its pods", func(t *testing.T) { spread(t, caller, "http", web.Spec.ClusterIP, 80) })
	t.Run("spreads UDP over its pods", func(t *testing.T) { spread(t, caller, "udp", web.Spec.ClusterIP, 81) })
	t.Run("serves its own pods", func(t *testing.T) { spread(t, near, "http", web.Spec.ClusterIP, 80) })
	t.Run("has a name", func(t *testing.T) {
		ns.For(t).FetchUntil(caller, "http://web."+ns.Name+".svc.cluster.local/hostname", "")
	})
	t.Run("serves nodes", func(t *testing.T) {
		for _, node := range cluster.Nodes {
			fetchFromNode(t, node, url(web.Spec.ClusterIP, 80, "/hostname"), "")
		}
	})
	t.Run("has a port on every node", func(t *testing.T) {
		ns := ns.For(t)
		port := int(web.Spec.Ports[0].NodePort)
		for _, node := range cluster.Nodes {
			address := do[string](t)(cluster.NodeAddress(t.Context(), node))
			fetchFromHere(t, url(address, port, "/hostname"), "")
			ns.FetchUntil(caller, url(address, port, "/hostname"), "")
		}
	})
	t.Run("forgets a pod that is gone", func(t *testing.T) {
		ns := ns.For(t)
		ns.Stop(near)
		awaitBalanced(t, db, web.Spec.ClusterIP, 80, 1)
		for range 10 {
			if got := do[[]string](t)(dial(t.Context(), caller, "http", web.Spec.ClusterIP, 80, "hostname")); !slices.Equal(got, []string{"far"}) {
				t.Fatalf("got an answer of %v", got)
			}
		}
	})
}

// spread checks that connections go to both pods of a Service. That all of 30 go to one is less likely than 1 in 10⁸.
func spread(t *testing.T, caller *corev1.Pod, protocol, vip string, port int) {
	t.Helper()
	heard := map[string]int{}
	for range 30 {
		for _, name := range do[[]string](t)(dial(t.Context(), caller, protocol, vip, port, "hostname")) {
			heard[name]++
		}
		if len(heard) == 2 {
			return
		}
	}
	t.Errorf("30 connections went to %v", heard)
}

func TestServiceWithoutPodsRefuses(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	db := cluster.Northbound(t)
	caller := framework.Server("caller", framework.On(here))
	empty := service("empty", "nobody", corev1.ServiceTypeClusterIP)
	ns.Add(empty)
	ns.Start(caller)
	awaitBalanced(t, db, empty.Spec.ClusterIP, 80, 0)
	_, err := cluster.Fetch(t.Context(), caller, url(empty.Spec.ClusterIP, 80, "/"))
	if err == nil || !strings.Contains(err.Error(), curlRefused) {
		t.Errorf("got %v, want the connection refused at once", err)
	}
}

func TestHeadlessServiceNamesItsPods(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	caller := framework.Server("caller", framework.On(here))
	one := framework.Server("one", framework.On(here), framework.Labelled("app", "db"))
	two := framework.Server("two", framework.On(there), framework.Labelled("app", "db"))
	headless := service("db", "db", corev1.ServiceTypeClusterIP)
	headless.Spec.ClusterIP = corev1.ClusterIPNone
	ns.Add(headless)
	ns.Start(caller, one, two)
	want := []string{one.Status.PodIP, two.Status.PodIP}
	slices.Sort(want)
	must(t, framework.Until(within(t, time.Minute, "naming the pods"), func(ctx context.Context) error {
		out, err := cluster.Exec(ctx, caller, "dig", "+short", "+tries=1", "+time=2", "db."+ns.Name+".svc.cluster.local")
		got := strings.Fields(out)
		slices.Sort(got)
		if err == nil && !slices.Equal(got, want) {
			err = fmt.Errorf("the name has the addresses %v, not %v", got, want)
		}
		return err
	}))
}

// A Service that is gone leaves no row behind.
func TestServiceGoes(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	db := cluster.Northbound(t)
	s := service("short", "nobody", corev1.ServiceTypeClusterIP)
	ns.Add(s)
	awaitBalanced(t, db, s.Spec.ClusterIP, 80, 0)
	must(t, cluster.Delete(t.Context(), s))
	must(t, db.Await(within(t, 30*time.Second, "removing the load balancers"), func() bool {
		rows, err := framework.Rows(db, func(lb *nb.LoadBalancer) bool {
			return strings.Contains(lb.Name, client.ObjectKeyFromObject(s).String())
		})
		return err == nil && len(rows) == 0
	}))
}
