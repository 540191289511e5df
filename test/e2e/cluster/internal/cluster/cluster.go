// Package cluster is what the commands do: up, down, reload, status. It reads as the list of steps that a person would
// take; how each is done is in the packages beside it.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/build"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/cni"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/controlplane"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/demo"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/fabric"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/images"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/kube"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/node"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/progress"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/sandbox"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/spec"
)

// run is one run of a command on one cluster.
type run struct {
	dir    sandbox.Dir
	spec   spec.Cluster
	nodes  []*node.Node
	log    *progress.Log
	cache  build.Cache
	client *kube.Client
}

func newRun(dir sandbox.Dir, c spec.Cluster) *run {
	log := progress.New(os.Stdout)
	return &run{dir: dir, spec: c, nodes: node.All(dir, c), log: log, cache: build.Cache{Dir: dir.Cache, Log: log}}
}

// phase is one step with the name that is printed beside its time.
type phase struct {
	name, hint string
	do         func(context.Context) error
}

func (r *run) phases(ctx context.Context, all []phase) error {
	for _, p := range all {
		if err := r.log.Phase(ctx, p.name, p.hint, p.do); err != nil {
			return err
		}
	}
	return nil
}

// Up makes a cluster, in place of whatever cluster there is on this machine.
func Up(ctx context.Context, dir sandbox.Dir, c spec.Cluster) error {
	r := newRun(dir, c)
	r.log.Say("A cluster of %s, %s, network plugin %s, in %s", c.Machines(), c.Family, c.CNI, dir.Path())
	if err := build.InstallHostPackages(ctx, r.log.Say); err != nil {
		return fmt.Errorf("installing packages on this machine: %w", err)
	}
	if err := r.artefacts(ctx); err != nil {
		return err
	}
	// Woven compiles while the nodes start.
	g, together := errgroup.WithContext(ctx)
	g.Go(func() error { return r.phases(together, r.start()) })
	if c.CNI == spec.Woven {
		g.Go(func() error { return r.phases(together, []phase{{"woven image", "", r.wovenImage}}) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if err := r.phases(ctx, r.network()); err != nil {
		return err
	}
	if err := r.log.Store(dir.Phases()); err != nil {
		return fmt.Errorf("storing the times: %w", err)
	}
	r.log.Say("\nexport KUBECONFIG=%s PATH=%s:$PATH", dir.Kubeconfig(), dir.Bin())
	return nil
}

// start are the phases that end with a cluster without a network.
func (r *run) start() []phase {
	return []phase{
		{"clear", "", r.clear},
		{"fabric", "", r.fabric},
		{"nodes", "", r.boot},
		{"api", "", r.startAPI},
		{"images", "loading images into the nodes", r.loadKubernetes},
		{"kubelets", "", r.startKubelets},
	}
}

// network are the phases that bring the plugin in and show that it works.
func (r *run) network() []phase {
	var all []phase
	switch r.spec.CNI {
	case spec.None:
		return nil
	case spec.Bridge:
		all = []phase{{"bridge", "", func(ctx context.Context) error { return cni.InstallBridge(ctx, r.client, r.nodes) }}}
	case spec.Woven:
		all = []phase{
			{"load woven", "", func(ctx context.Context) error { return r.load(ctx, images.WovenArchive) }},
			{"woven", "", func(ctx context.Context) error { return cni.InstallWoven(ctx, r.client, r.dir, r.spec) }},
		}
	}
	return append(all,
		phase{"ready", "", func(ctx context.Context) error {
			return kube.Until(ctx, r.spec.Patience(5*time.Minute), r.client.NodesReady)
		}},
		phase{"dns", "", r.dns},
		phase{"demo", "", func(ctx context.Context) error { return demo.Run(ctx, r.client, r.nodes, r.spec) }})
}

// artefacts makes or finds everything that is built once, and lays it out for this cluster. Compiling waits for the
// processors and Debian for the network, so they go side by side.
func (r *run) artefacts(ctx context.Context) error {
	var compiled map[string]string
	var root, ovn string
	g, together := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		compiled, err = r.compile(together)
		return err
	})
	g.Go(func() (err error) {
		if root, err = r.cache.Ensure(together, build.NodeRoot()); err != nil || r.spec.CNI != spec.Woven {
			return err
		}
		ovn, err = r.ovnImage(together)
		return err
	})
	if err := g.Wait(); err != nil {
		return err
	}
	archive, err := r.cache.Ensure(ctx, images.Kubernetes(images.Made{
		Kubernetes: compiled["kubernetes"], CoreDNS: compiled["coredns"], NodeRoot: root,
	}))
	if err != nil {
		return err
	}
	if r.spec.VMNodes > 0 {
		loaded := []string{filepath.Join(archive, images.KubernetesArchive)}
		if ovn != "" {
			loaded = append(loaded, filepath.Join(ovn, images.OVNArchive))
		}
		if err := r.vmArtefacts(ctx, build.VMParts{
			NodeRoot: root, Kubernetes: compiled["kubernetes"], Containerd: compiled["containerd"],
			Runc: compiled["runc"], Plugins: compiled["cni-plugins"], Archives: loaded,
		}); err != nil {
			return err
		}
	}
	for _, name := range []string{"kubernetes", "containerd", "runc"} {
		if err := build.Link(compiled[name], r.dir.Bin()); err != nil {
			return err
		}
	}
	for _, name := range build.KubePrograms {
		if err := symlink("kube", filepath.Join(r.dir.Bin(), name)); err != nil {
			return err
		}
	}
	if err := build.Link(compiled["cni-plugins"], r.dir.CNIBin()); err != nil {
		return err
	}
	if err := build.LinkFile(filepath.Join(archive, images.KubernetesArchive), r.dir.Images()); err != nil {
		return err
	}
	return symlink(filepath.Join(root, "root"), r.dir.Path(node.RootFS))
}

// vmArtefacts makes or finds what virtual machines are made of, and lays it out.
func (r *run) vmArtefacts(ctx context.Context, parts build.VMParts) (err error) {
	if parts.QEMU, err = r.cache.Ensure(ctx, build.QEMU()); err != nil {
		return err
	}
	vm, err := r.cache.Ensure(ctx, build.VM(parts))
	if err != nil {
		return err
	}
	if err := build.Guest(ctx, r.dir.Module(), r.dir.Path(node.VMGuest)); err != nil {
		return err
	}
	return errors.Join(symlink(parts.QEMU, r.dir.Path(node.VMQEMU)), symlink(vm, r.dir.Path(node.VMDir)))
}

// compile makes or finds all that is compiled, by name. Go uses all processors for one program at a time.
func (r *run) compile(ctx context.Context) (map[string]string, error) {
	kubernetes, err := build.Kubernetes(r.dir.Module())
	if err != nil {
		return nil, err
	}
	dirs := map[string]string{}
	for _, a := range []build.Artefact{kubernetes, build.Containerd(), build.Runc(), build.CoreDNS(), build.BridgePlugins()} {
		if dirs[a.Name], err = r.cache.Ensure(ctx, a); err != nil {
			return nil, err
		}
	}
	return dirs, nil
}

func symlink(target, path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("replacing %s: %w", path, err)
	}
	return os.Symlink(target, path)
}

