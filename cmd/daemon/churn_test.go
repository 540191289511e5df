package main

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kubeovnv1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/host/hosttest"
)

func TestMain(m *testing.M) { hosttest.Main(m) }

const fakeNodes, fakeSubnets = 200, 300

func fakeNode(i int, beat time.Time) *corev1.Node {
	name := fmt.Sprintf("node-%d", i)
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Annotations: map[string]string{kubeovnv1.AnnotationChassis: name},
			Labels: map[string]string{kubeovnv1.LabelOVSDatapathType: kubeovnv1.DatapathUserspace},
		},
		Status: corev1.NodeStatus{
			Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: fmt.Sprintf("172.31.%d.1", i)}},
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, LastHeartbeatTime: metav1.NewTime(beat)}},
			Images:     []corev1.ContainerImage{{Names: []string{"some/image"}}},
		},
	}
}

func fakeSubnet(name, cidr string, used int) *kubeovnv1.Subnet {
	s := &kubeovnv1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: kubeovnv1.SubnetSpec{CIDRBlock: cidr}}
	s.Status.Conditions = []kubeovnv1.Condition{{Type: kubeovnv1.ConditionValidated, Status: metav1.ConditionTrue}}
	s.Status.V4UsingIPs = kubeovnv1.Count(used)
	s.Status.V4UsingIPRange = fmt.Sprintf("10.16.0.2-10.16.0.%d", 2+used)
	return s
}

// usedSubnet is the ith Subnet, with so many addresses in use.
func usedSubnet(i, used int) *kubeovnv1.Subnet {
	return fakeSubnet(fmt.Sprintf("web-%d", i), fmt.Sprintf("10.%d.%d.0/24", 128+i/256, i%256), used)
}

// churned is a daemon's watch and host on a cluster whose other nodes are busy.
type churned struct {
	*testing.T
	*daemon
	api   *api
	watch *watch
}

func newChurned(t *testing.T) *churned {
	t.Helper()
	c := prepareChurned(t)
	c.begin("unix:" + t.TempDir() + "/none")
	hosttest.Must(t, c.watch.awaitPods(c.Context()))
	return c
}

// prepareChurned is a cluster of which no daemon knows yet.
func prepareChurned(t *testing.T) *churned {
	t.Helper()
	c := &churned{T: t, api: newAPI(t)}
	for i := range fakeNodes {
		c.api.set("nodes", fakeNode(i, time.Unix(0, 0)))
	}
	for i := range fakeSubnets {
		c.api.set("subnets", usedSubnet(i, 0))
	}
	return c
}

// begin starts the daemon's parts on an Open vSwitch.
func (c *churned) begin(ovs string) {
	c.Helper()
	o := options{
		nodeName: "node-0", namespace: "kube-system", kubeconfig: c.api.kubeconfig(), ovsSocket: ovs,
		clusterRouter: kubeovnv1.DefaultVpc, nodeSwitch: kubeovnv1.JoinSubnet, userspace: true,
	}
	ctx, cancel := context.WithCancel(c.Context())
	var err error
	c.daemon, err = newDaemon(ctx, o, prometheus.NewRegistry())
	hosttest.Must(c, err)
	c.watch, err = c.newWatch(ctx)
	hosttest.Must(c, err)
	c.host.OnProblem(c.watch.showProblem)
	var running sync.WaitGroup
	for name, run := range map[string]func(context.Context) error{"watch": c.watch.run, "host": c.host.Run} {
		running.Go(func() {
			if err := run(ctx); err != nil {
				c.Errorf("%s: %v", name, err)
			}
		})
	}
	c.Cleanup(func() { cancel(); running.Wait() })
}

// looks is how often the host has looked at the kernel and Open vSwitch.
func (c *churned) looks() uint64 {
	c.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(c.host.Looks)
	families, err := registry.Gather()
	hosttest.Must(c, err)
	return families[0].GetMetric()[0].GetHistogram().GetSampleCount()
}

