package cni

import (
	"context"
	"fmt"
	"os"
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
	manifest, err := os.ReadFile(filepath.Join(dir.Checkout, "yamls", "woven.yaml"))
	if err != nil {
		return fmt.Errorf("reading the manifest of Woven: %w", err)
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
		{"Deployment", "woven-controller", []string{"--default-cidr=" + controlplane.Prefixes(c, spec.Pods),
			"--node-switch-cidr=" + controlplane.Prefixes(c, spec.Join), services}},
	} {
		fmt.Fprintf(&b, "- target: {kind: %s, name: %s}\n  patch: |-\n", p.kind, p.name)
		for _, arg := range p.args {
			fmt.Fprintf(&b, "    - {op: add, path: /spec/template/spec/containers/0/args/-, value: %q}\n", arg)
		}
	}
	return b.String()
}
