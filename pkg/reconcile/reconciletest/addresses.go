package reconciletest

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/woven-cni/woven/pkg/cidr"
	"github.com/woven-cni/woven/pkg/nodeaddr"
)

// NodeNetworks are where nodes have their addresses in tests: where they have them by default, and the networks that are
// for documentation (RFC 5737, RFC 3849).
const NodeNetworks = nodeaddr.DefaultNetworks + ",192.0.2.0/24,198.51.100.0/24,2001:db8::/32"

// Addresses makes what knows the ranges of Subnets and the addresses of nodes. A page may have the options node-networks
// and service-cidr, and holds: "node:address" has rows already.
func Addresses(t *testing.T, c *Cluster, p Page) (*cidr.Map, *nodeaddr.Judge) {
	t.Helper()
	ranges, err := cidr.NewMap(t.Context(), c, c, "ovn-cluster")
	if err != nil {
		t.Fatal(err)
	}
	config := nodeaddr.Config{Networks: Prefixes(t, p.Option("node-networks", NodeNetworks))}
	if text := p.Option("service-cidr", ""); text != "" {
		config.Services = Prefixes(t, text)
	}
	config.Holds = func(node string, a netip.Addr) bool { return p.Option("holds", "") == node+":"+a.String() }
	addresses, err := nodeaddr.New(t.Context(), c, c, ranges, config)
	if err != nil {
		t.Fatal(err)
	}
	return ranges, addresses
}

// Prefixes reads ranges with commas between.
func Prefixes(t *testing.T, list string) []netip.Prefix {
	t.Helper()
	var out []netip.Prefix
	for _, text := range strings.Split(list, ",") {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}
