//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/test/e2e/framework"
)

// stopControllers takes all controllers away until the function it returns, or the end of the test, brings them back.
func stopControllers(t *testing.T) (start func()) {
	t.Helper()
	before := do[int32](t)(cluster.Scale(within(t, time.Minute, "stopping the controllers"), 0))
	running := false
	start = func() {
		if running {
			return
		}
		running = true
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		_, err := cluster.Scale(ctx, before)
		must(t, err)
	}
	t.Cleanup(start)
	return start
}

// What comes and goes while nobody watches is found afterwards.
func TestControllerAway(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	db := cluster.Northbound(t)
	caller := framework.Server("caller", framework.On(here))
	old := framework.Server("old", framework.On(there), framework.Labelled("app", "web"))
	oldService, oldSubnet := service("old", "web", corev1.ServiceTypeClusterIP), subnet(ns, "10.200.20.0/24")
	oldSubnet.Spec.Namespaces = nil
	ns.Add(oldService, oldSubnet)
	ns.Start(caller, old)
	awaitBalanced(t, db, oldService.Spec.ClusterIP, 80, 1)
	awaitCondition(t, oldSubnet, ready)

	start := stopControllers(t)
	ns.Stop(old)
	must(t, cluster.Delete(t.Context(), oldService))
	must(t, cluster.Delete(t.Context(), oldSubnet))
	born := framework.Server("born", framework.On(there), framework.Labelled("app", "web"))
	bornService := service("born", "web", corev1.ServiceTypeClusterIP)
	bornSubnet := subnet(ns, "10.200.21.0/24")
	bornSubnet.Name, bornSubnet.Spec.Namespaces = ns.Name+"-born", nil
	ns.Add(born, bornService, bornSubnet)
	start()

	ns.AwaitReady(born)
	awaitBalanced(t, db, bornService.Spec.ClusterIP, 80, 1)
	ns.FetchUntil(caller, url(bornService.Spec.ClusterIP, 80, "/hostname"), "born")
	awaitCondition(t, bornSubnet, ready)
	must(t, db.Await(within(t, 30*time.Second, "removing the rows of what went"), func() bool {
		services, err := framework.Rows(db, func(lb *nb.LoadBalancer) bool { return strings.Contains(lb.Name, ns.Name+"/old") })
		switches, err2 := framework.Rows(db, func(ls *nb.LogicalSwitch) bool { return ls.Name == oldSubnet.Name })
		return err == nil && err2 == nil && len(services) == 0 && len(switches) == 0 && db.Port(portName(old)) == nil
	}))
	_, err := framework.Await(within(t, 30*time.Second, "removing the IP object"), cluster, &v1.IPList{},
		func(ips []*v1.IP) bool { return len(ips) == 0 }, client.MatchingFields{"metadata.name": portName(old)})
	must(t, err)
}

// A controller that starts in a quiet cluster finds that all is as it should be, and writes nothing: not to a single row that was
// there before, whoever writes at the same time. The canaries tell when it is done: each comes after what a feature's queue
// held at the start, and the second after what was under way then.
func TestControllerRestartWritesNothing(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	settled := framework.Server("settled", framework.On(here), framework.Labelled("app", "web"))
	settledService := service("settled", "web", corev1.ServiceTypeClusterIP)
	ns.Add(settledService)
	ns.Start(settled)
	addPolicy(t, ns, ingressTo("web", letIn(podPeer("app", "web"))))
	db := cluster.Northbound(t)
	awaitBalanced(t, db, settledService.Spec.ClusterIP, 80, 1)
	awaitFormerTests(t, db, ns)
	for _, table := range []string{"ACL", "Port_Group", "Load_Balancer", "Logical_Router_Policy", "Logical_Router_Static_Route"} {
		if db.Count()[table] == 0 {
			t.Fatalf("there is no %s that a restart could spoil", table)
		}
	}

	before := len(db.Writes())
	stopControllers(t)()
	names := append(releaseCanary(t, db, 0), releaseCanary(t, db, 1)...)
	for _, w := range db.Foreign(before, names...) {
		if w.Verb == "delete" && w.Table == "Port_Group" && ofFormer(ns, w.Row) {
			continue // the policies that used it have gone, and a controller that starts has no use for it
		}
		t.Errorf("the restart caused: %s", w)
	}
}

