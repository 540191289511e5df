package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/meter"
	"github.com/woven-cni/woven/pkg/ovs/ovstest"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
)

// world is a controller with all its features between a Kubernetes API in memory and a real northbound database.
type world struct {
	*reconciletest.Cluster
	t       *testing.T
	nb      *ovstest.Server
	sent    *ovstest.Recorder
	metrics *prometheus.Registry // of the life that it leads now
	stop    func()
	options *Options
	env     *reconcile.Env
}

// singleStack and dualStack are how the controller is told of a cluster's addresses.
func singleStack() *Options {
	return &Options{
		DefaultVpc: "ovn-cluster", DefaultSubnet: "ovn-default", JoinSubnet: "join", EnableLB: true,
		DefaultCIDR: "10.16.0.0/16", JoinCIDR: "100.64.0.0/16", ServiceCIDR: "10.96.0.0/12",
		Rates:        meter.Input{Packets: 500, Messages: 10},
		NodeNetworks: reconciletest.NodeNetworks,
	}
}

func dualStack() *Options {
	o := singleStack()
	o.DefaultCIDR += ",fd00:10:16::/64"
	o.JoinCIDR += ",fd00:100:64::/112"
	o.ServiceCIDR += ",fd00:10:96::/112"
	return o
}

// newWorld is a world whose controller has made what every cluster has. Tests of worlds run beside each other: most of
// their time is a wait for somebody.
func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	return loneWorld(t)
}

// loneWorld is newWorld for a test that counts what happens in a while: nothing else runs meanwhile.
func loneWorld(t *testing.T) *world {
	t.Helper()
	w := quietWorld(t)
	w.start()
	w.ready("ovn-default")
	w.ready("join")
	return w
}

// quietWorld is a world whose controller has not begun.
func quietWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Cluster: reconciletest.NewCluster(t), t: t, nb: ovstest.Start(t), options: singleStack()}
	w.Load(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}})
	return w
}

// start begins a controller's life, with a session of its own and nothing in memory.
func (w *world) start() {
	w.t.Helper()
	w.sent, w.metrics = &ovstest.Recorder{}, prometheus.NewRegistry()
	db := w.nb.DB(w.sent.Option())
	w.stop = w.Start(w.t, func(_ context.Context, mgr manager.Manager) (err error) {
		w.env, err = addFeatures(mgr, db, w.metrics, w.options)
		return err
	})
}

func (w *world) create(objects ...client.Object) {
	w.t.Helper()
	for _, obj := range objects {
		if err := w.Create(w.t.Context(), obj); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) remove(obj client.Object) {
	w.t.Helper()
	if err := w.Delete(w.t.Context(), obj); err != nil {
		w.t.Fatal(err)
	}
}

// edit changes an object as a user does.
func edit[T client.Object](w *world, obj T, change func(T)) {
	w.t.Helper()
	for {
		if err := w.Get(w.t.Context(), client.ObjectKeyFromObject(obj), obj); err != nil {
			w.t.Fatal(err)
		}
		change(obj)
		err := w.Update(w.t.Context(), obj)
		if err == nil {
			return
		}
		if !errors.IsConflict(err) {
			w.t.Fatal(err)
		}
	}
}

// condition waits until a Subnet's condition reads "Status Reason".
func (w *world) condition(subnet string, kind v1.ConditionType, want string) {
	w.t.Helper()
	reconciletest.Eventually(w.t, fmt.Sprintf("%s %s of subnet %s", kind, want, subnet), func() string {
		var s v1.Subnet
		if err := w.Get(w.t.Context(), types.NamespacedName{Name: subnet}, &s); err != nil {
			return err.Error()
		}
		c := v1.FindCondition(s.Status.Conditions, kind)
		if c == nil {
			return "there is no such condition"
		}
		if got := string(c.Status) + " " + c.Reason; got != want || c.ObservedGeneration != s.Generation {
			return fmt.Sprintf("it is %s of generation %d, now %d: %s", got, c.ObservedGeneration, s.Generation, c.Message)
		}
		return ""
	})
}

func (w *world) ready(subnet string) {
	w.t.Helper()
	w.condition(subnet, v1.ConditionReady, "True Ready")
}

// row waits until the column of the named row reads as wanted; "" is a row that is not there.
func (w *world) row(table, name, column, want string) {
	w.t.Helper()
	reconciletest.Eventually(w.t, fmt.Sprintf("%s of %s %s", column, table, name), func() string {
		got := strings.TrimSpace(w.nb.Ctl("--bare", "--columns="+column, "find", table, "name="+name))
		if got != want {
			return fmt.Sprintf("it is %q, not %q", got, want)
		}
		return ""
	})
}

// address waits for the address that a pod is told.
func (w *world) address(pod *corev1.Pod) string {
	w.t.Helper()
	var now corev1.Pod
	reconciletest.Eventually(w.t, "an address of pod "+pod.Name, func() string {
		if err := w.Get(w.t.Context(), client.ObjectKeyFromObject(pod), &now); err != nil {
			return err.Error()
		}
		if now.Annotations[v1.AnnotationRouted] != "true" {
			return fmt.Sprintf("its annotations are %v, and the last events %v", now.Annotations, w.Events.Take())
		}
		return ""
	})
	return now.Annotations[v1.AnnotationIPAddress]
}

// addressed creates pods and waits until each has its address.
func (w *world) addressed(pods ...*corev1.Pod) {
	w.t.Helper()
	for _, pod := range pods {
		w.create(pod)
		w.address(pod)
	}
}

// event waits for an Event that has all the words.
func (w *world) event(words ...string) {
	w.t.Helper()
	var told []string
	reconciletest.Eventually(w.t, fmt.Sprintf("an event with %q", words), func() string {
		told = append(told, w.Events.Take()...)
		if slices.ContainsFunc(told, func(e string) bool {
			return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(e, word) })
		}) {
			return ""
		}
		return fmt.Sprintf("there were %q", told)
	})
}

