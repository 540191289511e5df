package cni

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/controlplane"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/kube"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/sandbox"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/spec"
)

// TunnelInterface is the interface of the nodes that is left to the network plugin.
const TunnelInterface = "eth1"

// InstallWoven applies the manifest that users apply, with the settings of this cluster as patches over it, just as
// users would add theirs.
func InstallWoven(ctx context.Context, client *kube.Client, dir sandbox.Dir, c spec.Cluster) error {
	manifest, err := manifest(ctx, dir, c)
	if err != nil {
		return err
	}
	// kustomize reads nothing above its own directory.
	work := dir.Path("woven")
	if err := os.MkdirAll(work, 0o755); err != nil {
		return fmt.Errorf("making a directory for the manifest: %w", err)
	}
	for name, content := range map[string]string{"woven.yaml": string(manifest), "kustomization.yaml": kustomization(c)} {
		if err := os.WriteFile(filepath.Join(work, name), []byte(content), 0o644); err != nil {
			return fmt.Errorf("laying the manifest out: %w", err)
		}
	}
	return client.Apply(ctx, "", "--server-side", "-k", work)
}

// manifest is the one of the repository; Helm renders one for more members of ovn-central.
func manifest(ctx context.Context, dir sandbox.Dir, c spec.Cluster) ([]byte, error) {
	if c.Central > 1 {
		cmd := exec.CommandContext(ctx, "go", "tool", "-modfile=tools/go.mod", "helm", "template", "woven", "charts/woven",
			"--namespace=kube-system", "--include-crds", fmt.Sprintf("--set=central.replicas=%d", c.Central))
		cmd.Dir = dir.Checkout
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("rendering the chart: %w", err)
		}
		return out, nil
	}
	out, err := os.ReadFile(filepath.Join(dir.Checkout, "yamls", "woven.yaml"))
	if err != nil {
		return nil, fmt.Errorf("reading the manifest of Woven: %w", err)
	}
	return out, nil
}

// kustomization adds flags to Woven's two programs: of a flag that is given twice, the latter counts.
func kustomization(c spec.Cluster) string {
	services := "--service-cluster-ip-range=" + controlplane.Prefixes(c, spec.Services)
	var b strings.Builder
	b.WriteString("resources: [woven.yaml]\npatches:\n")
	for _, p := range []struct {
		kind, name string
		args       []string
	}{
		{"DaemonSet", "woven-daemon", []string{"--iface=" + TunnelInterface, services}},
		{"Deployment", "woven-controller", []string{
			"--default-cidr=" + controlplane.Prefixes(c, spec.Pods),
			"--node-switch-cidr=" + controlplane.Prefixes(c, spec.Join), services,
			// The API server runs on it, and it has no label that says so: upstream's tests of topology hints count on that.
			"--control-plane-nodes=" + spec.NodeName(1),
		}},
	} {
		fmt.Fprintf(&b, "- target: {kind: %s, name: %s}\n  patch: |-\n", p.kind, p.name)
		for _, arg := range p.args {
			fmt.Fprintf(&b, "    - {op: add, path: /spec/template/spec/containers/0/args/-, value: %q}\n", arg)
		}
	}
	if c.VMNodes > 0 {
		b.WriteString(rareProbes)
	}
	return b.String()
}

// rareProbes spares an emulated machine most of the programs that probes start in its containers: each takes seconds.
// A container without a readiness probe is ready when its startup probe says so.
const rareProbes = `- target: {kind: DaemonSet, name: ovs-ovn}
  patch: |-
    - {op: remove, path: /spec/template/spec/containers/0/readinessProbe}
    - {op: remove, path: /spec/template/spec/containers/1/readinessProbe}
    - {op: replace, path: /spec/template/spec/containers/2/readinessProbe/periodSeconds, value: 20}
- target: {kind: DaemonSet, name: woven-daemon}
  patch: |-
    - {op: replace, path: /spec/template/spec/containers/0/readinessProbe/periodSeconds, value: 10}
`
