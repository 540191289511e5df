package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/build"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/conformance"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/sandbox"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/spec"
)

// Prepare makes or finds all that a cluster and the upstream suites are made of.
func Prepare(ctx context.Context, dir sandbox.Dir, c spec.Cluster) error {
	r := newRun(dir, c)
	if err := build.InstallHostPackages(ctx, r.log.Say); err != nil {
		return fmt.Errorf("installing packages on this machine: %w", err)
	}
	if err := r.artefacts(ctx); err != nil {
		return err
	}
	return r.suites(ctx)
}

// suites makes or finds the upstream suites and lays them out.
func (r *run) suites(ctx context.Context) error {
	a, err := build.Conformance(r.dir.Module())
	if err != nil {
		return err
	}
	dir, err := r.cache.Ensure(ctx, a)
	if err != nil {
		return err
	}
	return build.Link(dir, r.suiteDir())
}

func (r *run) suiteDir() string { return r.dir.Path("suites") }

// Conformance runs upstream suites on the cluster that runs, or starts one if none runs that is as asked, and writes
// docs/conformance.md. It fails if any spec neither passed nor has a reason in the table. The variable SUITE has the
// names of suites with commas between them, none for all; FOCUS is a pattern on the names of specs. The report is about
// whole suites: with FOCUS, or for short alone, it stays as it is.
func Conformance(ctx context.Context, dir sandbox.Dir, getenv func(string) string) error {
	suites, err := conformance.Choose(getenv("SUITE"))
	if err != nil {
		return err
	}
	r, err := running(ctx, dir, getenv)
	if err != nil {
		return err
	}
	if err := r.suites(ctx); err != nil {
		return err
	}
	runner, err := r.runner(ctx, getenv("FOCUS"))
	if err != nil {
		return err
	}
	var errs []error
	for _, s := range suites {
		r.log.Say("\n%s: %s", s.Name, s.About)
		errs = append(errs, r.conform(ctx, runner, s))
		if ctx.Err() != nil {
			break
		}
	}
	if runner.Focus == "" && slices.ContainsFunc(suites, conformance.Suite.Reported) {
		errs = append(errs, r.writeReport(runner.Reasons))
	}
	return errors.Join(errs...)
}

// running is the cluster of this checkout if one runs that is as asked, and a new one if not.
func running(ctx context.Context, dir sandbox.Dir, getenv func(string) string) (*run, error) {
	if r, err := attach(dir); err == nil && r.complete(ctx) == nil {
		if c, err := r.spec.Changed(getenv); err == nil && c == r.spec {
			return r, nil
		}
	}
	c, err := spec.FromEnv(getenv)
	if err != nil {
		return nil, fmt.Errorf("reading what cluster is asked for: %w", err)
	}
	if err := Up(ctx, dir, c); err != nil {
		return nil, err
	}
	return attach(dir)
}

// complete says whether the cluster has come up: one that was killed halfway has no CoreDNS, which comes last.
func (r *run) complete(ctx context.Context) error {
	for _, ask := range []func(context.Context) error{
		r.client.APIReady, r.client.NodesReady, r.client.DeploymentReady("kube-system", "coredns"),
	} {
		if err := ask(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) runner(ctx context.Context, focus string) (conformance.Runner, error) {
	reasons, err := conformance.LoadReasons()
	if err != nil {
		return conformance.Runner{}, err
	}
	version, err := r.version(ctx)
	if err != nil {
		return conformance.Runner{}, err
	}
	machine, cluster, err := r.describe(ctx)
	if err != nil {
		return conformance.Runner{}, err
	}
	return conformance.Runner{
		Machine: machine, About: cluster,
		Cluster: r.spec, Programs: r.suiteDir(), Kubeconfig: r.dir.Kubeconfig(), Kubectl: filepath.Join(r.dir.Bin(), "kubectl"),
		Out: r.dir.Path("conformance"), Version: version, Focus: focus,
		Reasons: reasons, Facts: conformance.Facts(r.spec), Say: r.log.Say,
	}, nil
}

// version is the commit of the checkout, with a mark if the code differs from it. The reports are no code.
func (r *run) version(ctx context.Context) (string, error) {
	git := func(args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, "git", args...)
		cmd.Dir = r.dir.Checkout
		out, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("asking git for the version: %w", err)
		}
		return strings.TrimSpace(string(out)), nil
	}
	commit, err := git("rev-parse", "--short", "HEAD")
	if err != nil {
		return "", err
	}
	changed, err := git("status", "--porcelain", "--", ".", ":!docs/conformance.md", ":!docs/network-policy-api")
	if changed != "" {
		commit += "-dirty"
	}
	return commit, err
}

