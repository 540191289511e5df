package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	cgroupMount = "/sys/fs/cgroup"

	// cgroupParent is the cgroup that everything a cluster runs lives below; its name is fixed, so that any checkout
	// can end what another checkout's cluster left running.
	cgroupParent = "woven"

	// cgroupLeaf is where a node's own processes live on cgroup v2, which allows none in a cgroup with children.
	cgroupLeaf = "system"
)

// hierarchies lists the machine's cgroup hierarchies by the names under which they are mounted: one for each
// controller with cgroup v1 (and systemd's), and just "" with cgroup v2.
func hierarchies() ([]string, error) {
	if unified() {
		return []string{""}, nil
	}
	entries, err := os.ReadDir(cgroupMount)
	if err != nil {
		return nil, fmt.Errorf("listing cgroup hierarchies: %w", err)
	}
	var names []string
	for _, e := range entries {
		// With v1, "unified" is the controller-less v2 tree of a hybrid machine: Kubernetes has no use for it.
		if e.IsDir() && e.Name() != "unified" {
			names = append(names, e.Name())
		}
	}
	if !slices.Contains(names, "memory") {
		return nil, errors.New("no cgroup hierarchy for memory is mounted below " + cgroupMount)
	}
	return names, nil
}

// unified says whether the machine has cgroup v2 only.
func unified() bool {
	var st unix.Statfs_t
	return unix.Statfs(cgroupMount, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC
}

// createCgroups makes the cgroups of one member of the cluster ("node1", "outside").
func createCgroups(member string) error {
	names, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range names {
		path := filepath.Join(cgroupMount, h)
		for _, elem := range []string{cgroupParent, member} {
			if err := delegate(path, h); err != nil {
				return err
			}
			path = filepath.Join(path, elem)
			if err := os.MkdirAll(path, 0o755); err != nil {
				return fmt.Errorf("making cgroup: %w", err)
			}
			if err := inherit(path, h); err != nil {
				return err
			}
		}
	}
	return nil
}

// delegate lets the children of a v2 cgroup have all controllers; v1 needs nothing.
func delegate(path, hierarchy string) error {
	if hierarchy != "" {
		return nil
	}
	b, err := os.ReadFile(filepath.Join(path, "cgroup.controllers"))
	if err != nil {
		return fmt.Errorf("reading the controllers of a cgroup: %w", err)
	}
	for _, c := range strings.Fields(string(b)) {
		if err := os.WriteFile(filepath.Join(path, "cgroup.subtree_control"), []byte("+"+c), 0o644); err != nil {
			return fmt.Errorf("passing controller %s on: %w", c, err)
		}
	}
	return nil
}

// inherit fills in what a fresh v1 cgroup lacks: a cpuset has no CPUs at first.
func inherit(path, hierarchy string) error {
	if hierarchy != "cpuset" {
		return nil
	}
	for _, f := range []string{"cpuset.cpus", "cpuset.mems"} {
		b, err := os.ReadFile(filepath.Join(filepath.Dir(path), f))
		if err != nil {
			return fmt.Errorf("reading the parent's %s: %w", f, err)
		}
		if err := os.WriteFile(filepath.Join(path, f), b, 0o644); err != nil {
			return fmt.Errorf("inheriting %s: %w", f, err)
		}
	}
	return os.WriteFile(filepath.Join(path, "cgroup.clone_children"), []byte("1"), 0o644)
}

// joinCgroups moves this process into the cgroups of a member.
func joinCgroups(member string) error {
	names, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range names {
		path := filepath.Join(cgroupMount, h, cgroupParent, member)
		if leaf := filepath.Join(path, cgroupLeaf); h == "" && exists(leaf) {
			path = leaf
		}
		if err := os.WriteFile(filepath.Join(path, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0o644); err != nil {
			return fmt.Errorf("joining cgroup: %w", err)
		}
	}
	return nil
}

// KillAll ends every process of any checkout's cluster and removes the cgroups. It succeeds on what is already gone.
func KillAll() error {
	deadline := time.Now().Add(20 * time.Second)
	for pids := processes(); len(pids) > 0; pids = processes() {
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v do not die", pids)
		}
		for _, pid := range pids {
			_ = unix.Kill(pid, unix.SIGKILL) // gone meanwhile, or killed in the next round
		}
		time.Sleep(20 * time.Millisecond) // a cgroup tells nobody that it is empty
	}
	for len(cgroups()) > 0 {
		for _, path := range cgroups() {
			_ = unix.Rmdir(path) // busy until the kernel has finished its dead: tried again
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("cgroups %v cannot be removed", cgroups())
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil
}

// Remains lists the processes and cgroups that are left of a cluster on this machine.
func Remains() []string {
	var left []string
	for _, pid := range processes() {
		comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		left = append(left, fmt.Sprintf("process %d (%s)", pid, strings.TrimSpace(string(comm))))
	}
	for _, path := range cgroups() {
		left = append(left, "cgroup "+path)
	}
	return left
}

// processes lists all processes below our cgroups.
func processes() []int {
	seen := map[int]bool{}
	for _, path := range cgroups() {
		b, _ := os.ReadFile(filepath.Join(path, "cgroup.procs")) // removed meanwhile: no processes
		for _, f := range strings.Fields(string(b)) {
			// 0 stands for a process that this PID namespace cannot see: kill would take it for our own group.
			if pid, err := strconv.Atoi(f); err == nil && pid > 0 {
				seen[pid] = true
			}
		}
	}
	var pids []int
	for pid := range seen {
		pids = append(pids, pid)
	}
	slices.Sort(pids)
	return pids
}

// cgroups lists all our cgroups, children before parents.
func cgroups() []string {
	names, _ := hierarchies() // no cgroups at all: none of ours
	var paths []string
	for _, h := range names {
		root := filepath.Join(cgroupMount, h, cgroupParent)
		_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				paths = append(paths, path)
			}
			return nil // removed while we walked
		})
	}
	slices.Reverse(paths)
	return paths
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
