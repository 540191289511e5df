package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/build"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/demo"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/node"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/sandbox"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/spec"
)

// Status prints one screen about the cluster that runs.
func Status(ctx context.Context, dir sandbox.Dir) error {
	r, err := attach(dir)
	if err != nil {
		return err
	}
	r.log.Say("%s, %s, network plugin %s, kubeconfig %s\n", r.spec.Machines(), r.spec.Family, r.spec.CNI, dir.Kubeconfig())
	if err := r.client.APIReady(ctx); err != nil {
		return fmt.Errorf("the API server does not answer: %w", err)
	}
	for _, args := range [][]string{
		{"get", "nodes", "-o", "wide", "--label-columns=ovn.kubernetes.io/ovs_dp_type"},
		{"-n", "kube-system", "get", "pods", "-o", "wide"},
	} {
		out, err := r.client.Kubectl(ctx, "", args...)
		if err != nil {
			return err
		}
		r.log.Say("%s", out)
	}
	if r.spec.CNI == spec.Woven {
		out, err := r.client.Kubectl(ctx, "", "get", "vpcs.kubeovn.io,subnets.kubeovn.io")
		if err != nil {
			return err
		}
		r.log.Say("%s", out)
	}
	phases, err := os.ReadFile(dir.Phases())
	if errors.Is(err, os.ErrNotExist) {
		r.log.Say("The last `up` did not come to its end.")
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the times: %w", err)
	}
	r.log.Say("Times of `up`:\n%s", phases)
	return nil
}

// Demo makes the demonstration in the cluster that runs.
func Demo(ctx context.Context, dir sandbox.Dir) error {
	r, err := attach(dir)
	if err != nil {
		return err
	}
	return demo.Run(ctx, r.client, r.nodes, r.spec)
}

// Exec prepares a command inside a node of the cluster that runs.
func Exec(ctx context.Context, dir sandbox.Dir, name string, argv []string) (*exec.Cmd, error) {
	r, err := attach(dir)
	if err != nil {
		return nil, err
	}
	for _, n := range r.nodes {
		if n.Name == name {
			return n.Command(ctx, argv...), nil
		}
	}
	return nil, fmt.Errorf("no node %s: there are %s", name, strings.Join(names(r.nodes), ", "))
}

func names(nodes []*node.Node) []string {
	var all []string
	for _, n := range nodes {
		all = append(all, n.Name)
	}
	return all
}

// Deps makes the programs of a cluster's OVN available to tests on this machine and returns the directory to put into
// PATH.
func Deps(ctx context.Context, dir sandbox.Dir, c spec.Cluster) (string, error) {
	r := newRun(dir, c)
	if err := build.InstallHostPackages(ctx, r.log.Say); err != nil {
		return "", fmt.Errorf("installing packages on this machine: %w", err)
	}
	packages, err := build.ReadOVN(dir.Checkout, c.OVN)
	if err != nil {
		return "", err
	}
	tools, err := r.cache.Ensure(ctx, build.OVNTools(packages))
	if err != nil {
		return "", err
	}
	if err := symlink(tools, dir.Path("ovn")); err != nil {
		return "", err
	}
	return dir.Path("ovn", "bin"), nil
}
