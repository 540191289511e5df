// Cluster runs a real Kubernetes cluster on this machine, for development and for the end-to-end tests. The Makefile of
// the repository calls it; README.md beside go.mod explains what it makes.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/cluster"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/node"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/sandbox"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/spec"
)

func main() {
	node.Main() // does not return in the helper processes of nodes
	os.Exit(run())
}

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	err := command().ExecuteContext(ctx)
	if exit := exitCode(0); errors.As(err, &exit) {
		return int(exit)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		return 1
	}
	return 0
}

// exitCode is how a command in a node ended. It has said itself what there is to say.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// command is the tree of subcommands.
func command() *cobra.Command {
	root := &cobra.Command{Use: "cluster", Short: "A Kubernetes cluster on this machine", SilenceUsage: true, SilenceErrors: true}
	checkout := root.PersistentFlags().String("checkout", ".", "root of the repository")
	add := func(use, short string, do func(context.Context, sandbox.Dir) error) {
		root.AddCommand(&cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := sandbox.Open(*checkout)
			if err != nil {
				return err
			}
			return do(cmd.Context(), dir)
		}})
	}
	add("up", "start a cluster (NODES=3, VM_NODES=0, IP_FAMILY=ipv4|ipv6|dual, CNI=woven|bridge|none, CENTRAL=1|3, OVN=26.03|25.03)", up)
	add("down", "end the cluster and check that nothing of it is left", cluster.Down)
	add("reload", "put changed Go code into the running cluster", cluster.Reload)
	add("status", "show the running cluster", cluster.Status)
	add("demo", "print the matrix of who reaches whom", cluster.Demo)
	add("prepare", "build what a cluster and the upstream suites are made of, and start nothing", prepare)
	add("images", "build the images of Woven and of OVN (OVN=26.03|25.03)", images)
	add("conformance", "run the upstream suites (SUITE=all|short|sig-network|..., FOCUS=PATTERN) and write docs/conformance.md", conform)
	add("deps", "make OVN's programs (OVN=26.03|25.03) available to tests and print their directory", deps)
	root.AddCommand(execCommand(checkout))
	return root
}

func up(ctx context.Context, dir sandbox.Dir) error {
	c, err := spec.FromEnv(os.Getenv)
	if err != nil {
		return err
	}
	return cluster.Up(ctx, dir, c)
}

func prepare(ctx context.Context, dir sandbox.Dir) error {
	c, err := spec.FromEnv(os.Getenv)
	if err != nil {
		return err
	}
	return cluster.Prepare(ctx, dir, c)
}

func images(ctx context.Context, dir sandbox.Dir) error {
	c, err := spec.FromEnv(os.Getenv)
	if err != nil {
		return err
	}
	return cluster.Images(ctx, dir, c)
}

func conform(ctx context.Context, dir sandbox.Dir) error {
	return cluster.Conformance(ctx, dir, os.Getenv)
}

func deps(ctx context.Context, dir sandbox.Dir) error {
	c, err := spec.FromEnv(os.Getenv)
	if err != nil {
		return err
	}
	bin, err := cluster.Deps(ctx, dir, c)
	if err == nil {
		fmt.Println(bin)
	}
	return err
}

// execCommand runs a command inside a node, as ssh would.
func execCommand(checkout *string) *cobra.Command {
	return &cobra.Command{
		Use: "exec NODE COMMAND...", Short: "run a command inside a node", Args: cobra.MinimumNArgs(2), DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := sandbox.Open(*checkout)
			if err != nil {
				return err
			}
			c, err := cluster.Exec(cmd.Context(), dir, args[0], args[1:])
			if err != nil {
				return err
			}
			c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
			err = c.Run()
			if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() > 0 {
				return exitCode(exit.ExitCode())
			}
			return err
		},
	}
}