// releaseCanary makes a thing of each kind and waits until the controller has dealt with it. All are in a Vpc of their own, so that nothing else
// has a reason to change. It returns what their rows are known by.
func releaseCanary(t *testing.T, db *framework.Northbound, i int) (names []string) {
	t.Helper()
	const firstNode = 100 // beyond those of other tests
	ns := cluster.Namespace(t, nil)
	vpc := &v1.Vpc{ObjectMeta: metav1.ObjectMeta{Name: ns.Name + "-vpc"}}
	own := subnet(ns, fmt.Sprintf("10.200.%d.0/24", 22+i))
	own.Spec.Vpc = vpc.Name
	node := framework.FakeNode(firstNode + i)
	ns.Add(vpc, own, node)
	awaitCondition(t, own, ready)
	_, err := framework.AwaitOne(within(t, time.Minute, "the address of "+node.Name), cluster, &corev1.NodeList{},
		client.ObjectKeyFromObject(node), func(n *corev1.Node) bool { return n.Annotations[v1.AnnotationAllocated] == "true" })
	must(t, err)
	bird, song := framework.Idle("bird", framework.Labelled("app", "bird")), service("song", "nobody", corev1.ServiceTypeClusterIP)
	ns.Add(song)
	ns.Start(bird)
	awaitBalanced(t, db, song.Spec.ClusterIP, 80, 0)
	addPolicy(t, ns, ingressTo("bird", letIn(podPeer("app", "bird"))))
	return []string{ns.Name, node.Name, node.Status.Addresses[0].Address}
}

// A row that somebody edits by hand is put back within a second, and the object it belongs to says so.
func TestHandEditIsPutBack(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	db := cluster.Northbound(t)
	p := framework.Server("web", framework.On(here))
	ns.Start(p)
	name := portName(p)
	want := strconv.Quote(awaitPort(t, db, p).Addresses[0])
	edits := []struct {
		name string
		args []string
	}{
		{"addresses changed", []string{"lsp-set-addresses", name, "0a:00:00:00:00:99 10.16.200.200"}},
		{"port security taken off", []string{"lsp-set-port-security", name}},
		{"port deleted", []string{"lsp-del", name}},
	}
	for _, edit := range edits {
		t.Run(edit.name, func(t *testing.T) {
			took := do[time.Duration](t)(cluster.NBCtlUntil(within(t, time.Minute, "putting the row back"), edit.args,
				"Logical_Switch_Port", name, "addresses="+want, "port_security="+want))
			if took > time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
	message := do[string](t)(ns.AwaitEvent(within(t, 30*time.Second, "the event"), "web", "Healed"))
	if !strings.Contains(message, name) && !strings.Contains(message, ns.Name) {
		t.Errorf("the event says %q, and nothing of %s", message, name)
	}
	ns.FetchUntil(p, served(p, "/hostname"), "web")
}

// Rows that are not Woven's are nobody's business.
func TestForeignRowsStay(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	db := cluster.Northbound(t)
	name := ns.Name + "-foreign"
	must(t, second(cluster.NBCtl(t.Context(), "ls-add", name, "--", "lsp-add", name, name+"-port")))
	t.Cleanup(func() { _, _ = cluster.NBCtl(context.Background(), "--if-exists", "ls-del", name) })
	stopControllers(t)()
	ns.Start(framework.Idle("after")) // the new leader is at work
	if db.Port(name+"-port") == nil {
		t.Error("the foreign switch port is gone")
	}
}

// Pods come and go by difference: northd does not compute everything anew for one.
func TestPodsCostNoRecompute(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	// The first pod of a switch, and its neighbours, are settled before the count begins.
	ns.Start(framework.Idle("settled-here", framework.On(here)), framework.Idle("settled-there", framework.On(there)))
	var pods []*corev1.Pod
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		pods = append(pods, framework.Idle(name))
	}
	checkRecomputes(t, ns, cluster.Northbound(t), "pods that come and go", 0, func() {
		ns.Start(pods...)
		ns.Stop(pods...)
	})
}
