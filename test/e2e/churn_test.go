//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/test/e2e/framework"
)

// Churn comes in waves: kubelets take 110 pods each, and a wave must fit while the one before it goes.
const (
	waveSize     = 50
	defaultChurn = 150
	// waveTime bounds a wave: starting 50 pods and a controller takeover, on a machine of two cores.
	waveTime = 4 * time.Minute
)

// Hundreds of pods come and go and the leading controller is killed twice in between. Afterwards everything that is
// counted anywhere is exactly what lives, and no address was ever held by two.
func TestChurn(t *testing.T) {
	total := defaultChurn
	if text := os.Getenv("WOVEN_E2E_CHURN"); text != "" {
		total = do[int](t)(strconv.Atoi(text))
	}
	ns := cluster.Namespace(t, nil)
	baseline := vethsBeside(t)
	stopWatch := watchAddresses(t)
	waves := (total + waveSize - 1) / waveSize
	began := time.Now()
	for wave := range waves {
		d := deployment(fmt.Sprintf("wave-%d", wave), waveSize)
		ns.Add(d)
		if wave == waves/3 || wave == 2*waves/3 {
			// While the wave is under way: some pods have their address, and some do not.
			awaitWave(t, ns, d, waveSize/4)
			killLeader(t)
		}
		awaitWave(t, ns, d, waveSize)
		must(t, cluster.Delete(t.Context(), d, client.PropagationPolicy(metav1.DeletePropagationBackground)))
	}
	t.Logf("%d pods started in %s", waves*waveSize, time.Since(began).Round(time.Second))
	none := func(pods []*corev1.Pod) bool { return len(pods) == 0 }
	_, err := framework.Await(within(t, waveTime, "the end of the waves"), cluster, &corev1.PodList{}, none, client.InNamespace(ns.Name))
	must(t, err)
	stopWatch()
	checkCounts(t, baseline)
}

func deployment(name string, replicas int32) *appsv1.Deployment {
	p := framework.Idle(name)
	p.Spec.RestartPolicy = corev1.RestartPolicyAlways
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: ptr.To(replicas),
			Selector: &metav1.LabelSelector{MatchLabels: p.Labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: p.Labels}, Spec: p.Spec},
		},
	}
}

func awaitWave(t *testing.T, ns *framework.Namespace, d *appsv1.Deployment, ready int32) {
	t.Helper()
	_, err := framework.AwaitOne(within(t, waveTime, "wave "+d.Name), cluster, &appsv1.DeploymentList{},
		client.ObjectKeyFromObject(d), func(d *appsv1.Deployment) bool { return d.Status.ReadyReplicas >= ready })
	if err != nil {
		logPending(t, ns)
		t.Fatal(err)
	}
}

// logPending tells of the first pods that are not ready.
func logPending(t *testing.T, ns *framework.Namespace) {
	t.Helper()
	var pods corev1.PodList
	_ = cluster.List(context.Background(), &pods, client.InNamespace(ns.Name))
	left := 5
	for i := range pods.Items {
		if p := &pods.Items[i]; !framework.Ready(p) && left > 0 {
			t.Logf("%s on %q is %s, annotations %v", p.Name, p.Spec.NodeName, p.Status.Phase, p.Annotations)
			left--
		}
	}
}

func killLeader(t *testing.T) {
	t.Helper()
	leader := do[*corev1.Pod](t)(cluster.Leader(within(t, time.Minute, "a leader")))
	must(t, cluster.Kill(t.Context(), leader, string(framework.Controller)))
	t.Logf("killed the leading controller, %s", leader.Name)
}

// watchAddresses fails the test if two living pods are ever seen with one address, until it is stopped.
func watchAddresses(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	ended := make(chan error, 1)
	seen := 0
	go func() {
		_, err := framework.Await(ctx, cluster, &corev1.PodList{}, func(pods []*corev1.Pod) bool {
			seen++
			if twins := twins(pods); len(twins) > 0 {
				t.Errorf("one address for two living pods: %v", twins)
			}
			return false
		})
		ended <- err
	}()
	return func() {
		cancel(enough)
		if err := <-ended; !errors.Is(err, enough) {
			t.Errorf("watching the pods' addresses: %v", err)
		}
		t.Logf("looked at all addresses %d times", seen)
	}
}

