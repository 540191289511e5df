package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/fabric"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/kube"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/node"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/sandbox"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/spec"
)

// Down ends the cluster of this machine and makes sure that nothing of it is left.
func Down(ctx context.Context, dir sandbox.Dir) error {
	r := newRun(dir, spec.Cluster{})
	if err := r.log.Phase(ctx, "down", "", func(context.Context) error { return clearMachine() }); err != nil {
		return err
	}
	if err := r.clearDir(); err != nil {
		return err
	}
	// The kernel takes network namespaces and their links down a little later than it says.
	err := kube.Until(ctx, 10*time.Second, func(context.Context) error {
		if left := remains(dir); len(left) > 0 {
			return errors.New("still there:\n  " + strings.Join(left, "\n  "))
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.log.Say("No process, mount, network namespace, link or cgroup is left.")
	return nil
}

// clearMachine ends any cluster of this machine. The order matters: a network namespace lives as long as a process is
// in it.
func clearMachine() error {
	if err := node.KillAll(); err != nil {
		return err
	}
	return fabric.Down()
}

// remains lists what is left of a cluster on this machine.
func remains(dir sandbox.Dir) []string {
	left := append(node.Remains(), fabric.Remains()...)
	mounts, err := mountsBelow(dir.Path(), dir.Cache)
	if err != nil {
		return append(left, err.Error())
	}
	for _, m := range mounts {
		left = append(left, "mount "+m)
	}
	return left
}

// mountsBelow lists the machine's mount points inside the given directories.
func mountsBelow(dirs ...string) ([]string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("reading the machine's mounts: %w", err)
	}
	defer f.Close()
	var found []string
	for s := bufio.NewScanner(f); s.Scan(); {
		fields := strings.Fields(s.Text())
		for _, d := range dirs {
			if len(fields) > 4 && strings.HasPrefix(fields[4], d+"/") {
				found = append(found, fields[4])
			}
		}
	}
	return found, nil
}
