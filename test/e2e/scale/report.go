package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"
)

// report is what a run brought.
type report struct {
	Options options `json:"options"`
	// NodesTold and SubnetsReady are from the first request to the last object that is as it should be.
	NodesTold    time.Duration `json:"nodes_told_ns"`
	SubnetsReady time.Duration `json:"subnets_ready_ns"`
	// PodsCreated is how long the API server took to take all pods, PodsTold until the last had its address.
	PodsCreated time.Duration `json:"pods_created_ns"`
	PodsTold    time.Duration `json:"pods_told_ns"`
	// PodP50 and PodP99 are from a pod's creation to its address.
	PodP50 time.Duration `json:"pod_p50_ns"`
	PodP99 time.Duration `json:"pod_p99_ns"`
	// Cost is what the pods cost until all of them had their address.
	Cost *cost `json:"cost"`
	// Installed is how long the chassis took from then on until all was installed.
	Installed time.Duration `json:"installed_ns"`
	// LeaderEnds and AllKilled are what followed when controllers ended; nil if they were left alone.
	LeaderEnds *restart `json:"leader_ends"`
	AllKilled  *restart `json:"all_killed"`
	// Deleted is how long it took until all was gone.
	Deleted time.Duration `json:"deleted_ns"`
	// When are the moments at which Figures were counted.
	When    []string  `json:"when"`
	Figures []figures `json:"figures"`

	latencies []time.Duration
}

func (r *report) quantiles() {
	if n := len(r.latencies); n > 0 {
		slices.Sort(r.latencies)
		r.PodP50, r.PodP99 = r.latencies[n/2], r.latencies[min(n-1, n*99/100)]
	}
}

// print writes the one table: the run's times first, then what was counted, a column for each moment.
func (r *report) print(out io.Writer) {
	r.quantiles()
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "%d nodes, %d Subnets, %d pods\n", r.Options.Nodes, r.Options.Subnets, r.Options.Pods)
	timed := func(what string, d time.Duration) {
		fmt.Fprintf(t, "%s\t%s\n", what, d.Round(10*time.Millisecond))
	}
	timed("all nodes have their address after", r.NodesTold)
	timed("all Subnets are Ready after", r.SubnetsReady)
	timed("all pods are created after", r.PodsCreated)
	timed("all pods have their address after", r.PodsTold)
	if r.PodsTold > 0 {
		fmt.Fprintf(t, "pods a second\t%.0f\n", float64(r.Options.Pods)/r.PodsTold.Seconds())
	}
	timed("a pod's address, p50", r.PodP50)
	timed("a pod's address, p99", r.PodP99)
	timed("installed on all chassis after another", r.Installed)
	restarted := func(what string, end *restart) {
		if end != nil {
			timed(what+": first new pod after", end.FirstPod)
			fmt.Fprintf(t, "%s: writes until then\t%d\n", what, end.Writes)
		}
	}
	restarted("the leader ends", r.LeaderEnds)
	restarted("all controllers are killed", r.AllKilled)
	timed("deleted after", r.Deleted)
	r.Cost.print(t)
	r.printFigures(t)
	t.Flush()
}

// print writes a line for each thing that was counted.
func (c *cost) print(t io.Writer) {
	if c == nil {
		return
	}
	lines := func(format string, of map[string]float64) {
		for _, name := range slices.Sorted(maps.Keys(of)) {
			fmt.Fprintf(t, format+"\n", name, of[name])
		}
	}
	lines("a pod costs the controller: %s\t%.2f", c.PerPod)
	for _, name := range slices.Sorted(maps.Keys(c.CPU)) {
		fmt.Fprintf(t, "while pods come elsewhere: CPU of %s\t%.2f %%\n", name, 100*c.CPU[name])
	}
	lines("while pods come elsewhere: looks of %s\t%.0f", c.Looks)
}

func (r *report) printFigures(t io.Writer) {
	fmt.Fprint(t, "\t")
	for _, when := range r.When {
		fmt.Fprintf(t, "%s\t", when)
	}
	fmt.Fprintln(t)
	r.counts(t, "memory of %s, MiB", func(f figures) map[string]int {
		mib := map[string]int{}
		for name, kib := range f.Memory {
			mib[name] = (kib + 512) / 1024
		}
		return mib
	})
	r.counts(t, "OpenFlow flows of %s", func(f figures) map[string]int { return f.Flows })
	r.counts(t, "%s", func(f figures) map[string]int { return map[string]int{"logical flows": f.LogicalFlows} })
	r.counts(t, "rows of %s", func(f figures) map[string]int { return f.Rows })
	r.counts(t, "northd computes anew: %s", func(f figures) map[string]int {
		return map[string]int{"northd": f.Recomputes["northd"], "lflow": f.Recomputes["lflow"]}
	})
	r.counts(t, "restarts of %s", func(f figures) map[string]int { return f.Restarts })
	r.counts(t, "flows of table %s", func(f figures) map[string]int {
		tables := map[string]int{}
		for table, n := range f.Tables {
			tables[fmt.Sprintf("%3d", table)] = n
		}
		return tables
	})
}

// counts prints one kind of figures, a line for each name that any moment has.
func (r *report) counts(t io.Writer, format string, of func(figures) map[string]int) {
	names := map[string]bool{}
	for _, f := range r.Figures {
		for name := range of(f) {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		fmt.Fprintf(t, format+"\t", name)
		for _, f := range r.Figures {
			fmt.Fprintf(t, "%d\t", of(f)[name])
		}
		fmt.Fprintln(t)
	}
}
