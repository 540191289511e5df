package cluster

import (
	_ "embed"
	"strings"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/build"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/spec"
)

//go:embed coredns.yaml
var coreDNSManifest string

// coreDNS is the manifest of CoreDNS with the addresses and version of a cluster.
func coreDNS(c spec.Cluster) string {
	var names []string
	for _, p := range c.Prefixes(spec.Internet) {
		names = append(names, p.Addr().String()+" google.com")
	}
	return strings.NewReplacer(
		"INTERNET", strings.Join(names, "\n           "),
		"CLUSTER_IP", c.Addrs(spec.Services, spec.DNSHost)[0].String(),
		"VERSION", build.CoreDNSVersion,
	).Replace(coreDNSManifest)
}
