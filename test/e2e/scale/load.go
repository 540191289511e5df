package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/test/e2e/framework"
)

// label is on everything that a run makes besides nodes.
const label = "woven-e2e/scale"

// namespace has the pods.
const namespace = "woven-scale"

// subnetsPerOctet Subnets of 1,024 addresses have the same second byte.
const subnetsPerOctet = 64

// callers is how many requests are under way at once.
const callers = 16

// load is what a run makes.
type load struct {
	*framework.Cluster
	size      options
	restarted map[string]int32 // restarts of containers before the run
}

// mine selects what a run has made.
var mine = client.MatchingLabels{label: "true"}

// each does n things, some at a time.
func each(n int, do func(int) error) error {
	var wg sync.WaitGroup
	next, failed := make(chan int), make(chan error, callers)
	for range callers {
		wg.Go(func() {
			for i := range next {
				if err := do(i); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	err := func() error {
		defer close(next)
		for i := range n {
			select {
			case next <- i:
			case err := <-failed:
				return err
			}
		}
		return nil
	}()
	wg.Wait()
	close(failed)
	for e := range failed {
		err = errors.Join(err, e)
	}
	return err
}

// addNodes makes the nodes and waits until each has its address on the join subnet.
func (l *load) addNodes(ctx context.Context, r *report, beat func([]*corev1.Node)) error {
	began := time.Now()
	nodes := make([]*corev1.Node, l.size.Nodes)
	told := l.follow(ctx, &corev1.NodeList{}, func(obj client.Object) bool {
		return obj.GetAnnotations()[v1.AnnotationAllocated] == "true"
	}, client.MatchingLabels{framework.FakeLabel: "true"})
	err := each(l.size.Nodes, func(i int) error {
		nodes[i] = framework.FakeNode(i)
		return l.Create(ctx, nodes[i])
	})
	if err != nil {
		return err
	}
	beat(nodes)
	seen, err := told.await(ctx, l.size.Nodes)
	if err != nil {
		return err
	}
	r.NodesTold = last(seen).Sub(began)
	return nil
}

// newSubnet is the ith Subnet: 1,024 addresses each, from 10.128.0.0 on.
func newSubnet(i int) *v1.Subnet {
	return &v1.Subnet{
		ObjectMeta: metav1.ObjectMeta{Name: subnetName(i), Labels: mine},
		Spec: v1.SubnetSpec{
			CIDRBlock:   fmt.Sprintf("10.%d.%d.0/22", 128+i/subnetsPerOctet, i%subnetsPerOctet*4),
			NatOutgoing: true,
		},
	}
}

func subnetName(i int) string { return fmt.Sprintf("scale-%04d", i) }

// addSubnets makes the Subnets and waits until all of them are Ready.
func (l *load) addSubnets(ctx context.Context, r *report) error {
	began := time.Now()
	ready := l.follow(ctx, &v1.SubnetList{}, func(obj client.Object) bool {
		c := v1.FindCondition(obj.(*v1.Subnet).Status.Conditions, v1.ConditionReady)
		return c != nil && c.Status == metav1.ConditionTrue
	}, mine)
	if err := each(l.size.Subnets, func(i int) error { return l.Create(ctx, newSubnet(i)) }); err != nil {
		return err
	}
	seen, err := ready.await(ctx, l.size.Subnets)
	if err != nil {
		return err
	}
	r.SubnetsReady = last(seen).Sub(began)
	return nil
}

// newPod is a pod that is bound to a node and asks for a Subnet.
func (l *load) newPod(name string, i int) *corev1.Pod {
	p := framework.Idle(name, framework.On(framework.FakeNode(i%l.size.Nodes).Name), framework.Labelled(label, "true"),
		framework.Annotated(map[string]string{v1.AnnotationLogicalSwitch: subnetName(i % l.size.Subnets)}))
	p.Namespace = namespace
	return p
}

func addressed(obj client.Object) bool { return obj.GetAnnotations()[v1.AnnotationAllocated] == "true" }

// addPods makes the pods and waits until each has been told its address.
func (l *load) addPods(ctx context.Context, r *report) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: mine}}
	if err := client.IgnoreAlreadyExists(l.Create(ctx, ns)); err != nil {
		return fmt.Errorf("creating a namespace: %w", err)
	}
	if err := l.AwaitAccount(ctx, namespace); err != nil {
		return err
	}
	told := l.follow(ctx, &corev1.PodList{}, addressed, client.InNamespace(namespace))
	created := make([]time.Time, l.size.Pods)
	began := time.Now()
	err := each(l.size.Pods, func(i int) error {
		created[i] = time.Now()
		return l.Create(ctx, l.newPod(podName(i), i))
	})
	if err != nil {
		return err
	}
	r.PodsCreated = time.Since(began)
	seen, err := told.await(ctx, l.size.Pods)
	if err != nil {
		return err
	}
	for i, at := range created {
		r.latencies = append(r.latencies, seen[podName(i)].Sub(at))
	}
	if l.size.Pods > 0 {
		r.PodsTold = last(seen).Sub(began)
	}
	return nil
}

func podName(i int) string { return fmt.Sprintf("pod-%05d", i) }

// sync waits until every chassis has installed all of it.
func (l *load) sync(ctx context.Context, r *report) error {
	began := time.Now()
	if err := l.SyncedWithin(ctx, 10*time.Minute); err != nil {
		return err
	}
	r.Installed = time.Since(began)
	return nil
}

// empty deletes all and waits until OVN's rows have gone and every chassis has followed.
func (l *load) empty(ctx context.Context, r *report) error {
	began := time.Now()
	if err := l.remove(ctx); err != nil {
		return err
	}
	r.Deleted = time.Since(began)
	return l.SyncedWithin(ctx, 10*time.Minute)
}

// remove takes away what a run has made, and waits until it has gone.
func (l *load) remove(ctx context.Context) error {
	if err := l.removePods(ctx); err != nil {
		return err
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	if err := client.IgnoreNotFound(l.Delete(ctx, ns)); err != nil {
		return fmt.Errorf("deleting the namespace: %w", err)
	}
	if err := l.gone(ctx, &corev1.PodList{}, client.InNamespace(namespace)); err != nil {
		return err
	}
	if err := l.DeleteAllOf(ctx, &v1.Subnet{}, mine); err != nil {
		return fmt.Errorf("deleting the Subnets: %w", err)
	}
	if err := l.gone(ctx, &v1.SubnetList{}, mine); err != nil {
		return err
	}
	if err := l.RemoveFakes(ctx); err != nil {
		return err
	}
	return l.portsGone(ctx)
}

// portsGone waits until no fake node has a port in OVN.
func (l *load) portsGone(ctx context.Context) error {
	db, err := l.OpenNorthbound(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	fakes := func(port string) bool { return strings.HasPrefix(port, "node-fake-") }
	return db.Await(ctx, func() bool { return !slices.ContainsFunc(db.Ports(), fakes) })
}

// removePods deletes the pods one by one: the API server takes longer over thousands than a single request may.
func (l *load) removePods(ctx context.Context) error {
	var pods metav1.PartialObjectMetadataList
	pods.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PodList"))
	if err := l.List(ctx, &pods, client.InNamespace(namespace)); err != nil {
		return fmt.Errorf("listing the pods: %w", err)
	}
	now := client.GracePeriodSeconds(0) // no kubelet will report the end of such a pod
	return each(len(pods.Items), func(i int) error {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: pods.Items[i].Name}}
		return client.IgnoreNotFound(l.Delete(ctx, pod, now))
	})
}
