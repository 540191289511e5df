//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/test/e2e/framework"
)

// ipPool is a pool of a Subnet, named as the test's namespace is.
func ipPool(ns *framework.Namespace, s *v1.Subnet, ips ...string) *v1.IPPool {
	return &v1.IPPool{ObjectMeta: metav1.ObjectMeta{Name: ns.Name}, Spec: v1.IPPoolSpec{Subnet: s.Name, IPs: ips}}
}

// awaitIPPool waits for what a pool's status says of its present spec.
func awaitIPPool(t *testing.T, p *v1.IPPool, what string, is func(*v1.IPPool) bool) {
	t.Helper()
	var last v1.IPPoolStatus
	_, err := framework.AwaitOne(within(t, time.Minute, what), cluster, &v1.IPPoolList{}, client.ObjectKeyFromObject(p), func(p *v1.IPPool) bool {
		last = p.Status
		return is(p)
	})
	if err != nil {
		t.Fatalf("%v; the status is %+v", err, last)
	}
}

func poolReady(p *v1.IPPool) bool {
	c := v1.FindCondition(p.Status.Conditions, v1.ConditionReady)
	return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == p.Generation
}

// The replicas of a Deployment have the addresses of the pool that its template names, one waits for the next that is free, and
// others in the Subnet get none of them; what is counted, and OVN's Address_Set, say the same.
func TestIPPoolOfDeployment(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	s := subnet(ns, "10.200.40.0/24")
	ns.Add(s)
	awaitCondition(t, s, ready)
	pool := ipPool(ns, s, "10.200.40.2..10.200.40.3")
	pool.Spec.EnableAddressSet = true
	ns.Add(pool)
	awaitIPPool(t, pool, "the pool", poolReady)
	other := framework.Server("other", framework.On(here))
	ns.Start(other)
	inside(t, "10.200.40.4/32", other)
	labels := map[string]string{"app": "web"}
	template := framework.Server("web", framework.Annotated(map[string]string{v1.AnnotationIPPool: pool.Name}))
	deployment := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns.Name, Name: "web"},
		Spec: appsv1.DeploymentSpec{
			Replicas: ptr.To[int32](2), Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: template.Annotations}, Spec: template.Spec},
		},
	}
	ns.Add(deployment)
	awaitIPPool(t, pool, "two addresses in use", func(p *v1.IPPool) bool { return p.Status.V4UsingIPs == 2 && p.Status.V4AvailableIPs == 0 })
	scaled := deployment.DeepCopy()
	scaled.Spec.Replicas = ptr.To[int32](3)
	must(t, cluster.Patch(t.Context(), scaled, client.MergeFrom(deployment)))
	grown := pool.DeepCopy()
	grown.Spec.IPs = []string{"10.200.40.2..10.200.40.3", "10.200.40.64/31"}
	must(t, cluster.Patch(t.Context(), grown, client.MergeFrom(pool)))
	awaitIPPool(t, pool, "three addresses in use", func(p *v1.IPPool) bool { return p.Status.V4UsingIPs == 3 && p.Status.V4AvailableIPs == 1 })
	db := cluster.Northbound(t)
	must(t, db.Await(within(t, time.Minute, "the Address_Set"), func() bool {
		sets, err := framework.Rows(db, func(s *nb.AddressSet) bool { return slices.Contains(s.Addresses, "10.200.40.64/31") })
		return err == nil && len(sets) == 1
	}))
	var pods corev1.PodList
	must(t, cluster.List(t.Context(), &pods, client.InNamespace(ns.Name), client.MatchingLabels(labels)))
	for i := range pods.Items {
		ns.AwaitReady(&pods.Items[i])
		ns.FetchUntil(other, served(&pods.Items[i], "/hostname"), pods.Items[i].Name)
	}
}

// A pool's namespaces get their addresses of it without asking, and a pod of another namespace that names it is told why it does
// not start.
func TestIPPoolOfNamespace(t *testing.T) {
	ns, elsewhere := cluster.Namespace(t, nil), cluster.Namespace(t, nil)
	s := subnet(ns, "10.200.41.0/24")
	ns.Add(s)
	awaitCondition(t, s, ready)
	pool := ipPool(ns, s, "10.200.41.128/30")
	pool.Spec.Namespaces = []string{ns.Name}
	ns.Add(pool)
	awaitIPPool(t, pool, "the pool", poolReady)
	one, two := framework.Server("one", framework.On(here)), framework.Server("two", framework.On(there))
	ns.Start(one, two)
	inside(t, "10.200.41.128/30", one, two)
	ns.FetchUntil(one, served(two, "/hostname"), "two")
	elsewhere.Add(framework.Idle("stranger", framework.On(here), framework.Annotated(map[string]string{v1.AnnotationIPPool: pool.Name})))
	note := do[string](t)(elsewhere.AwaitEvent(within(t, time.Minute, "telling the stranger"), "stranger", "AcquireAddressFailed"))
	if want := fmt.Sprintf("IPPool %s is that of namespace %s", pool.Name, ns.Name); note != want {
		t.Errorf("the stranger is told %q, not %q", note, want)
	}
}
