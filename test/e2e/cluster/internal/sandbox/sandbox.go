// Package sandbox says where things are: the .sandbox directory of the checkout, which belongs to one cluster and can
// be deleted when it is down, and the machine's cache of what is expensive to make, which all checkouts share.
package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
)

// Dir is a checkout that a cluster is run from.
type Dir struct {
	Checkout string // the root of the repository
	Cache    string // ${XDG_CACHE_HOME:-$HOME/.cache}/woven/cluster
}

// Open finds the checkout and makes the directories that every command counts on.
func Open(checkout string) (Dir, error) {
	abs, err := filepath.Abs(checkout)
	if err != nil {
		return Dir{}, fmt.Errorf("finding the checkout: %w", err)
	}
	if _, err := os.Stat(filepath.Join(abs, "test/e2e/cluster/go.mod")); err != nil {
		return Dir{}, fmt.Errorf("%s is not a checkout of Woven: %w", abs, err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return Dir{}, fmt.Errorf("finding the cache directory: %w", err)
	}
	d := Dir{Checkout: abs, Cache: filepath.Join(cache, "woven", "cluster")}
	for _, p := range []string{d.Bin(), d.Log(), d.Images(), d.Cache} {
		if err := os.MkdirAll(p, 0o755); err != nil {
			return Dir{}, fmt.Errorf("making the sandbox: %w", err)
		}
	}
	return d, nil
}

// Path is a path below .sandbox.
func (d Dir) Path(elem ...string) string {
	return filepath.Join(append([]string{d.Checkout, ".sandbox"}, elem...)...)
}

// Module is the directory of this Go module.
func (d Dir) Module() string { return filepath.Join(d.Checkout, "test/e2e/cluster") }

// Bin holds the programs that nodes see at /usr/local/bin, and kubectl.
func (d Dir) Bin() string { return d.Path("bin") }

// CNIBin holds the plugins of the bridge network, which nodes see at /mnt/cni.
func (d Dir) CNIBin() string { return d.Path("images", "cni") }

// Images holds the image archives that nodes see at /mnt.
func (d Dir) Images() string { return d.Path("images") }

// Log holds the logs of all programs, by node.
func (d Dir) Log() string { return d.Path("log") }

// Kubeconfig is the administrator's kubeconfig.
func (d Dir) Kubeconfig() string { return d.Path("kubeconfig") }

// Spec is where the running cluster's spec is stored.
func (d Dir) Spec() string { return d.Path("cluster.json") }

// Phases is where the times of the last `up` are stored.
func (d Dir) Phases() string { return d.Path("phases.txt") }
