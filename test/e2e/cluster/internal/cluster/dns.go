package cluster

import (
	_ "embed"
	"strconv"
	"strings"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/build"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/spec"
)

//go:embed coredns.yaml
var coreDNSManifest string

// coreDNS is the manifest of CoreDNS with the addresses and version of a cluster.
func coreDNS(c spec.Cluster) string {
	var resolvers, sites, addrs []string
	for _, a := range c.Addrs(spec.Services, spec.DNSHost) {
		addrs = append(addrs, strconv.Quote(a.String()))
	}
	for _, p := range c.Prefixes(spec.Internet) {
		resolvers = append(resolvers, p.Addr().String()+" dns.google")
		sites = append(sites, p.Addr().String()+" google.com") // of a zone of its own: the address has one name
	}
	return strings.NewReplacer(
		"RESOLVERS", strings.Join(resolvers, "\n           "),
		"SITES", strings.Join(sites, "\n           "),
		"FIRST_IP", addrs[0],
		"CLUSTER_IPS", strings.Join(addrs, ", "),
		"VERSION", build.CoreDNSVersion,
	).Replace(coreDNSManifest)
}
