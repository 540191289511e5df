package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/woven-cni/woven/test/e2e/framework"
)

// figures are what is counted at one moment.
type figures struct {
	// Memory is the resident memory of each process in KiB: of the cluster's own by name, of a node's by node and name.
	Memory map[string]int `json:"memory_kib"`
	// Flows are the OpenFlow flows of each node, and Tables those of the node that has most, by table.
	Flows  map[string]int `json:"flows"`
	Tables map[int]int    `json:"flows_by_table"`
	// LogicalFlows are the rows of Logical_Flow, and Rows those of each northbound table.
	LogicalFlows int            `json:"logical_flows"`
	Rows         map[string]int `json:"northbound_rows"`
	// Recomputes are how often nodes of northd's engine were computed anew, since it began.
	Recomputes map[string]int `json:"northd_recomputes"`
	// Restarts are those of containers of the system since the run began, but for what the run itself ended.
	Restarts map[string]int `json:"restarts"`
}

// processes lists the resident memory of a node's processes of ours: kibibytes and command line. RSS counts what is shared
// as well: the programs' text, some MB.
const processes = `cd /proc; for p in [0-9]*; do
  [ -r $p/cmdline ] || continue
  c=$(tr '\0' ' ' < $p/cmdline 2>/dev/null) || continue
  case "$c" in *ovn-controller*|*ovs-vswitchd*|*ovsdb-server*|*ovn-northd*|*woven-controller*|*woven-daemon*)
    r=$(grep VmRSS $p/status 2>/dev/null | tr -dc 0-9); [ -n "$r" ] && echo "$r $c";;
  esac
done`

// program tells which process a command line is, and whether each node has one.
func program(command string) (name string, everywhere bool) {
	words := strings.Fields(command)
	if len(words) == 0 {
		return "", false
	}
	switch exe := words[0][strings.LastIndex(words[0], "/")+1:]; exe {
	case "ovn-controller", "ovs-vswitchd", "woven-daemon":
		return exe, true
	case "ovn-northd", "woven-controller":
		return exe, false
	case "ovsdb-server":
		for _, db := range []string{"ovnnb", "ovnsb"} {
			if strings.Contains(command, db+"_db.db") {
				return db, false
			}
		}
		return "ovsdb", true
	}
	return "", false
}

// memory adds the processes of a node. Of two with one name, a program and what it forked, the bigger counts.
func (l *load) memory(ctx context.Context, node string, into map[string]int) error {
	out, err := l.OnNode(ctx, node, processes)
	if err != nil {
		return err
	}
	for line := range strings.Lines(out) {
		size, command, _ := strings.Cut(strings.TrimSpace(line), " ")
		kib, err := strconv.Atoi(size)
		name, everywhere := program(command)
		if err != nil || name == "" {
			continue
		}
		if everywhere {
			name = node + " " + name
		}
		into[name] = max(into[name], kib)
	}
	return nil
}

// measure makes the stage that counts everything.
func (l *load) measure(when string) func(context.Context, *report) error {
	return func(ctx context.Context, r *report) error {
		if l.restarted == nil {
			var err error
			if l.restarted, err = l.restartCounts(ctx); err != nil {
				return err
			}
		}
		f, err := l.figures(ctx)
		if err != nil {
			return err
		}
		r.When = append(r.When, when)
		r.Figures = append(r.Figures, f)
		return nil
	}
}

func (l *load) figures(ctx context.Context) (f figures, err error) {
	f = figures{Memory: map[string]int{}, Flows: map[string]int{}}
	most := 0
	for _, node := range l.Cluster.Nodes {
		if err := l.memory(ctx, node, f.Memory); err != nil {
			return f, err
		}
		tables, err := l.Cluster.Flows(ctx, node)
		if err != nil {
			return f, err
		}
		for _, n := range tables {
			f.Flows[node] += n
		}
		if f.Flows[node] > most {
			most, f.Tables = f.Flows[node], tables
		}
	}
	if f.LogicalFlows, err = l.LogicalFlows(ctx); err != nil {
		return f, err
	}
	if f.Recomputes, err = l.Recomputes(ctx); err != nil {
		return f, err
	}
	db, err := l.OpenNorthbound(ctx)
	if err != nil {
		return f, err
	}
	defer db.Close()
	f.Rows = db.Count()
	f.Restarts, err = l.restartsSince(ctx)
	return f, err
}

func (l *load) restartCounts(ctx context.Context) (map[string]int32, error) {
	var pods corev1.PodList
	if err := l.List(ctx, &pods, client.InNamespace(framework.System)); err != nil {
		return nil, fmt.Errorf("listing the pods of the system: %w", err)
	}
	counts := map[string]int32{}
	for i := range pods.Items {
		for _, s := range pods.Items[i].Status.ContainerStatuses {
			counts[pods.Items[i].Name+" "+s.Name] = s.RestartCount
		}
	}
	return counts, nil
}

func (l *load) restartsSince(ctx context.Context) (map[string]int, error) {
	now, err := l.restartCounts(ctx)
	if err != nil {
		return nil, err
	}
	since := map[string]int{}
	for name, n := range now {
		if n > l.restarted[name] {
			since[name] = int(n - l.restarted[name])
		}
	}
	return since, nil
}
