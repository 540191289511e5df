// Package node makes the machines of the cluster. A Node is started, runs commands and services, and ends; what it is
// made of is its Machine. There are two kinds: Namespaces, which are processes of this machine in namespaces of their
// own, and VirtualMachine, which has a kernel of its own and is slow.
package node

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/sandbox"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/spec"
)

// Machine is what a node is made of.
type Machine interface {
	// Boot starts the machine with the given files over its root and returns when it can run commands.
	Boot(ctx context.Context, files map[string]string) error
	// Command prepares a command that runs in the machine.
	Command(ctx context.Context, argv ...string) *exec.Cmd
	// Spawn starts a command that outlives this process; its output goes to a log file on this side.
	Spawn(ctx context.Context, log string, argv ...string) error
}

// Node is one node of the cluster.
type Node struct {
	Name  string
	Index int // counts from 1, which is also the control plane
	Addrs []netip.Addr

	machine Machine
	dir     sandbox.Dir
	cluster spec.Cluster
}

// All are the nodes of a cluster, running or not.
func All(dir sandbox.Dir, c spec.Cluster) []*Node {
	var nodes []*Node
	for i := 1; i <= c.All(); i++ {
		name := spec.NodeName(i)
		var m Machine = &Namespaces{name: name, dir: dir}
		if c.VM(i) {
			m = &VirtualMachine{name: name, index: i, dir: dir, cluster: c}
		}
		nodes = append(nodes, &Node{
			Name: name, Index: i, Addrs: c.Addrs(spec.Management, i), machine: m, dir: dir, cluster: c,
		})
	}
	return nodes
}

// Boot starts the node, with its configuration and the given further files, by path.
func (n *Node) Boot(ctx context.Context, extra map[string]string) error {
	if err := os.MkdirAll(filepath.Join(n.dir.Log(), n.Name), 0o755); err != nil {
		return fmt.Errorf("making the log directory of %s: %w", n.Name, err)
	}
	files := n.config()
	for path, content := range extra {
		files[path] = content
	}
	if err := n.machine.Boot(ctx, files); err != nil {
		return fmt.Errorf("booting %s: %w", n.Name, err)
	}
	return nil
}

// Command prepares a command that runs in the node.
func (n *Node) Command(ctx context.Context, argv ...string) *exec.Cmd {
	return n.machine.Command(ctx, argv...)
}

// Run runs a command in the node; input may be empty. Its output is part of the error if it fails.
func (n *Node) Run(ctx context.Context, input string, argv ...string) (string, error) {
	return n.Feed(ctx, strings.NewReader(input), argv...)
}

// Feed is Run with input from anywhere.
func (n *Node) Feed(ctx context.Context, input io.Reader, argv ...string) (string, error) {
	cmd := n.Command(ctx, argv...)
	cmd.Stdin = input
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s on %s: %w: %s", argv[0], n.Name, err, strings.TrimSpace(string(out)))
	}
	return string(out), nil
}

// Service starts a program that stays. Its log is .sandbox/log/<node>/<program>.log.
func (n *Node) Service(ctx context.Context, argv ...string) error {
	log := filepath.Join(n.dir.Log(), n.Name, argv[0]+".log")
	if err := n.machine.Spawn(ctx, log, argv...); err != nil {
		return fmt.Errorf("starting %s on %s: %w", argv[0], n.Name, err)
	}
	return nil
}