func newPod(name string, annotations ...string) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name), Annotations: map[string]string{}},
		Spec:       corev1.PodSpec{NodeName: "n1"},
	}
	for i := 0; i < len(annotations); i += 2 {
		pod.Annotations[annotations[i]] = annotations[i+1]
	}
	return pod
}

func newSubnet(name, cidr string, namespaces ...string) *v1.Subnet {
	return &v1.Subnet{
		ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 1},
		Spec:       v1.SubnetSpec{CIDRBlock: cidr, Namespaces: namespaces},
	}
}

func newService() (*corev1.Service, *discoveryv1.EndpointSlice) {
	meta := metav1.ObjectMeta{Namespace: "shop", Name: "web", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}}
	service := &corev1.Service{ObjectMeta: *meta.DeepCopy(), Spec: corev1.ServiceSpec{
		ClusterIP: "10.96.0.10", ClusterIPs: []string{"10.96.0.10"},
		Ports: []corev1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}},
	}}
	endpoints := &discoveryv1.EndpointSlice{
		ObjectMeta:  meta,
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"10.16.0.5"}}},
		Ports:       []discoveryv1.EndpointPort{{Name: ptr.To(""), Port: ptr.To[int32](8080), Protocol: ptr.To(corev1.ProtocolTCP)}},
	}
	return service, endpoints
}

func TestPodComesAndGoes(t *testing.T) {
	w := newWorld(t)
	pod := newPod("web-0")
	w.create(pod)
	address := w.address(pod)
	w.row("Logical_Switch_Port", "web-0.shop", "addresses", "0a:58:0a:10:00:02 "+address)
	reconciletest.Eventually(t, "the record of the pod", func() string {
		var ip v1.IP
		if err := w.Get(t.Context(), types.NamespacedName{Name: "web-0.shop"}, &ip); err != nil {
			return err.Error()
		}
		if ip.Spec.V4IPAddress != address || ip.Spec.Subnet != "ovn-default" || ip.Spec.NodeName != "n1" {
			return fmt.Sprintf("it is %+v", ip.Spec)
		}
		return ""
	})
	w.remove(pod)
	w.row("Logical_Switch_Port", "web-0.shop", "name", "")
	reconciletest.Eventually(t, "the end of the record", func() string {
		if err := w.Get(t.Context(), types.NamespacedName{Name: "web-0.shop"}, &v1.IP{}); !errors.IsNotFound(err) {
			return fmt.Sprintf("the API server says %v", err)
		}
		return ""
	})
	again := newPod("web-1", v1.AnnotationIPAddress, address)
	w.create(again)
	if got := w.address(again); got != address {
		t.Errorf("the address of the deleted pod is %s, and the next one got %s", address, got)
	}
}

func TestNodeIsToldItsAddress(t *testing.T) {
	w := newWorld(t)
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "n1"},
		Status:     corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.0.2.1"}}},
	}
	w.create(node)
	reconciletest.Eventually(t, "the node's annotation", func() string {
		if err := w.Get(t.Context(), client.ObjectKeyFromObject(node), node); err != nil {
			return err.Error()
		}
		if got := node.Annotations[v1.AnnotationIPAddress]; got != "100.64.0.2" {
			return "it is " + got
		}
		return ""
	})
	if got := w.nb.Ctl("lr-policy-list", "ovn-cluster"); !strings.Contains(got, `is_chassis_resident("node-n1")`) {
		t.Errorf("there is no way out by the node:\n%s", got)
	}
	w.remove(node)
	w.row("Logical_Switch_Port", "node-n1", "name", "")
	if got := w.nb.Ctl("lr-policy-list", "ovn-cluster"); strings.Contains(got, "node-n1") {
		t.Errorf("a policy of the node is left:\n%s", got)
	}
}

