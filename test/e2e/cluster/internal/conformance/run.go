package conformance

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/spec"
)

// Runner runs suites on one cluster.
type Runner struct {
	Cluster    spec.Cluster
	Machine    string // what the machine and the cluster are, for the report
	About      string
	Programs   string // the directory of e2e.test, policyapi.test and ginkgo
	Kubeconfig string
	Kubectl    string
	Out        string // the directory for what the suites print
	Version    string // Woven's
	Focus      string // a further pattern on the names of specs; empty for none
	Reasons    Reasons
	Facts      map[string]Fact
	Say        func(string, ...any)
}

// Run runs a suite. Specs that fail are part of the result and no error.
func (r Runner) Run(ctx context.Context, s Suite) (Result, error) {
	started := time.Now()
	if s.OwnKernel {
		r.Facts = withoutKernel(r.Facts)
	}
	run := r.kubernetes
	if s.policyAPI {
		run = r.policyAPI
	}
	out := r.output(s)
	if err := os.RemoveAll(out); err != nil {
		return Result{}, fmt.Errorf("clearing what a former run printed: %w", err)
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return Result{}, fmt.Errorf("making a directory for what the suite prints: %w", err)
	}
	specs, err := run(ctx, s, out)
	return Result{
		Suite: s.Name, Family: r.Cluster.Family, Nodes: r.Cluster.Machines(), Started: started.UTC().Round(time.Second),
		Took: time.Since(started), Specs: specs, Facts: r.Facts, Woven: r.Version, Machine: r.Machine, Cluster: r.About,
	}, err
}

// output is the directory for what a suite prints.
func (r Runner) output(s Suite) string {
	return filepath.Join(r.Out, string(r.Cluster.Family)+"-"+s.Name)
}

// Publish copies the report that a suite of network-policy-api wrote of its last run into a directory, unchanged: it is the
// file that upstream collects (https://github.com/kubernetes-sigs/network-policy-api/tree/main/conformance/reports). Other
// suites write no such report.
func (r Runner) Publish(s Suite, dir string) error {
	if !s.policyAPI {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(r.output(s), upstreamReport))
	if err != nil {
		return fmt.Errorf("reading the report for upstream: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making the directory of reports for upstream: %w", err)
	}
	return os.WriteFile(filepath.Join(dir, string(r.Cluster.Family)+"-"+s.Name+".yaml"), text, 0o644)
}

// upstreamReport is the file, among what a suite of network-policy-api prints, that has its report in upstream's form.
const upstreamReport = "report.yaml"

// kubernetes runs specs of Kubernetes' end-to-end tests.
func (r Runner) kubernetes(ctx context.Context, s Suite, out string) ([]Spec, error) {
	focus := []string{s.Focus, r.Focus}
	args := []string{
		fmt.Sprintf("--procs=%d", s.Procs), "--no-color", "--silence-skips", "--timeout=3h",
		"--label-filter=(" + s.Labels + ")" + r.Reasons.leftOut(r.Cluster.Family, r.Facts),
		"--output-dir=" + out, "--json-report=report.json",
	}
	if f := both(focus...); f != "" {
		args = append(args, "--focus="+f)
	}
	args = append(args, filepath.Join(r.Programs, "e2e.test"), "--",
		"--provider=skeleton", "--kubeconfig="+r.Kubeconfig, "--kubectl-path="+r.Kubectl, "--e2e-output-dir="+out,
		fmt.Sprintf("--num-nodes=%d", r.Cluster.All()), "--allowed-not-ready-nodes=0", "--non-blocking-taints=",
		"--dns-domain=cluster.local")
	if err := r.printTo(filepath.Join(out, "out.log"), command(ctx, filepath.Join(r.Programs, "ginkgo"), args...)); err != nil {
		return nil, err
	}
	return readReport(filepath.Join(out, "report.json"), s, both(focus...))
}

// emulated is how many times as long to wait on machines that are emulated, where it takes seconds to start a command in a pod.
const emulated = "6"

// policyAPI runs the conformance suite of network-policy-api.
func (r Runner) policyAPI(ctx context.Context, s Suite, out string) ([]Spec, error) {
	args := []string{
		"-test.v", "-test.timeout=90m", "-kubeconfig=" + r.Kubeconfig, "-woven-version=" + r.Version,
		"-report=" + filepath.Join(out, upstreamReport),
	}
	if s.OwnKernel {
		args = append(args, "-patience="+emulated)
	}
	if focus := cmp.Or(r.Focus, s.Focus); focus != "" {
		args = append(args, "-test.run=TestConformance/"+focus)
	}
	log := filepath.Join(out, "out.log")
	if err := r.printTo(log, command(ctx, filepath.Join(r.Programs, "policyapi.test"), args...)); err != nil {
		return nil, err
	}
	f, err := os.Open(log)
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", s.Name, err)
	}
	defer f.Close()
	return readGoTest(f)
}

// command is a suite's command. When somebody loses patience, it is asked to end and gets time to clean up.
func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(unix.SIGINT) }
	cmd.WaitDelay = 2 * time.Minute
	return cmd
}

// printTo runs a suite with its output in a file. That specs fail is no error here: the report says it.
func (r Runner) printTo(log string, cmd *exec.Cmd) error {
	f, err := os.Create(log)
	if err != nil {
		return fmt.Errorf("making the log: %w", err)
	}
	defer f.Close()
	fmt.Fprintf(f, "%s\n\n", strings.Join(cmd.Args, " "))
	p := &progress{out: f, say: r.Say}
	cmd.Stdout, cmd.Stderr = p, p
	r.Say("%s: its output is in %s", filepath.Base(cmd.Path), log)
	err = cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.Exited() {
		return nil
	}
	if err != nil {
		return fmt.Errorf("running %s (see %s): %w", filepath.Base(cmd.Path), log, err)
	}
	return nil
}

// both is a pattern for names in which all the given patterns are found, in any order. Go's patterns have no such thing,
// so that two are tried in both orders; that covers what is needed here.
func both(patterns ...string) string {
	var set []string
	for _, p := range patterns {
		if p != "" {
			set = append(set, "("+p+")")
		}
	}
	if len(set) < 2 {
		return strings.Join(set, "")
	}
	return set[0] + ".*" + set[1] + "|" + set[1] + ".*" + set[0]
}

// progress passes on what a suite prints, and tells of it what somebody who waits wants to know.
type progress struct {
	out   io.Writer
	say   func(string, ...any)
	line  []byte // the one that is not complete yet
	ended int
	named bool // the next line is the name of a spec that failed
}

// Write looks for ginkgo's dot, one for each spec that has ended, and for the names of those that failed.
func (p *progress) Write(b []byte) (int, error) {
	before := p.ended
	p.ended += bytes.Count(b, []byte("•"))
	const step = 10
	if p.ended/step > before/step {
		p.say("%4d specs have ended", p.ended)
	}
	p.line = append(p.line, b...)
	for {
		line, rest, whole := bytes.Cut(p.line, []byte("\n"))
		if !whole {
			break
		}
		if p.named {
			p.say("failed: %s", line)
		}
		p.named = bytes.Contains(line, []byte("• [FAILED]")) || bytes.Contains(line, []byte("• [PANICKED]"))
		p.line = rest
	}
	return p.out.Write(b)
}
