// Command policy measures on a running cluster how long policies take: from the request that creates, edits or deletes
// one to the first packet that meets it, while many others are in force and a big set of addresses is in the database.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
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
	rounds := flag.Int("rounds", 50, "how often a policy is created, edited and deleted")
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
	b := &bench{Cluster: cluster, changes: make(chan framework.Change, 100), figures: map[string][]time.Duration{}}
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

// bench is a client that calls a server all the time, and what became of it.
type bench struct {
	*framework.Cluster
	namespace      string
	server, client *corev1.Pod
	changes        chan framework.Change
	figures        map[string][]time.Duration
}

// prepare starts the two pods, on two nodes, and the calls. Each round has labels of its own, so that its groups are new.
func (b *bench) prepare(ctx context.Context, rounds int) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "bench-policy-"}}
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
	go b.background(func() error { return b.Serve(ctx, b.server) })
	go b.background(func() error {
		return b.WatchAnswers(ctx, b.client, b.server, pace, func(c framework.Change) { b.changes <- c })
	})
	_, err := b.await(ctx, true)
	return err
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

// await waits until calls are answered, or are not, and tells since when.
func (b *bench) await(ctx context.Context, answered bool) (time.Time, error) {
	const patience = 30 * time.Second
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("answers did not become %t in %s", answered, patience))
	defer cancel()
	for {
		select {
		case c := <-b.changes:
			if c.Answered == answered {
				return c.At, nil
			}
		case <-ctx.Done():
			return time.Time{}, context.Cause(ctx)
		}
	}
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

func letIn(pods map[string]string) networkingv1.NetworkPolicyIngressRule {
	return networkingv1.NetworkPolicyIngressRule{From: []networkingv1.NetworkPolicyPeer{
		{PodSelector: &metav1.LabelSelector{MatchLabels: pods}},
	}}
}

func (b *bench) policy(name string, pods map[string]string, rules ...networkingv1.NetworkPolicyIngressRule) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace, Name: name}, Spec: networkingv1.NetworkPolicySpec{
		PodSelector: metav1.LabelSelector{MatchLabels: pods},
		PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}, Ingress: rules,
	}}
}

func roundLabel(n int) string { return fmt.Sprint("round-", n) }

// round creates a policy that denies, edits it to let in and to deny again, has a label take the pod out of it and in
// again, and deletes it.
func (b *bench) round(ctx context.Context, n int) error {
	pods := func(app string) map[string]string { return map[string]string{"app": app, roundLabel(n): app} }
	p := b.policy("measured", pods("server"), letIn(pods("nobody")))
	edit := func(app string) func() error {
		return func() error {
			before := p.DeepCopy()
			p.Spec.Ingress[0] = letIn(pods(app))
			return b.Patch(ctx, p, client.MergeFrom(before))
		}
	}
	relabel := func(app string) func() error {
		return func() error {
			before := b.server.DeepCopy()
			b.server.Labels["app"] = app
			return b.Patch(ctx, b.server, client.MergeFrom(before))
		}
	}
	for _, step := range []struct {
		what     string
		answered bool
		do       func() error
	}{
		{"create, to deny", false, func() error { return b.Create(ctx, p) }},
		{"edit, to let in", true, edit("client")},
		{"edit, to deny", false, edit("nobody")},
		{"label, to leave", true, relabel("free")},
		{"label, to join", false, relabel("server")},
		{"delete", true, func() error { return b.Delete(ctx, p) }},
	} {
		began := time.Now()
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
		at, err := b.await(ctx, step.answered)
		if err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
		b.figures[step.what] = append(b.figures[step.what], at.Sub(began))
	}
	return nil
}

func (b *bench) print() {
	fmt.Printf("%-18s %8s %8s %8s %8s   from the request to the first packet\n", "", "p50", "p90", "p99", "max")
	for _, what := range []string{"create, to deny", "edit, to let in", "edit, to deny", "label, to leave", "label, to join", "delete"} {
		all := slices.Sorted(slices.Values(b.figures[what]))
		fmt.Printf("%-18s", what)
		for _, q := range []float64{0.5, 0.9, 0.99, 1} {
			fmt.Printf(" %8s", all[min(int(q*float64(len(all))), len(all)-1)].Round(time.Millisecond))
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