func TestRestartWritesNothing(t *testing.T) {
	w := newWorld(t)
	service, endpoints := newService()
	w.create(service, endpoints, newSubnet("web", "10.30.0.0/24", "none"), &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "n1"},
		Status:     corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.0.2.1"}}},
	})
	w.ready("web")
	w.row("Logical_Switch_Port", "node-n1", "name", "node-n1")
	w.addressed(newPod("web-0"), newPod("web-1"), newPod("web-2"))
	w.row("Load_Balancer", `"shop/web/tcp"`, "vips", "10.96.0.10:80=10.16.0.5:8080")
	w.usage("ovn-default", 3)
	w.checkQuietRestart()
}

func TestWhatHappensWhileTheControllerIsAway(t *testing.T) {
	w := newWorld(t)
	service, endpoints := newService()
	gone, stays := newPod("gone"), newPod("stays")
	w.create(service, endpoints, gone, stays)
	w.address(gone)
	address := w.address(stays)
	w.row("Load_Balancer", `"shop/web/tcp"`, "protocol", "tcp")
	w.stop()
	w.remove(gone)
	w.remove(service)
	comes := newPod("comes")
	w.create(comes)
	w.start()
	w.row("Logical_Switch_Port", "gone.shop", "name", "")
	w.row("Load_Balancer", `"shop/web/tcp"`, "name", "")
	if got := w.address(comes); got == address {
		t.Errorf("pods stays and comes both have %s", got)
	}
	if got := w.address(stays); got != address {
		t.Errorf("pod stays had %s and has %s after the restart", address, got)
	}
}

// TestCommittedAndNotTold is a controller that dies between the row and the pod's annotations.
func TestCommittedAndNotTold(t *testing.T) {
	w := newWorld(t)
	first, pod := newPod("first"), newPod("web-0")
	w.addressed(first)
	w.create(pod)
	address := w.address(pod)
	w.stop()
	w.remove(first)
	edit(w, pod, func(p *corev1.Pod) { p.Annotations = nil })
	w.start()
	if got := w.address(pod); got != address {
		t.Errorf("the row said %s, and the pod is told %s", address, got)
	}
}

func TestHandEditIsPutBack(t *testing.T) {
	w := newWorld(t)
	pod := newPod("web-0")
	w.create(pod)
	address := w.address(pod)
	w.Events.Take()
	w.nb.Ctl("lsp-set-addresses", "web-0.shop", "0a:00:00:00:00:01 10.16.9.9")
	w.row("Logical_Switch_Port", "web-0.shop", "addresses", "0a:58:0a:10:00:02 "+address)
	w.event("Healed", "shop/web-0", "Logical_Switch_Port")
	w.nb.Ctl("lsp-del", "web-0.shop")
	w.row("Logical_Switch_Port", "web-0.shop", "addresses", "0a:58:0a:10:00:02 "+address)
	w.nb.Ctl("lr-policy-del", "ovn-cluster", "31000")
	reconciletest.Eventually(t, "the policy of the subnet", func() string {
		if got := w.nb.Ctl("lr-policy-list", "ovn-cluster"); !strings.Contains(got, "ip4.dst == 10.16.0.0/16") {
			return got
		}
		return ""
	})
}

func TestRowsOfOthersStay(t *testing.T) {
	w := newWorld(t)
	w.nb.Ctl("ls-add", "by-hand")
	pod := newPod("web-0")
	w.addressed(pod)
	w.stop()
	w.start()
	w.addressed(newPod("web-1"))
	w.row("Logical_Switch", "by-hand", "name", "by-hand")
}

func TestSubnetBeforeItsVpc(t *testing.T) {
	w := newWorld(t)
	subnet := newSubnet("inner", "10.30.0.0/24")
	subnet.Spec.Vpc = "tenant"
	w.create(subnet)
	w.condition("inner", v1.ConditionProgrammed, "False Waiting")
	w.event("Warning Waiting inner: waiting for Vpc tenant, which does not exist or is not ready")
	w.create(&v1.Vpc{ObjectMeta: metav1.ObjectMeta{Name: "tenant", Generation: 1}})
	w.ready("inner")
	w.row("Logical_Router_Port", "tenant-inner", "networks", "10.30.0.1/24")
}