// twins are the pods that share a Vpc and an address, and both live.
func twins(pods []*corev1.Pod) []string {
	holder := map[string]string{}
	var found []string
	for _, p := range pods {
		address := p.Annotations[v1.AnnotationLogicalRouter] + " " + p.Annotations[v1.AnnotationIPAddress]
		if !living(p) || p.Annotations[v1.AnnotationAllocated] != "true" {
			continue
		}
		if other := holder[address]; other != "" {
			found = append(found, address+": "+other+", "+p.Namespace+"/"+p.Name)
		}
		holder[address] = p.Namespace + "/" + p.Name
	}
	return found
}

// living says whether a pod has, or is about to have, an interface of Woven's.
func living(p *corev1.Pod) bool {
	return !p.Spec.HostNetwork && p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed
}

// livingPods are the port names of the pods that live, in all, on each node and in each subnet.
type livingPods struct {
	all              []string
	onNode, inSubnet map[string][]string
}

func countLiving(t *testing.T) livingPods {
	t.Helper()
	var list corev1.PodList
	must(t, cluster.List(t.Context(), &list))
	l := livingPods{onNode: map[string][]string{}, inSubnet: map[string][]string{}}
	for i := range list.Items {
		p := &list.Items[i]
		if !living(p) {
			continue
		}
		l.all = append(l.all, portName(p))
		l.onNode[p.Spec.NodeName] = append(l.onNode[p.Spec.NodeName], portName(p))
		s := p.Annotations[v1.AnnotationLogicalSwitch]
		l.inSubnet[s] = append(l.inSubnet[s], portName(p))
	}
	slices.Sort(l.all)
	return l
}

// vethsBeside counts, on each node, the veths that are not pods'.
func vethsBeside(t *testing.T) map[string]int {
	t.Helper()
	pods := countLiving(t)
	beside := map[string]int{}
	for _, node := range cluster.Nodes {
		beside[node] = do[int](t)(cluster.Veths(t.Context(), node)) - len(pods.onNode[node])
	}
	return beside
}

// checkCounts compares everything that exists once for each pod with the pods that live.
func checkCounts(t *testing.T, vethsBeside map[string]int) {
	t.Helper()
	pods := countLiving(t)
	withNodes := slices.Clone(pods.all)
	for _, node := range cluster.Nodes {
		withNodes = append(withNodes, "node-"+node)
	}
	slices.Sort(withNodes)
	ctx := within(t, time.Minute, "all counts being right")

	db := cluster.Northbound(t)
	if err := db.Await(ctx, func() bool { return slices.Equal(db.Ports(), withNodes) }); err != nil {
		t.Errorf("switch ports: %v; %s", err, difference(db.Ports(), withNodes))
	}
	var names []string
	_, err := framework.Await(ctx, cluster, &v1.IPList{}, func(ips []*v1.IP) bool {
		names = nil
		for _, ip := range ips {
			names = append(names, ip.Name)
		}
		slices.Sort(names)
		return slices.Equal(names, withNodes)
	})
	if err != nil {
		t.Errorf("IP objects: %v; %s", err, difference(names, withNodes))
	}
	for name, want := range pods.inSubnet {
		got, err := framework.AwaitOne(ctx, cluster, &v1.SubnetList{}, client.ObjectKey{Name: name},
			func(s *v1.Subnet) bool { return int(max(s.Status.V4UsingIPs, s.Status.V6UsingIPs)) == len(want) })
		if err != nil {
			t.Errorf("addresses in use in subnet %s: %v; want %d (%+v)", name, err, len(want), got)
		}
	}
	interfaces, veths := 0, 0
	for _, node := range cluster.Nodes {
		ids := do[[]string](t)(cluster.Attachments(t.Context(), node))
		want := slices.Sorted(slices.Values(pods.onNode[node]))
		if !slices.Equal(ids, want) {
			t.Errorf("interfaces of %s: %s", node, difference(ids, want))
		}
		n := do[int](t)(cluster.Veths(t.Context(), node)) - vethsBeside[node]
		if n != len(want) {
			t.Errorf("%s has %d veths for %d pods", node, n, len(want))
		}
		interfaces, veths = interfaces+len(ids), veths+n
	}
	t.Logf("%d pods live: %d switch ports and %d IP objects (%d nodes' among them), %d interfaces, %d veths",
		len(pods.all), len(db.Ports()), len(names), len(cluster.Nodes), interfaces, veths)
}

// difference tells what one list has more and what it has less than another.
func difference(got, want []string) string {
	var parts []string
	for _, name := range got {
		if !slices.Contains(want, name) {
			parts = append(parts, "too many: "+name)
		}
	}
	for _, name := range want {
		if !slices.Contains(got, name) {
			parts = append(parts, "missing: "+name)
		}
	}
	return strings.Join(parts, ", ")
}
