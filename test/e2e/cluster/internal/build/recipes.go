package build

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Versions of what is built from other people's modules. Kubernetes and etcd are in go.mod instead, because their
// programs are linked into one.
const (
	KubernetesVersion = "v1.36.4"
	CoreDNSVersion    = "v1.14.7"
	containerdVersion = "v2.4.2"
	runcVersion       = "v1.5.2"
	pluginsVersion    = "v1.9.1"
)

// KubePrograms are the names under which the one Kubernetes program runs.
var KubePrograms = []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"}

// Kubernetes is one program for everything, beside the programs of the test images that live in the same modules.
func Kubernetes(module string) (Artefact, error) {
	recipe, err := sources(module, "go.mod", "cmd/kube/main.go", "cmd/pause/main.go")
	if err != nil {
		return Artefact{}, err
	}
	return Artefact{
		Name:   "kubernetes",
		Recipe: append([]string{KubernetesVersion, testImages}, recipe...),
		Slow:   "compiling Kubernetes " + KubernetesVersion + " (8 to 15 minutes on 2 cores if Go's build cache is cold)",
		Make: func(ctx context.Context, dir string) error {
			cmd := goCommand(ctx, "build", "-ldflags="+kubernetesFlags(), "-o", dir+"/",
				"./cmd/kube", "./cmd/pause", testImages+"agnhost", testImages+"regression-issue-74839")
			cmd.Dir = module
			if err := Run(cmd); err != nil {
				return err
			}
			// agnhost serves TLS with a certificate that lies in its image.
			cmd = goCommand(ctx, "list", "-f", "{{.Dir}}", testImages+"agnhost/porter")
			cmd.Dir = module
			porter, err := cmd.Output()
			if err != nil {
				return fmt.Errorf("finding agnhost's sources: %w", err)
			}
			for _, f := range []string{"localhost.crt", "localhost.key"} {
				b, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(porter)), f))
				if err != nil {
					return fmt.Errorf("reading agnhost's certificate: %w", err)
				}
				if err := os.WriteFile(filepath.Join(dir, f), b, 0o644); err != nil {
					return fmt.Errorf("keeping agnhost's certificate: %w", err)
				}
			}
			return nil
		},
	}, nil
}

// testImages are the programs of the images that Kubernetes' own tests use.
const testImages = "k8s.io/kubernetes/test/images/"

// sources are the files of this module that decide about what is compiled from it.
func sources(module string, files ...string) ([]string, error) {
	var out []string
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(module, f))
		if err != nil {
			return nil, fmt.Errorf("reading a recipe: %w", err)
		}
		out = append(out, string(b))
	}
	return out, nil
}

// Conformance are the upstream suites as test programs, e2e.test and policyapi.test, and ginkgo, which runs the first
// of them in several processes and must be of the version that it was compiled with.
func Conformance(module string) (Artefact, error) {
	recipe, err := sources(module, "go.mod", "cmd/e2e/e2e_test.go", "cmd/policyapi/policyapi_test.go")
	if err != nil {
		return Artefact{}, err
	}
	return Artefact{
		Name:   "conformance",
		Recipe: append([]string{KubernetesVersion}, recipe...),
		Slow:   "compiling the upstream suites (about 2 minutes when Kubernetes is compiled already)",
		Make: func(ctx context.Context, dir string) error {
			for _, args := range [][]string{
				{"test", "-c", "-ldflags=" + kubernetesFlags(), "-o", dir + "/", "./cmd/e2e", "./cmd/policyapi"},
				{"build", "-ldflags=-s -w", "-o", dir + "/", "github.com/onsi/ginkgo/v2/ginkgo"},
			} {
				cmd := goCommand(ctx, args...)
				cmd.Dir = module
				if err := Run(niced(cmd)); err != nil {
					return err
				}
			}
			return nil
		},
	}, nil
}

// kubernetesFlags stamps the version: without it, everything takes itself for v0.0.0.
func kubernetesFlags() string {
	major, minor, _ := strings.Cut(strings.TrimPrefix(KubernetesVersion, "v"), ".")
	minor, _, _ = strings.Cut(minor, ".")
	flags := []string{"-s", "-w"}
	for _, p := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		for _, kv := range []string{
			"gitVersion=" + KubernetesVersion, "gitMajor=" + major, "gitMinor=" + minor,
			"gitCommit=0000000000000000000000000000000000000000", "gitTreeState=clean", "buildDate=2026-01-01T00:00:00Z",
		} {
			flags = append(flags, "-X", p+"."+kv)
		}
	}
	return strings.Join(flags, " ")
}