// clear removes whatever a former cluster left, ours or another checkout's, killed or not.
func (r *run) clear(context.Context) error {
	if err := clearMachine(); err != nil {
		return err
	}
	return r.clearDir()
}

// clearDir removes what belongs to one run of a cluster. Programs and archives stay.
func (r *run) clearDir() error {
	for _, p := range []string{"nodes", "log", "woven", "kubeconfig", "cluster.json", "phases.txt"} {
		if err := os.RemoveAll(r.dir.Path(p)); err != nil {
			return fmt.Errorf("clearing the sandbox: %w", err)
		}
	}
	return nil
}

func (r *run) fabric(context.Context) error {
	if err := fabric.Machine(); err != nil {
		return err
	}
	return fabric.Up(r.spec)
}

// boot starts all nodes and the test host outside.
func (r *run) boot(ctx context.Context) error {
	secrets, err := controlplane.NewSecrets(r.spec)
	if err != nil {
		return fmt.Errorf("making certificates: %w", err)
	}
	if err := secrets.WriteKubeconfig(r.dir.Kubeconfig()); err != nil {
		return fmt.Errorf("storing the kubeconfig: %w", err)
	}
	if err := r.spec.Save(r.dir.Spec()); err != nil {
		return fmt.Errorf("storing what runs: %w", err)
	}
	if r.client, err = kube.New(r.dir); err != nil {
		return err
	}
	err = r.onAll(ctx, func(ctx context.Context, n *node.Node) error { return n.Boot(ctx, secrets.ForNode(n.Name)) })
	if err != nil {
		return err
	}
	return r.startOutside(ctx)
}

// startOutside starts the servers of the test host outside: its own, and the two ports at which tests look for the
// Internet.
func (r *run) startOutside(ctx context.Context) error {
	for _, port := range []int{demo.OutsidePort, 53, 80} {
		err := node.SpawnOutside(ctx, filepath.Join(r.dir.Log(), "outside.log"), filepath.Join(r.dir.Bin(), "agnhost"),
			"netexec", fmt.Sprintf("--http-port=%d", port), fmt.Sprintf("--udp-port=%d", port))
		if err != nil {
			return err
		}
	}
	return nil
}

