package images

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/build"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/spec"
)

// The images of Woven under the names that its manifest has, and the archives they are loaded from.
const (
	OVNName   = "ghcr.io/woven-cni/ovn:dev"
	WovenName = "ghcr.io/woven-cni/woven:dev"

	OVNArchive   = "ovn.tar"
	WovenArchive = "woven.tar"
)

// Builder builds images from Dockerfiles with buildah, which needs no daemon.
type Builder struct {
	Storage string // buildah's own directory
}

// buildah is a command with its storage in one place. The driver vfs copies layers, which every file system can do;
// chroot isolation needs no privileges that a container might lack.
func (b Builder) buildah(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "buildah", append([]string{
		"--root", filepath.Join(b.Storage, "root"), "--runroot", filepath.Join(b.Storage, "run"), "--storage-driver", "vfs",
	}, args...)...)
	cmd.Env = append(os.Environ(), "BUILDAH_ISOLATION=chroot")
	return cmd
}

// Dockerfile is a build: the file, its context directory, and its arguments.
type Dockerfile struct {
	File, Context string
	Args          []string // buildah's: --build-arg=X=Y, --build-context=N=DIR
}

// Build builds an image and writes it to an archive.
func (b Builder) Build(ctx context.Context, name, archive string, d Dockerfile) error {
	args := append([]string{"build", "--pull=never", "--network=host", "--tag=" + name, "--file=" + d.File}, d.Args...)
	if err := build.Run(b.buildah(ctx, append(args, d.Context)...)); err != nil {
		return err
	}
	if err := os.RemoveAll(archive); err != nil { // buildah does not write over one
		return fmt.Errorf("replacing the archive: %w", err)
	}
	if err := build.Run(b.buildah(ctx, "push", "--quiet", name, "docker-archive:"+archive+":"+name)); err != nil {
		return err
	}
	// The image that had this name before would stay for ever.
	return build.Run(b.buildah(ctx, "rmi", "--prune"))
}

// Base makes a root file system the image that Dockerfiles start from. There is no registry to pull it from.
func (b Builder) Base(ctx context.Context, name, rootTar string) error {
	dir, err := os.MkdirTemp("", "woven-base-")
	if err != nil {
		return fmt.Errorf("making a directory: %w", err)
	}
	defer os.RemoveAll(dir)
	archive := filepath.Join(dir, "base.tar")
	base := []image{{tags: []string{name}, layers: []string{"root"}, cmd: []string{"bash"}}}
	if err := writeArchive(archive, map[string]string{"root": rootTar}, base); err != nil {
		return err
	}
	return build.Run(b.buildah(ctx, "pull", "--quiet", "docker-archive:"+archive))
}

// OVN is the image of a release of OVN and its Open vSwitch as an artefact: it changes with the Dockerfile and with the
// versions that the context has. Base is the directory of the artefact that it starts from.
func OVN(contextDir, release, base string) (build.Artefact, error) {
	sum, err := treeHash(contextDir)
	if err != nil {
		return build.Artefact{}, err
	}
	return build.Artefact{
		Name:   "ovn-image",
		Recipe: []string{"v1", release, sum, filepath.Base(base)},
		Slow:   "building the image of OVN from its Dockerfile (about 2 minutes)",
		Make: func(ctx context.Context, dir string) error {
			b := Builder{Storage: filepath.Join(dir, "buildah")}
			if err := b.Base(ctx, "docker.io/library/debian:"+spec.Suite+"-slim", filepath.Join(base, "root.tar")); err != nil {
				return fmt.Errorf("making the base image: %w", err)
			}
			err := b.Build(ctx, OVNName, filepath.Join(dir, OVNArchive), Dockerfile{
				File: filepath.Join(contextDir, "ovn.Dockerfile"), Context: contextDir,
				Args: []string{"--build-arg=OVN=" + release, "--build-arg=MIRROR=" + build.Mirror()},
			})
			if err != nil {
				return err
			}
			return os.RemoveAll(b.Storage)
		},
	}, nil
}

// treeHash is the hash of a directory's files, their names and their modes.
func treeHash(dir string) (string, error) {
	h := sha256.New()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%s %s %d\n", rel, info.Mode(), info.Size())
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(h, f)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("reading the sources of an image: %w", err)
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}
