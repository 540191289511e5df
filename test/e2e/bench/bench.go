package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/woven-cni/woven/test/e2e/bench/timing"
	"github.com/woven-cni/woven/test/e2e/framework"
)

// contender is a network plugin that is measured.
type contender string

const (
	woven  contender = "woven"
	bridge contender = "bridge"
)

// result is what a contender's turns brought.
type result struct {
	ready []time.Duration // one by one: from create to Ready
	burst []time.Duration // many at once: from create to all Ready
	calls map[kind][]timing.Call
}

// kind is the part of a turn that a call belongs to, by the name of its pod.
type kind string

const (
	single kind = "single"
	burst  kind = "burst"
	warmup kind = "warmup"
)

// bench measures on a cluster.
type bench struct {
	*framework.Cluster
	options
	namespace   string
	controllers int32 // as many as there were; 0 while they run
	calls       map[contender][]timing.Call
}

// turnTime bounds a part of a turn.
const turnTime = 10 * time.Minute

// prepare makes the namespace and puts the programs onto the nodes.
func (b *bench) prepare(ctx context.Context) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "bench-"}}
	if err := b.Create(ctx, ns); err != nil {
		return fmt.Errorf("creating a namespace: %w", err)
	}
	b.namespace = ns.Name
	b.calls = map[contender][]timing.Call{}
	return b.install(ctx)
}

// turn is one contender's part of a round.
func (b *bench) turn(ctx context.Context, who contender, r *result) error {
	if err := b.enter(ctx, who); err != nil {
		return err
	}
	for i := range b.single {
		took, err := b.startOne(ctx, b.Nodes[i%len(b.Nodes)])
		if err != nil {
			return err
		}
		r.ready = append(r.ready, took)
	}
	took, err := b.startMany(ctx, b.burst)
	if err != nil {
		return err
	}
	r.burst = append(r.burst, took)
	calls, err := b.readLogs(ctx)
	b.calls[who] = append(b.calls[who], calls...)
	return err
}

// collect sorts the calls by the part of a turn that they belong to.
func (b *bench) collect(_ context.Context, results map[contender]*result) error {
	for who, r := range results {
		r.calls = map[kind][]timing.Call{}
		for _, c := range b.calls[who] {
			if c.Namespace != b.namespace {
				continue
			}
			k, _, _ := strings.Cut(c.Pod, "-")
			r.calls[kind(k)] = append(r.calls[kind(k)], c)
		}
	}
	return nil
}

// startOne starts a pod and stops it, and tells how long it took to be Ready.
func (b *bench) startOne(ctx context.Context, node string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, turnTime)
	defer cancel()
	p := framework.Idle("", framework.On(node))
	p.Namespace, p.GenerateName, p.Labels = b.namespace, string(single)+"-", nil
	return b.startAndStop(ctx, p)
}

func (b *bench) startAndStop(ctx context.Context, p *corev1.Pod) (time.Duration, error) {
	began := time.Now()
	if err := b.Create(ctx, p); err != nil {
		return 0, fmt.Errorf("creating a pod: %w", err)
	}
	if _, err := framework.AwaitOne(ctx, b, &corev1.PodList{}, client.ObjectKeyFromObject(p), framework.Ready); err != nil {
		return 0, fmt.Errorf("awaiting pod %s: %w", p.Name, err)
	}
	took := time.Since(began)
	if err := b.Delete(ctx, p); err != nil {
		return 0, fmt.Errorf("deleting pod %s: %w", p.Name, err)
	}
	return took, b.awaitNone(ctx)
}

func (b *bench) awaitNone(ctx context.Context) error {
	none := func(pods []*corev1.Pod) bool { return len(pods) == 0 }
	if _, err := framework.Await(ctx, b, &corev1.PodList{}, none, client.InNamespace(b.namespace)); err != nil {
		return fmt.Errorf("awaiting the end of the pods: %w", err)
	}
	return nil
}

// startMany starts a Deployment and stops it, and tells how long it took until all of its pods were Ready.
func (b *bench) startMany(ctx context.Context, n int) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, turnTime)
	defer cancel()
	d := deployment(b.namespace, string(burst), int32(n))
	began := time.Now()
	if err := b.Create(ctx, d); err != nil {
		return 0, fmt.Errorf("creating a deployment: %w", err)
	}
	if _, err := framework.Await(ctx, b, &corev1.PodList{}, framework.AllReady(n), client.InNamespace(b.namespace)); err != nil {
		return 0, fmt.Errorf("awaiting %d pods: %w", n, err)
	}
	took := time.Since(began)
	if err := b.Delete(ctx, d, client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
		return 0, fmt.Errorf("deleting the deployment: %w", err)
	}
	return took, b.awaitNone(ctx)
}
