package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/build"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/images"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/kube"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/sandbox"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/spec"
)

// programs are Woven's own, by their directory below cmd.
var programs = []string{"controller", "daemon", "cni"}

// ovnImage finds or builds the image of OVN and lays it out for the nodes. It returns the artefact's directory.
func (r *run) ovnImage(ctx context.Context) (string, error) {
	base, err := r.cache.Ensure(ctx, build.DebianBase())
	if err != nil {
		return "", err
	}
	a, err := images.OVN(filepath.Join(r.dir.Checkout, "dist/images"), r.spec.OVN, base)
	if err != nil {
		return "", err
	}
	dir, err := r.cache.Ensure(ctx, a)
	if err != nil {
		return "", err
	}
	return dir, build.LinkFile(filepath.Join(dir, images.OVNArchive), r.dir.Images())
}

// wovenImage compiles Woven and builds its image from the Dockerfile of the release, with the programs in the place of
// the stage that would compile them in a container.
func (r *run) wovenImage(ctx context.Context) error {
	staging := r.dir.Path("staging")
	out := filepath.Join(staging, "out")
	if err := os.RemoveAll(staging); err != nil {
		return fmt.Errorf("clearing the staging directory: %w", err)
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return fmt.Errorf("making the staging directory: %w", err)
	}
	// One command for all of them: Go links side by side.
	args := []string{"build", "-ldflags=-s -w", "-o", out + "/"}
	for _, name := range programs {
		args = append(args, "./cmd/"+name)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = r.dir.Checkout
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if err := build.Run(cmd); err != nil {
		return err
	}
	for _, name := range programs {
		if err := os.Rename(filepath.Join(out, name), filepath.Join(out, "woven-"+name)); err != nil {
			return fmt.Errorf("naming the programs: %w", err)
		}
	}
	for _, name := range []string{"loopback", "portmap"} {
		if err := build.LinkFile(filepath.Join(r.dir.CNIBin(), name), out); err != nil {
			return err
		}
	}
	b := images.Builder{Storage: r.dir.Path("buildah")}
	return b.Build(ctx, images.WovenName, filepath.Join(r.dir.Images(), images.WovenArchive), images.Dockerfile{
		File:    filepath.Join(r.dir.Checkout, "dist/images/woven.Dockerfile"),
		Context: staging,
		Args:    []string{"--build-context=bin=" + staging},
	})
}

// Images builds the images of a cluster and puts them nowhere else: `make images`.
func Images(ctx context.Context, dir sandbox.Dir, c spec.Cluster) error {
	r := newRun(dir, c)
	if err := build.InstallHostPackages(ctx, r.log.Say); err != nil {
		return fmt.Errorf("installing packages on this machine: %w", err)
	}
	plugins, err := r.cache.Ensure(ctx, build.BridgePlugins())
	if err != nil {
		return err
	}
	if err := build.Link(plugins, dir.CNIBin()); err != nil {
		return err
	}
	if _, err := r.ovnImage(ctx); err != nil {
		return err
	}
	if err := r.phases(ctx, []phase{{"woven image", "", r.wovenImage}}); err != nil {
		return err
	}
	r.log.Say("%s and %s", filepath.Join(dir.Images(), images.OVNArchive), filepath.Join(dir.Images(), images.WovenArchive))
	return nil
}

// Reload puts changed Go code into the running cluster.
func Reload(ctx context.Context, dir sandbox.Dir) error {
	r, err := attach(dir)
	if err != nil {
		return err
	}
	if r.spec.CNI != spec.Woven {
		return fmt.Errorf("the cluster runs the plugin %s, not Woven", r.spec.CNI)
	}
	return r.phases(ctx, []phase{
		{"build", "", r.wovenImage},
		{"load", "", func(ctx context.Context) error { return r.load(ctx, images.WovenArchive) }},
		{"roll out", "", r.rollOut},
	})
}

// attach opens the cluster that runs.
func attach(dir sandbox.Dir) (*run, error) {
	c, err := spec.Load(dir.Spec())
	if err != nil {
		return nil, err
	}
	r := newRun(dir, c)
	r.client, err = kube.New(dir)
	return r, err
}

// rollOut restarts Woven's programs, which find the new image under the old name.
func (r *run) rollOut(ctx context.Context) error {
	workloads := []string{"daemonset/woven-daemon", "deployment/woven-controller"}
	if _, err := r.client.Kubectl(ctx, "", append([]string{"-n", "kube-system", "rollout", "restart"}, workloads...)...); err != nil {
		return err
	}
	for _, w := range workloads {
		_, err := r.client.Kubectl(ctx, "", "-n", "kube-system", "rollout", "status", "--timeout="+r.spec.Patience(2*time.Minute).String(), w)
		if err != nil {
			return err
		}
	}
	return nil
}
