// Package cni puts a network plugin into the cluster: Woven, as its users install it, or the bridge plugin, which is
// what Woven is measured against.
package cni

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/kube"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/node"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/spec"
)

// InstallBridge sets up the reference plugins bridge, host-local and portmap, with routes between the nodes over the
// management network.
func InstallBridge(ctx context.Context, client *kube.Client, nodes []*node.Node) error {
	cidrs := map[string][]netip.Prefix{}
	for _, n := range nodes {
		err := kube.Until(ctx, time.Minute, func(ctx context.Context) (err error) {
			cidrs[n.Name], err = podCIDRs(ctx, client, n.Name)
			return err
		})
		if err != nil {
			return fmt.Errorf("waiting for the pod CIDRs of %s: %w", n.Name, err)
		}
	}
	for _, n := range nodes {
		if _, err := n.Run(ctx, bridgeRules(cidrs[n.Name]), "nft", "-f", "-"); err != nil {
			return err
		}
		if _, err := n.Run(ctx, bridgeRoutes(n, nodes, cidrs), "ip", "-force", "-batch", "-"); err != nil {
			return err
		}
		conf, err := bridgeConfig(cidrs[n.Name])
		if err != nil {
			return err
		}
		// containerd reads what it finds there: the file appears whole, and after the programs it names.
		const script = `cp /mnt/cni/* /opt/cni/bin/ && cat >/etc/cni/net.d/.new && mv /etc/cni/net.d/.new /etc/cni/net.d/10-bridge.conflist`
		if _, err := n.Run(ctx, conf, "sh", "-c", script); err != nil {
			return err
		}
	}
	return nil
}

func podCIDRs(ctx context.Context, client *kube.Client, name string) ([]netip.Prefix, error) {
	n, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	if len(n.Spec.PodCIDRs) == 0 {
		return nil, fmt.Errorf("node %s has no pod CIDR yet", name)
	}
	var out []netip.Prefix
	for _, s := range n.Spec.PodCIDRs {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("pod CIDR of %s: %w", name, err)
		}
		out = append(out, p)
	}
	return out, nil
}

// bridgeRules masquerade what leaves the cluster.
func bridgeRules(cidrs []netip.Prefix) string {
	var b strings.Builder
	b.WriteString("table inet bridge-network {\n  chain postrouting {\n    type nat hook postrouting priority 100;\n")
	for _, p := range cidrs {
		family, inside := "ip", []netip.Prefix{spec.Pods.V4, spec.Management.V4}
		if p.Addr().Is6() {
			family, inside = "ip6", []netip.Prefix{spec.Pods.V6, spec.Management.V6}
		}
		fmt.Fprintf(&b, "    %s saddr %s %s daddr != { %s, %s } masquerade\n", family, p, family, inside[0], inside[1])
	}
	b.WriteString("  }\n}\n")
	return b.String()
}

// bridgeRoutes are ip commands: each other node's pods are reached by way of that node.
func bridgeRoutes(n *node.Node, nodes []*node.Node, cidrs map[string][]netip.Prefix) string {
	var b strings.Builder
	for _, other := range nodes {
		if other.Name == n.Name {
			continue
		}
		for i, p := range cidrs[other.Name] {
			fmt.Fprintf(&b, "route replace %s via %s\n", p, other.Addrs[i])
		}
	}
	return b.String()
}

// bridgeConfig is the CNI configuration of a node.
func bridgeConfig(cidrs []netip.Prefix) (string, error) {
	type object map[string]any
	var ranges [][]object
	var routes []object
	for _, p := range cidrs {
		ranges = append(ranges, []object{{"subnet": p.String()}})
		if p.Addr().Is4() {
			routes = append(routes, object{"dst": "0.0.0.0/0"})
		} else {
			routes = append(routes, object{"dst": "::/0"})
		}
	}
	b, err := json.Marshal(object{"cniVersion": "1.0.0", "name": "bridge-network", "plugins": []object{
		{
			"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
			"ipam": object{"type": "host-local", "dataDir": "/run/cni-ipam", "ranges": ranges, "routes": routes},
		},
		{"type": "portmap", "capabilities": object{"portMappings": true}, "backend": "nftables"},
	}})
	if err != nil {
		return "", fmt.Errorf("encoding the CNI configuration: %w", err)
	}
	return string(b), nil
}