// tell makes a change and returns when the daemon's cache has it.
func (c *churned) tell(resource string, obj client.Object) {
	c.Helper()
	version, have := c.api.set(resource, obj), obj.DeepCopyObject().(client.Object)
	hosttest.Eventually(c, "the daemon has "+obj.GetName(), func() bool {
		err := c.watch.cache.Get(c.Context(), types.NamespacedName{Name: obj.GetName()}, have)
		return err == nil && have.GetResourceVersion() == version
	})
}

// move changes something that nodes do look at, and returns how many looks there have been when there are no more. A look
// follows its event in some 20 ms.
func (c *churned) move(cidr string) uint64 {
	c.Helper()
	before, since := c.looks(), time.Now()
	c.tell("subnets", fakeSubnet("moved", cidr, 0))
	last := before
	hosttest.Eventually(c, "a look at "+cidr, func() bool {
		if now := c.looks(); now != last {
			last, since = now, time.Now()
		}
		return last > before && time.Since(since) > 500*time.Millisecond
	})
	return last
}

// TestWhatHappensElsewhereWakesNoNode: with 200 nodes whose pods come and go, the usage of 300 Subnets changes all the time,
// and every node's heart beats. None of it makes a node look at its kernel, and what other nodes say is not even sent.
func TestWhatHappensElsewhereWakesNoNode(t *testing.T) {
	c := newChurned(t)
	before := c.move("10.30.0.0/16")
	for round := range 25 {
		for i := range fakeNodes {
			if i > 0 { // this node's own comes last, to be waited for
				c.api.set("nodes", fakeNode(i, time.Unix(int64(round), 0)))
			}
			c.api.set("pods", &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
				Namespace: "shop", Name: fmt.Sprintf("web-%d-%d", round, i), Annotations: map[string]string{"test/node": fmt.Sprintf("node-%d", 1+i)},
			}})
		}
		c.tell("nodes", fakeNode(0, time.Unix(int64(round), 0)))
		for i := range fakeSubnets - 1 {
			c.api.set("subnets", usedSubnet(i, 1+round))
		}
		c.tell("subnets", usedSubnet(fakeSubnets-1, 1+round)) // comes after the others
	}
	if after := c.move("10.31.0.0/16"); after != before+1 {
		t.Errorf("the node looked %d times at what happened elsewhere", after-before-1)
	}
	if sent := c.api.events("nodes"); sent != 25 {
		t.Errorf("%d events of nodes were sent to one of them, which has had 25 of its own", sent)
	}
	if sent := c.api.events("pods"); sent != 0 {
		t.Errorf("%d events of other nodes' pods were sent", sent)
	}
	web := &kubeovnv1.Subnet{}
	hosttest.Must(t, c.watch.cache.Get(t.Context(), types.NamespacedName{Name: "web-7"}, web))
	if web.Status.V4UsingIPs != 0 || web.Status.V4UsingIPRange != "" || len(web.Status.Conditions) == 0 || web.Spec.CIDRBlock == "" {
		t.Errorf("the daemon holds %+v", web)
	}
}

// TestHostIsToldOfTheClusterAsAWhole: at a start, lists come one after the other. A host that is told of some Subnets only
// would take away the routes of the others, and put them back a moment later.
func TestHostIsToldOfTheClusterAsAWhole(t *testing.T) {
	c := prepareChurned(t)
	web := fakeSubnet("web", "10.16.0.0/16", 0)
	web.Spec.Mtu = 1300
	c.api.set("subnets", web)
	rest := make(chan struct{})
	c.api.held["endpointslices"] = rest
	c.begin("unix:" + t.TempDir() + "/none")
	c.tell("subnets", fakeSubnet("late", "10.17.0.0/16", 0))
	c.tell("nodes", fakeNode(0, time.Unix(1, 0)))
	if mtu := c.host.PodMTU("web"); mtu != 0 {
		t.Errorf("the host knows of Subnet web, whose MTU is %d, before all is listed", mtu)
	}
	close(rest)
	hosttest.Eventually(t, "the host knows the cluster", func() bool { return c.host.PodMTU("web") == 1300 })
}
