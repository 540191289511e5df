// Command scale fills a running cluster with nodes, Subnets and pods that exist as objects only, and prints what they cost:
// how fast they get their networks, and what each process and each real node has to hold for them. Afterwards it takes all
// of it away and looks again.
//
// The nodes have an address, no kubelet and no chassis, and the pods are bound to them. To Woven's controller, to OVN's
// databases and to northd they are as good as real ones. The cluster's own nodes are the chassis: what each of them holds
// for the Subnets and nodes of the others is what a chassis of a cluster of that size does.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/woven-cni/woven/test/e2e/framework"
)

// options are how much there is to be.
type options struct {
	Nodes, Subnets, Pods int
	out                  string
	restarts             bool
}

// limits of what the plan of addresses has room for.
const (
	maxNodes, maxSubnets = 60_000, 8 * subnetsPerOctet
	podsPerSubnet        = 1000
)

func main() {
	var o options
	flag.IntVar(&o.Nodes, "nodes", 20, "nodes that exist as objects")
	flag.IntVar(&o.Subnets, "subnets", 10, "Subnets")
	flag.IntVar(&o.Pods, "pods", 2000, "pods, shared out among the nodes and the Subnets")
	flag.StringVar(&o.out, "json", "", "a file for the figures")
	flag.BoolVar(&o.restarts, "restarts", true, "restart the controllers as well")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (o options) check() error {
	switch {
	case o.Nodes < 1 || o.Nodes > maxNodes || o.Subnets < 1 || o.Subnets > maxSubnets || o.Pods < 0:
		return fmt.Errorf("from 1 to %d nodes and from 1 to %d Subnets, please", maxNodes, maxSubnets)
	case o.Pods > o.Subnets*podsPerSubnet:
		return fmt.Errorf("%d Subnets have room for %d pods", o.Subnets, o.Subnets*podsPerSubnet)
	}
	return nil
}

// run measures. What has been measured is printed also when something fails on the way.
func run(ctx context.Context, o options) (err error) {
	if err := o.check(); err != nil {
		return err
	}
	cluster, err := framework.Connect(ctx)
	if err != nil {
		return err
	}
	stopTools, err := cluster.StartTools(ctx)
	if err != nil {
		return err
	}
	l := &load{Cluster: cluster, size: o}
	beating, stopBeating := context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		stopBeating()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Minute)
		defer cancel()
		err = errors.Join(err, l.remove(ctx), stopTools(ctx))
	}()
	if err := l.remove(ctx); err != nil { // of a run before that was killed
		return err
	}
	r := &report{Options: o}
	defer func() { err = errors.Join(err, r.write(o.out)) }()
	beat := func(nodes []*corev1.Node) {
		go func() {
			if err := cluster.Heartbeats(beating, nodes); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}()
	}
	return l.stages(ctx, r, beat)
}

// stages are the run, from an empty cluster to a full one and back.
func (l *load) stages(ctx context.Context, r *report, beat func([]*corev1.Node)) error {
	for _, stage := range []struct {
		name string
		do   func(context.Context, *report) error
	}{
		{"counting what is there before", l.measure("before")},
		{"nodes", func(ctx context.Context, r *report) error { return l.addNodes(ctx, r, beat) }},
		{"Subnets", l.addSubnets},
		{"pods", l.costs(l.addRecordedPods)},
		{"awaiting every chassis", l.sync},
		{"counting what there is", l.measure("full")},
		{"ending the leader of the controllers", l.when(l.size.restarts, l.endLeader)},
		{"killing all controllers", l.when(l.size.restarts, l.killControllers)},
		{"deleting all", l.empty},
		{"counting what is left", l.measure("after")},
	} {
		began := time.Now()
		fmt.Fprintf(os.Stderr, "%s %s …", began.Format(time.TimeOnly), stage.name)
		if err := stage.do(ctx, r); err != nil {
			fmt.Fprintln(os.Stderr)
			return fmt.Errorf("%s: %w", stage.name, err)
		}
		fmt.Fprintf(os.Stderr, " %s\n", time.Since(began).Round(time.Millisecond))
	}
	return nil
}

func (l *load) when(yes bool, do func(context.Context, *report) error) func(context.Context, *report) error {
	if yes {
		return do
	}
	return func(context.Context, *report) error { return nil }
}

// write prints the table, and writes the figures to a file where one is named.
func (r *report) write(path string) error {
	r.print(os.Stdout)
	if path == "" {
		return nil
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the figures: %w", err)
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
