// Command latency measures on a running cluster how long policies and endpoints of Services take: from the request that
// changes one to the first packet that meets the change, while many policies are in force and a big set of addresses is in
// the database.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/signal"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/woven-cni/woven/test/e2e/framework"
)

// pace is how often the client calls; a figure is as exact as that.
const pace = 4 * time.Millisecond

func main() {
	policies := flag.Int("policies", 1000, "other policies that are in force")
	blocks := flag.Int("blocks", 10_000, "networks that one of them lets in")
	rounds := flag.Int("rounds", 50, "how often each change is made")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *policies, *blocks, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, policies, blocks, rounds int) (err error) {
	cluster, err := framework.Connect(ctx)
	if err != nil {
		return err
	}
	if err := cluster.BuildProbe(ctx); err != nil {
		return err
	}
	b := &bench{Cluster: cluster, figures: map[string][]time.Duration{}}
	defer func() { err = errors.Join(err, b.end()) }()
	if err := b.prepare(ctx, rounds); err != nil {
		return err
	}
	began := time.Now()
	if err := b.crowd(ctx, policies, blocks); err != nil {
		return err
	}
	fmt.Printf("%d policies and one of %d networks, from the first request to the last node: %s\n",
		policies, blocks, time.Since(began).Round(time.Millisecond))
	for n := range rounds {
		if err := b.round(ctx, n); err != nil {
			return err
		}
	}
	b.print()
	return nil
}

// bench is a client that calls a server all the time, by its address and by a Service, and what became of it.
type bench struct {
	*framework.Cluster
	namespace         string
	server, client    *corev1.Pod
	service           *corev1.Service
	endpoints         *discoveryv1.EndpointSlice
	byAddress, byName *answers
	order             []string // of figures
	figures           map[string][]time.Duration
}

// prepare starts the two pods, on two nodes, and the calls. Each round has labels of its own, so that its groups are new.
func (b *bench) prepare(ctx context.Context, rounds int) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "bench-latency-"}}
	if err := b.Create(ctx, ns); err != nil {
		return fmt.Errorf("creating a namespace: %w", err)
	}
	b.namespace = ns.Name
	for i, name := range []string{"server", "client"} {
		p := framework.Server(name, framework.On(b.Nodes[i%len(b.Nodes)]))
		p.Namespace = b.namespace
		for n := range rounds {
			p.Labels[roundLabel(n)] = name
		}
		if err := b.create(ctx, p); err != nil {
			return err
		}
		ready, err := framework.AwaitOne(ctx, b, &corev1.PodList{}, client.ObjectKeyFromObject(p), framework.Ready)
		if err != nil {
			return fmt.Errorf("awaiting pod %s: %w", name, err)
		}
		if err := b.Install(ctx, ready); err != nil {
			return fmt.Errorf("installing the probe: %w", err)
		}
		if name == "server" {
			b.server = ready
		} else {
			b.client = ready
		}
	}
	if err := b.serve(ctx); err != nil {
		return err
	}
	go b.background(func() error { return b.Serve(ctx, b.server) })
	b.byAddress, b.byName = b.call(ctx, b.server.Status.PodIP), b.call(ctx, b.service.Spec.ClusterIP)
	for _, a := range []*answers{b.byAddress, b.byName} {
		if _, err := a.await(ctx, true); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) background(run func() error) {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

// create waits for the service account that a new namespace does not have yet.
func (b *bench) create(ctx context.Context, p *corev1.Pod) error {
	account := client.ObjectKey{Namespace: p.Namespace, Name: "default"}
	if _, err := framework.AwaitOne(ctx, b, &corev1.ServiceAccountList{}, account, func(*corev1.ServiceAccount) bool { return true }); err != nil {
		return fmt.Errorf("awaiting the service account: %w", err)
	}
	if err := b.Create(ctx, p); err != nil {
		return fmt.Errorf("creating pod %s: %w", p.Name, err)
	}
	return nil
}

// crowd puts other policies in force, each about one of some pods, with a selector of its own.
func (b *bench) crowd(ctx context.Context, policies, blocks int) error {
	const pods = 10
	for n := range pods {
		p := framework.Idle(fmt.Sprint("crowd-", n), framework.On(b.Nodes[n%len(b.Nodes)]))
		p.Namespace = b.namespace
		for i := n; i < policies; i += pods {
			p.Labels[fmt.Sprint("other-", i)] = "yes"
		}
		if err := b.Create(ctx, p); err != nil {
			return fmt.Errorf("creating a pod: %w", err)
		}
	}
	if _, err := framework.Await(ctx, b, &corev1.PodList{}, framework.AllReady(pods+2), client.InNamespace(b.namespace)); err != nil {
		return fmt.Errorf("awaiting the pods: %w", err)
	}
	const writers = 8
	var wg sync.WaitGroup
	errs := make([]error, writers)
	for w := range writers {
		wg.Go(func() {
			for i := w; i < policies && errs[w] == nil; i += writers {
				name := fmt.Sprint("other-", i)
				errs[w] = b.Create(ctx, b.policy(name, map[string]string{name: "yes"}, letIn(map[string]string{"app": "client"})))
			}
		})
	}
	wg.Wait()
	var networks networkingv1.NetworkPolicyIngressRule
	for i := range blocks {
		// Every second /28, so that nothing can be merged.
		cidr := fmt.Sprintf("11.%d.%d.%d/28", i>>11, i>>3&255, i&7*32)
		networks.From = append(networks.From, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: cidr}})
	}
	big := b.policy("big", map[string]string{"other-0": "yes"}, networks)
	if err := errors.Join(errors.Join(errs...), b.Create(ctx, big)); err != nil {
		return fmt.Errorf("creating policies: %w", err)
	}
	told := func(all []*networkingv1.NetworkPolicy) bool {
		return len(all) == policies+1 && !slices.ContainsFunc(all, func(p *networkingv1.NetworkPolicy) bool { return len(p.Annotations) == 0 })
	}
	if _, err := framework.Await(ctx, b, &networkingv1.NetworkPolicyList{}, told, client.InNamespace(b.namespace)); err != nil {
		return fmt.Errorf("awaiting the policies: %w", err)
	}
	return b.Synced(ctx)
}

// note keeps a figure.
func (b *bench) note(what string, took time.Duration) {
	if _, known := b.figures[what]; !known {
		b.order = append(b.order, what)
	}
	b.figures[what] = append(b.figures[what], took)
}

func (b *bench) print() {
	fmt.Printf("%-24s %8s %8s %8s %8s   from the request to the first packet\n", "", "p50", "p90", "p99", "max")
	for _, what := range b.order {
		all := slices.Sorted(slices.Values(b.figures[what]))
		fmt.Printf("%-24s", what)
		for _, q := range []float64{0.5, 0.9, 0.99, 1} {
			fmt.Printf(" %8s", all[int(math.Ceil(q*float64(len(all))))-1].Round(time.Millisecond)) // the nearest rank
		}
		fmt.Println()
	}
}

// end leaves the cluster as it was.
func (b *bench) end() error {
	if b.namespace == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return b.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: b.namespace}})
}