// Containerd is containerd with its shim and ctr.
func Containerd() Artefact {
	return install("containerd", containerdVersion, "compiling containerd "+containerdVersion+" (about 2 minutes)", nil,
		"github.com/containerd/containerd/v2/cmd/containerd",
		"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
		"github.com/containerd/containerd/v2/cmd/ctr")
}

// Runc is the one program that needs C: libseccomp, and its own first steps.
func Runc() Artefact {
	return install("runc", runcVersion, "compiling runc "+runcVersion, []string{"CGO_ENABLED=1", "GOFLAGS=-tags=seccomp"},
		"github.com/opencontainers/runc")
}

// corednsPlugins are those of CoreDNS's plugins that the cluster and the upstream tests name in a Corefile. All of them
// would take more than twice as long to compile, for they bring the libraries of three clouds.
var corednsPlugins = []string{
	"cache", "errors", "forward", "health", "hosts", "kubernetes", "log", "loadbalance", "loop",
	"metrics", "ready", "reload",
}

// CoreDNS is built of its project's release with fewer plugins: the file that lists them is another, and all else,
// dependencies included, is as released.
func CoreDNS() Artefact {
	const module = "github.com/coredns/coredns"
	return Artefact{
		Name:   "coredns",
		Recipe: append([]string{CoreDNSVersion}, corednsPlugins...),
		Slow:   "compiling CoreDNS " + CoreDNSVersion + " (about 2 minutes)",
		Make: func(ctx context.Context, dir string) error {
			released, err := moduleDir(ctx, module+"@"+CoreDNSVersion)
			if err != nil {
				return err
			}
			tree, err := os.MkdirTemp("", "coredns")
			if err != nil {
				return fmt.Errorf("making room for CoreDNS: %w", err)
			}
			defer os.RemoveAll(tree)
			if err := os.CopyFS(tree, os.DirFS(released)); err != nil {
				return fmt.Errorf("copying CoreDNS: %w", err)
			}
			list := "package plugin\n"
			for _, p := range corednsPlugins {
				list += fmt.Sprintf("import _ %q\n", module+"/plugin/"+p)
			}
			if err := os.WriteFile(filepath.Join(tree, "core/plugin/zplugin.go"), []byte(list), 0o644); err != nil {
				return fmt.Errorf("choosing CoreDNS's plugins: %w", err)
			}
			cmd := goCommand(ctx, "build", "-ldflags=-s -w", "-o", dir+"/", ".")
			cmd.Dir = tree
			return Run(cmd)
		},
	}
}

// moduleDir is where Go keeps the files of a module, which it downloads if need be.
func moduleDir(ctx context.Context, module string) (string, error) {
	cmd := goCommand(ctx, "mod", "download", "-json", module)
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("downloading %s: %w", module, err)
	}
	var m struct{ Dir string }
	if err := json.Unmarshal(out, &m); err != nil {
		return "", fmt.Errorf("downloading %s: %w", module, err)
	}
	return m.Dir, nil
}

// BridgePlugins are what the bridge network is made of.
func BridgePlugins() Artefact {
	const base = "github.com/containernetworking/plugins/plugins/"
	return install("cni-plugins", pluginsVersion, "compiling the bridge plugins "+pluginsVersion, nil,
		base+"ipam/host-local", base+"main/bridge", base+"main/loopback", base+"meta/portmap")
}

// install is an artefact of programs from one module at one version, with the dependencies that its project released
// it with.
func install(name, version, slow string, env []string, packages ...string) Artefact {
	return Artefact{
		Name:   name,
		Recipe: append(append([]string{version}, env...), packages...),
		Slow:   slow,
		Make: func(ctx context.Context, dir string) error {
			args := []string{"install", "-ldflags=-s -w"}
			for _, p := range packages {
				args = append(args, p+"@"+version)
			}
			cmd := goCommand(ctx, args...)
			cmd.Env = append(append(cmd.Env, "GOBIN="+dir), env...)
			return Run(cmd)
		},
	}
}

// niced lets a command step back behind everything else, such as a cluster that starts meanwhile.
func niced(cmd *exec.Cmd) *exec.Cmd {
	if nice, err := exec.LookPath("nice"); err == nil {
		cmd.Path, cmd.Args = nice, append([]string{"nice", "-n", "10", cmd.Path}, cmd.Args[1:]...)
	}
	return cmd
}

// goCommand runs go without C, so that programs run in any image and all of them share one build cache.
func goCommand(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	return cmd
}