// onAll does something on all nodes at once.
func (r *run) onAll(ctx context.Context, do func(context.Context, *node.Node) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, n := range r.nodes {
		g.Go(func() error { return do(ctx, n) })
	}
	return g.Wait()
}

// startAPI starts the control plane, and containerd everywhere, so that images can be loaded next.
func (r *run) startAPI(ctx context.Context) error {
	err := r.onAll(ctx, func(ctx context.Context, n *node.Node) error { return n.Service(ctx, "containerd") })
	if err != nil {
		return err
	}
	if err := controlplane.StartAPI(ctx, r.nodes[0], r.spec); err != nil {
		return err
	}
	if err := kube.Until(ctx, time.Minute, r.client.APIReady); err != nil {
		return fmt.Errorf("the API server does not get ready (its log: %s): %w", filepath.Join(r.dir.Log(), r.nodes[0].Name), err)
	}
	return controlplane.StartControllers(ctx, r.nodes[0], r.spec)
}

func (r *run) loadKubernetes(ctx context.Context) error {
	err := r.onAll(ctx, func(ctx context.Context, n *node.Node) error {
		return kube.Until(ctx, r.spec.Patience(time.Minute), func(ctx context.Context) error {
			_, err := n.Run(ctx, "", "ctr", "version")
			return err
		})
	})
	if err != nil {
		return err
	}
	archives := []string{images.KubernetesArchive}
	if r.spec.CNI == spec.Woven {
		archives = append(archives, images.OVNArchive)
	}
	return r.onAll(ctx, func(ctx context.Context, n *node.Node) error {
		if r.spec.VM(n.Index) {
			return nil // its disk has them
		}
		return r.loadInto(ctx, n, archives...)
	})
}

// load imports archives from the sandbox's image directory into all nodes.
func (r *run) load(ctx context.Context, archives ...string) error {
	return r.onAll(ctx, func(ctx context.Context, n *node.Node) error { return r.loadInto(ctx, n, archives...) })
}

// loadInto imports archives into a node. Containerd's other way to import, without --local, takes an emulated machine
// four times as long.
func (r *run) loadInto(ctx context.Context, n *node.Node, archives ...string) error {
	for _, a := range archives {
		f, err := os.Open(filepath.Join(r.dir.Images(), a))
		if err != nil {
			return fmt.Errorf("opening an archive: %w", err)
		}
		_, err = n.Feed(ctx, f, "ctr", "--namespace=k8s.io", "image", "import", "--local", "-")
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// proxyBinding lets kube-proxy read what it needs; kubeadm makes the same.
const proxyBinding = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: woven-sandbox-kube-proxy}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:node-proxier"}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: "system:kube-proxy"}]
`

// zones is how many zones the nodes are spread over: tests of topology want three, and some two nodes in each.
const zones = 3

// startKubelets starts kubelet and kube-proxy everywhere and waits until all nodes have registered. The first node is
// where OVN's databases live.
func (r *run) startKubelets(ctx context.Context) error {
	if err := r.client.Apply(ctx, proxyBinding, "-f", "-"); err != nil {
		return err
	}
	err := r.onAll(ctx, func(ctx context.Context, n *node.Node) error {
		if err := n.Service(ctx, n.Kubelet()...); err != nil {
			return err
		}
		return n.Service(ctx, "kube-proxy", "--config=/etc/kubernetes/kube-proxy.yaml", "--v=2")
	})
	if err != nil {
		return err
	}
	if err := kube.Until(ctx, r.spec.Patience(time.Minute), r.client.Registered(len(r.nodes))); err != nil {
		return err
	}
	for _, n := range r.nodes {
		_, err := r.client.Kubectl(ctx, "", "label", "node", n.Name, "topology.kubernetes.io/region=sandbox",
			fmt.Sprintf("topology.kubernetes.io/zone=zone%d", (n.Index-1)%zones+1))
		if err != nil {
			return err
		}
	}
	_, err = r.client.Kubectl(ctx, "", "label", "node", r.nodes[0].Name, "kube-ovn/role=master")
	return err
}

// dns starts CoreDNS. It comes after the network: pods that wait for one make the kubelet wait longer and longer.
func (r *run) dns(ctx context.Context) error {
	if err := r.client.Apply(ctx, coreDNS(r.spec), "-f", "-"); err != nil {
		return err
	}
	return kube.Until(ctx, r.spec.Patience(3*time.Minute), r.client.DeploymentReady("kube-system", "coredns"))
}
