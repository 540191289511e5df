package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
)

// cost is what pods have cost those who work for them, and those who have no business with them: the pods are bound to fake
// nodes, so the daemons of the cluster's own nodes have nothing to do for them.
type cost struct {
	// PerPod is what the leading controller did for one pod: looks at objects, requests to the API server, transactions.
	PerPod map[string]float64 `json:"controller_per_pod"`
	// Looks are how often the daemons looked at their nodes' kernels.
	Looks map[string]float64 `json:"daemon_looks"`
	// CPU is the share of a processor that each process took, of 1.
	CPU map[string]float64 `json:"cpu"`
}

// Ports of the metrics on the nodes' own loopback interface (docs/metrics.md).
const (
	controllerMetrics = 10660
	daemonMetrics     = 10665
)

// counts are what processes have counted since they began.
type counts struct {
	at         time.Time
	controller map[string]float64 // of the one that leads, by what was counted
	looks      map[string]float64 // of the daemons, by node
	cpu        map[string]float64 // seconds, by process
}

// costs makes a stage that measures what another costs.
func (l *load) costs(stage func(context.Context, *report) error) func(context.Context, *report) error {
	return func(ctx context.Context, r *report) error {
		before, err := l.count(ctx)
		if err != nil {
			return err
		}
		if err := stage(ctx, r); err != nil {
			return err
		}
		after, err := l.count(ctx)
		if err != nil {
			return err
		}
		r.Cost = &cost{
			PerPod: since(before.controller, after.controller, float64(l.size.Pods)),
			Looks:  since(before.looks, after.looks, 1),
			CPU:    since(before.cpu, after.cpu, after.at.Sub(before.at).Seconds()),
		}
		return nil
	}
}

// since is by how much each count has grown, divided.
func since(before, after map[string]float64, by float64) map[string]float64 {
	grown := map[string]float64{}
	for name, n := range after {
		if n > before[name] && by > 0 {
			grown[name] = (n - before[name]) / by
		}
	}
	return grown
}

func (l *load) count(ctx context.Context) (*counts, error) {
	c := &counts{at: time.Now(), controller: map[string]float64{}, looks: map[string]float64{}, cpu: map[string]float64{}}
	leader, err := l.Leader(ctx)
	if err != nil {
		return nil, err
	}
	err = l.metrics(ctx, leader.Spec.NodeName, controllerMetrics, func(name string, labels map[string]string, value float64) {
		switch name {
		case "controller_runtime_reconcile_total":
			c.controller["looks of controller "+labels["controller"]] += value
		case "rest_client_requests_total":
			c.controller["requests "+labels["method"]] += value
		case "woven_ovs_transact_duration_seconds":
			c.controller["transactions"] += value
		case "process_cpu_seconds_total":
			c.cpu["woven-controller"] = value
		}
	})
	if err != nil {
		return nil, err
	}
	for _, node := range l.Cluster.Nodes {
		err := l.metrics(ctx, node, daemonMetrics, func(name string, _ map[string]string, value float64) {
			switch name {
			case "woven_host_look_duration_seconds":
				c.looks[node] = value
			case "process_cpu_seconds_total":
				c.cpu[node+" woven-daemon"] = value
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return c, nil
}

// metrics reads what a process serves at a port of its node.
func (l *load) metrics(ctx context.Context, node string, port int, take func(name string, labels map[string]string, value float64)) error {
	text, err := l.OnNode(ctx, node, fmt.Sprintf("curl -sSgf --max-time 60 http://127.0.0.1:%d/metrics", port))
	if err == nil {
		err = readMetrics(text, take)
	}
	if err != nil {
		return fmt.Errorf("reading the metrics of port %d of %s: %w", port, node, err)
	}
	return nil
}

// readMetrics reads each counter's value, and how much each histogram has counted.
func readMetrics(text string, take func(name string, labels map[string]string, value float64)) error {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text + "\n"))
	if err != nil {
		return fmt.Errorf("parsing: %w", err)
	}
	for name, family := range families {
		for _, metric := range family.GetMetric() {
			labels := map[string]string{}
			for _, pair := range metric.GetLabel() {
				labels[pair.GetName()] = pair.GetValue()
			}
			value := metric.GetCounter().GetValue()
			if h := metric.GetHistogram(); h != nil {
				value = float64(h.GetSampleCount())
			}
			take(name, labels, value)
		}
	}
	return nil
}

// addRecordedPods makes the pods and waits until each has been told its address and has its IP object: no work for them is left.
func (l *load) addRecordedPods(ctx context.Context, r *report) error {
	recorded := l.follow(ctx, &v1.IPList{}, func(obj client.Object) bool { return obj.(*v1.IP).Spec.Namespace == namespace })
	if err := l.addPods(ctx, r); err != nil {
		return err
	}
	_, err := recorded.await(ctx, l.size.Pods)
	return err
}
