// Package build makes what a cluster is made of: Kubernetes, containerd, runc, CoreDNS, the bridge plugins and a
// Debian root file system. Each is an Artefact with a recipe; the machine's cache keeps it under the hash of that
// recipe, so that it is made once, and made again when the recipe changes.
package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/progress"
)

// Artefact is a directory of files that is expensive to make.
type Artefact struct {
	Name string
	// Recipe is everything that decides about the content: versions, flags, sources. Its hash names the directory.
	Recipe []string
	// Slow says what takes long, before it is begun.
	Slow string
	// Make fills a directory.
	Make func(ctx context.Context, dir string) error
}

// Cache keeps artefacts for all checkouts of the machine.
type Cache struct {
	Dir string
	Log *progress.Log
}

// Key is the directory name of an artefact, which also stands for it in the recipes of others.
func (a Artefact) Key() string {
	h := sha256.New()
	for _, s := range append([]string{runtime.Version(), runtime.GOARCH}, a.Recipe...) {
		fmt.Fprintf(h, "%d:%s\n", len(s), s)
	}
	return a.Name + "-" + hex.EncodeToString(h.Sum(nil))[:12]
}

// Ensure returns the directory of an artefact, which it makes if the cache has none.
func (c Cache) Ensure(ctx context.Context, a Artefact) (string, error) {
	final := filepath.Join(c.Dir, a.Key())
	unlock, err := lock(final + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(final); err == nil {
		return final, nil
	}
	err = c.Log.Phase(ctx, a.Name, a.Slow, func(ctx context.Context) error {
		tmp := final + ".part"
		if err := os.RemoveAll(tmp); err != nil {
			return fmt.Errorf("clearing an unfinished artefact: %w", err)
		}
		if err := os.MkdirAll(tmp, 0o755); err != nil {
			return fmt.Errorf("making the artefact's directory: %w", err)
		}
		if err := a.Make(ctx, tmp); err != nil {
			return errors.Join(err, os.RemoveAll(tmp))
		}
		return os.Rename(tmp, final)
	})
	return final, err
}

// lock makes another checkout that wants the same artefact wait for it instead of making it twice.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening a lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}

// Link puts the files of a directory into another under their own names: as hard links, or as copies if that is on
// another file system.
func Link(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return fmt.Errorf("listing an artefact: %w", err)
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return fmt.Errorf("making %s: %w", to, err)
	}
	for _, e := range entries {
		if err := LinkFile(filepath.Join(from, e.Name()), to); err != nil {
			return err
		}
	}
	return nil
}

// Run runs a command; what it printed is part of the error if it fails.
func Run(cmd *exec.Cmd) error {
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w:\n%s", strings.Join(cmd.Args, " "), err, tail(string(out)))
	}
	return nil
}

// tail is the end of a long output, where the error is.
func tail(s string) string {
	const most = 4000
	if len(s) > most {
		return "...\n" + s[len(s)-most:]
	}
	return s
}

// LinkFile puts one file into a directory, as Link does.
func LinkFile(file, to string) error {
	target := filepath.Join(to, filepath.Base(file))
	if err := os.Remove(target); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("replacing %s: %w", target, err)
	}
	err := os.Link(file, target)
	if errors.Is(err, unix.EXDEV) {
		err = Run(exec.Command("cp", "--preserve=mode", file, target))
	}
	if err != nil {
		return fmt.Errorf("linking %s: %w", filepath.Base(file), err)
	}
	return nil
}
