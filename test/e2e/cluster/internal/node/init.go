package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/sandbox"
)

// pid1 is the first process of a node: it builds the node's file system out of mounts, makes it the root, says that it
// is ready, and then buries the dead for the rest of its days.
func pid1(name, checkout string) error {
	dir, err := sandbox.Open(checkout)
	if err != nil {
		return err
	}
	m := &Namespaces{name: name, dir: dir}
	if err := m.mounts(); err != nil {
		return err
	}
	b, err := os.ReadFile(m.filesPath())
	if err != nil {
		return fmt.Errorf("reading the node's files: %w", err)
	}
	if err := writeFiles(m.root(), b); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(name)); err != nil {
		return fmt.Errorf("setting the host name: %w", err)
	}
	if err := pivot(m.root()); err != nil {
		return err
	}
	if err := leaveCgroupRoot(); err != nil {
		return err
	}
	ready := os.NewFile(3, "ready")
	if _, err := ready.WriteString("1"); err != nil {
		return fmt.Errorf("telling that the node is ready: %w", err)
	}
	ready.Close()
	reap(0)
	return nil
}

func (m *Namespaces) root() string { return filepath.Join(m.state(), "root") }

// mount is one mount of a node, with a target inside the node's root.
type mount struct {
	source, target, kind string
	flags                uintptr
	data                 string
}

// mounts builds the node's file system below its root directory.
func (m *Namespaces) mounts() error {
	// What happens here must stay here: without this, every mount would show up on the machine.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	for _, d := range []string{"upper", "work", "root"} {
		if err := os.MkdirAll(filepath.Join(m.state(), d), 0o755); err != nil {
			return fmt.Errorf("making the root: %w", err)
		}
	}
	lower, err := filepath.EvalSymlinks(m.dir.Path(RootFS))
	if err != nil {
		return fmt.Errorf("finding the root file system: %w", err)
	}
	all := []mount{
		{"overlay", "/", "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s",
			lower, filepath.Join(m.state(), "upper"), filepath.Join(m.state(), "work"))},
		{"/dev", "/dev", "", unix.MS_BIND | unix.MS_REC, ""},
		{"proc", "/proc", "proc", 0, ""},
		{"sysfs", "/sys", "sysfs", 0, ""},
		{"tmpfs", "/run", "tmpfs", 0, "mode=755"},
		{"tmpfs", "/tmp", "tmpfs", 0, "mode=1777"},
		{m.dir.Bin(), "/usr/local/bin", "", unix.MS_BIND, ""},
		{"", "/usr/local/bin", "", unix.MS_BIND | unix.MS_REMOUNT | unix.MS_RDONLY, ""},
		{m.dir.Images(), "/mnt", "", unix.MS_BIND, ""},
		{"", "/mnt", "", unix.MS_BIND | unix.MS_REMOUNT | unix.MS_RDONLY, ""},
	}
	// containerd puts overlays on its directory and kubelet measures its own: both want a real file system.
	for _, d := range []string{"/var/lib/containerd", "/var/lib/kubelet", "/var/lib/etcd", "/var/log/pods"} {
		source := filepath.Join(m.state(), filepath.Base(d))
		if err := os.MkdirAll(source, 0o755); err != nil {
			return fmt.Errorf("making %s: %w", source, err)
		}
		all = append(all, mount{source, d, "", unix.MS_BIND, ""})
	}
	groups, err := cgroupMounts()
	if err != nil {
		return err
	}
	return mountAll(m.root(), append(all, groups...))
}

// mountAll makes mounts below a root.
func mountAll(root string, all []mount) error {
	for _, mt := range all {
		target := filepath.Join(root, mt.target)
		if err := os.MkdirAll(target, 0o755); err != nil {
			return fmt.Errorf("making %s: %w", mt.target, err)
		}
		if err := unix.Mount(mt.source, target, mt.kind, mt.flags, mt.data); err != nil {
			return fmt.Errorf("mounting %s on %s: %w", mt.source, mt.target, err)
		}
	}
	return nil
}

// cgroupMounts are fresh mounts, made inside the cgroup namespace: the node sees its own cgroup as the root of each.
func cgroupMounts() ([]mount, error) {
	names, err := hierarchies()
	if err != nil {
		return nil, err
	}
	if unified() {
		return []mount{{"cgroup2", cgroupMount, "cgroup2", 0, ""}}, nil
	}
	mounts := []mount{{"tmpfs", cgroupMount, "tmpfs", 0, "mode=755"}}
	for _, h := range names {
		data := h
		if h == "systemd" {
			data = "none,name=systemd"
		}
		mounts = append(mounts, mount{"cgroup", filepath.Join(cgroupMount, h), "cgroup", 0, data})
	}
	return mounts, nil
}

// writeFiles puts a node's configuration, JSON by path, and the directories that its programs expect into a root.
func writeFiles(root string, encoded []byte) error {
	for _, d := range []string{"/etc/cni/net.d", "/opt/cni/bin", "/var/log/containers", "/run/netns"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			return fmt.Errorf("making %s: %w", d, err)
		}
	}
	var files map[string]string
	if err := json.Unmarshal(encoded, &files); err != nil {
		return fmt.Errorf("reading the node's files: %w", err)
	}
	for path, content := range files {
		target := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return fmt.Errorf("making the directory of %s: %w", path, err)
		}
		// The root file system may hold a link there, which would lead out of the node: replace, never follow.
		if err := os.Remove(target); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("replacing %s: %w", path, err)
		}
		if err := os.WriteFile(target, []byte(content), 0o600); err != nil {
			return fmt.Errorf("writing %s: %w", path, err)
		}
		if filepath.Ext(path) == ".key" {
			continue
		}
		if err := os.Chmod(target, 0o644); err != nil {
			return fmt.Errorf("opening %s to readers: %w", path, err)
		}
	}
	return nil
}

// pivot makes a directory the root and forgets the former one. The mounts are shared from here on, as kubelet and
// pods with mount propagation expect.
func pivot(root string) error {
	if err := unix.Chdir(root); err != nil {
		return fmt.Errorf("entering the new root: %w", err)
	}
	// With both arguments the same, the old root ends up stacked on the new one; pivot_root(2) recommends it.
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("changing the root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("dropping the old root: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("sharing mounts: %w", err)
	}
	return unix.Chdir("/")
}

// leaveCgroupRoot moves PID 1 out of the root of its cgroup namespace, where cgroup v2 allows no process once kubelet
// makes children there. See joinCgroups for the others.
func leaveCgroupRoot() error {
	if !unified() {
		return nil
	}
	leaf := filepath.Join(cgroupMount, cgroupLeaf)
	if err := os.MkdirAll(leaf, 0o755); err != nil {
		return fmt.Errorf("making the cgroup of the node's own processes: %w", err)
	}
	return os.WriteFile(filepath.Join(leaf, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0o644)
}

// reap waits for the orphans that every PID 1 inherits, and returns when a child of its own has died (0: it has none).
func reap(child int) {
	dead := make(chan os.Signal, 1)
	signal.Notify(dead, unix.SIGCHLD)
	signal.Ignore(unix.SIGTERM, unix.SIGINT, unix.SIGHUP)
	for range dead {
		for {
			pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
			if pid <= 0 || err != nil {
				break
			}
			if pid == child {
				return
			}
		}
	}
}