func TestSubnetEditedToNonsenseKeepsItsRows(t *testing.T) {
	w := newWorld(t)
	subnet := newSubnet("web", "10.30.0.0/24")
	w.create(subnet)
	w.ready("web")
	edit(w, subnet, func(s *v1.Subnet) { s.Spec.CIDRBlock = "10.30.0.0/33" })
	w.condition("web", v1.ConditionValidated, "False InvalidCIDR")
	w.row("Logical_Router_Port", "ovn-cluster-web", "networks", "10.30.0.1/24")
	edit(w, subnet, func(s *v1.Subnet) { s.Spec.CIDRBlock, s.Spec.Gateway = "10.31.0.0/24", ""; s.Spec.ExcludeIps = nil })
	w.ready("web")
	w.row("Logical_Router_Port", "ovn-cluster-web", "networks", "10.31.0.1/24")
}

func TestOverlapIsRefusedUntilTheOtherGoes(t *testing.T) {
	w := newWorld(t)
	first := newSubnet("first", "10.30.0.0/24")
	w.create(first)
	w.ready("first")
	w.create(newSubnet("second", "10.30.0.128/25"))
	w.condition("second", v1.ConditionValidated, "False Overlap")
	w.event("Warning Overlap second: ", "10.30.0.0/24 of subnet first")
	w.row("Logical_Switch", "second", "name", "")
	w.remove(first)
	w.ready("second")
	w.row("Logical_Switch", "first", "name", "")
}

func TestDeletedSubnetWaitsForItsPods(t *testing.T) {
	w := newWorld(t)
	subnet, pod := newSubnet("web", "10.30.0.0/24", "shop"), newPod("web-0")
	w.create(subnet)
	w.ready("web")
	w.addressed(pod)
	w.remove(subnet)
	w.condition("web", v1.ConditionReady, "False InUse")
	w.event("Warning InUse web: ", "1 addresses are in use, of pod shop/web-0")
	w.row("Logical_Switch", "web", "name", "web")
	w.remove(pod)
	w.row("Logical_Switch", "web", "name", "")
	reconciletest.Eventually(t, "the end of the Subnet", func() string {
		if err := w.Get(t.Context(), client.ObjectKeyFromObject(subnet), subnet); !errors.IsNotFound(err) {
			return fmt.Sprintf("the API server says %v", err)
		}
		return ""
	})
}

func TestFullSubnet(t *testing.T) {
	w := newWorld(t)
	first, second := newPod("first"), newPod("second")
	w.create(newSubnet("small", "10.30.0.0/30", "shop"))
	w.ready("small")
	w.create(first)
	address := w.address(first)
	w.create(second)
	w.event("AcquireAddressFailed", "shop/second", "small", "full")
	w.remove(first)
	if got := w.address(second); got != address {
		t.Errorf("the freed address is %s, and the pod that waited got %s", address, got)
	}
}

func TestPodBeforeItsSubnet(t *testing.T) {
	w := newWorld(t)
	pod := newPod("web-0", v1.AnnotationLogicalSwitch, "later")
	w.create(pod)
	w.event("AcquireAddressFailed", "shop/web-0", "later")
	w.create(newSubnet("later", "10.30.0.0/24"))
	if got := w.address(pod); got != "10.30.0.2" {
		t.Errorf("the pod has %s, which is not the first address of its subnet", got)
	}
}

func TestPodOfTheSameNameIsAnotherPod(t *testing.T) {
	w := newWorld(t)
	old, other := newPod("web-0"), newPod("other")
	w.create(old, other)
	w.address(old)
	w.address(other)
	w.remove(old)
	next := newPod("web-0")
	next.UID = "next"
	w.create(next)
	address := w.address(next)
	w.row("Logical_Switch_Port", "web-0.shop", "addresses", "0a:58:0a:10:00:"+lastByte(address)+" "+address)
	if address == w.address(other) {
		t.Errorf("two pods have %s", address)
	}
}

// lastByte is that of an IPv4 address, as a MAC has it.
func lastByte(address string) string {
	var n int
	fmt.Sscanf(address[strings.LastIndex(address, ".")+1:], "%d", &n) //nolint:errcheck // a wrong answer fails the test
	return fmt.Sprintf("%02x", n)
}

func TestEndpointIsOneTransaction(t *testing.T) {
	w := newWorld(t)
	service, endpoints := newService()
	w.create(service, endpoints)
	w.row("Load_Balancer", `"shop/web/tcp"`, "vips", "10.96.0.10:80=10.16.0.5:8080")
	w.sent.Take()
	edit(w, endpoints, func(s *discoveryv1.EndpointSlice) {
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{Addresses: []string{"10.16.0.6"}})
	})
	w.row("Load_Balancer", `"shop/web/tcp"`, "vips", "10.96.0.10:80=10.16.0.5:8080,10.16.0.6:8080")
	if sent := w.sent.Take(); len(sent) != 1 {
		t.Errorf("an endpoint costs %d transactions: %v", len(sent), sent)
	}
	w.remove(service)
	w.row("Load_Balancer", `"shop/web/tcp"`, "name", "")
}