// conform runs one suite, keeps its result and says how it went.
func (r *run) conform(ctx context.Context, runner conformance.Runner, s conformance.Suite) error {
	if s.OwnKernel {
		away, err := r.onVirtualMachines(ctx)
		if err != nil {
			return fmt.Errorf("suite %s: %w", s.Name, err)
		}
		defer away()
	}
	before, err := r.client.Restarts(ctx)
	if err != nil {
		return err
	}
	result, err := runner.Run(ctx, s)
	if err != nil {
		return fmt.Errorf("suite %s: %w", s.Name, err)
	}
	r.log.Say("%s", runner.Reasons.Summary(result))
	unexplained := runner.Reasons.Unexplained(result)
	for _, sp := range unexplained {
		says, _, _ := strings.Cut(sp.Says, "\n")
		r.log.Say("  %s: %s: %s", sp.State, sp.Name, says)
	}
	if runner.Focus == "" && s.Reported() {
		if err := errors.Join(result.Save(r.results()), runner.Publish(s, r.published())); err != nil {
			return err
		}
	}
	if err := r.steady(ctx, before); err != nil {
		return fmt.Errorf("suite %s: %w", s.Name, err)
	}
	if len(unexplained) > 0 {
		return fmt.Errorf("suite %s: %d specs neither passed nor have a reason", s.Name, len(unexplained))
	}
	if passed := result.Count(conformance.Passed); runner.Focus == "" && passed < s.Least {
		return fmt.Errorf("suite %s: %d specs passed, which is fewer than there are: at least %d", s.Name, passed, s.Least)
	}
	return nil
}

// steady says whether the plugin's programs run as they ran before. No spec kills one: what has restarted has crashed, and a
// suite that passes over that says little.
func (r *run) steady(ctx context.Context, before map[string]int32) error {
	after, err := r.client.Restarts(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if n := after[name] - before[name]; n > 0 {
			errs = append(errs, fmt.Errorf("%s has restarted %d times meanwhile", name, n))
		}
	}
	return errors.Join(errs...)
}

// onVirtualMachines has new pods go to virtual machines only, until away is called.
func (r *run) onVirtualMachines(ctx context.Context) (away func(), err error) {
	if r.spec.VMNodes == 0 {
		return nil, errors.New("it needs virtual machines: VM_NODES=2")
	}
	var others []string
	for _, n := range r.nodes[:r.spec.Nodes] {
		others = append(others, n.Name)
	}
	away = func() {
		// Also when somebody has lost patience.
		if _, err := r.client.Kubectl(context.WithoutCancel(ctx), "", append([]string{"uncordon"}, others...)...); err != nil {
			r.log.Say("%v", err)
		}
	}
	if _, err := r.client.Kubectl(ctx, "", append([]string{"cordon"}, others...)...); err != nil {
		away()
		return nil, err
	}
	return away, nil
}

// results is where the last result of each suite is kept, for reports.
func (r *run) results() string { return r.dir.Path("conformance", "results") }

// published is where reports are kept in the form in which upstream collects them.
func (r *run) published() string { return filepath.Join(r.dir.Checkout, "docs", "network-policy-api") }

// describe says on what machine and in what cluster the suites ran.
func (r *run) describe(ctx context.Context) (machine, cluster string, err error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "", "", fmt.Errorf("asking the kernel for its name: %w", err)
	}
	nodes, err := r.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", "", fmt.Errorf("asking the nodes for their versions: %w", err)
	}
	info := nodes.Items[0].Status
	machine = fmt.Sprintf("Linux %s, %s processors, %s of memory", unix.ByteSliceToString(name.Release[:]),
		info.Capacity.Cpu(), info.Capacity.Memory())
	return machine, fmt.Sprintf("Kubernetes %s, %s, network plugin %s", info.NodeInfo.KubeletVersion,
		info.NodeInfo.ContainerRuntimeVersion, r.spec.CNI), nil
}

func (r *run) writeReport(reasons conformance.Reasons) error {
	results, err := conformance.Load(r.results())
	if err != nil {
		return err
	}
	path := filepath.Join(r.dir.Checkout, "docs", "conformance.md")
	former, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the former report: %w", err)
	}
	if err := os.WriteFile(path, []byte(reasons.Report(results, string(former))), 0o644); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	r.log.Say("written: %s", path)
	return nil
}
