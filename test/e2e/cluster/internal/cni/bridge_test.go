package cni

import (
	"net/netip"
	"testing"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/node"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/sandbox"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/spec"
)

func TestBridge(t *testing.T) {
	c := spec.Cluster{Nodes: 2, Family: spec.Dual}
	cidrs := map[string][]netip.Prefix{
		"node1": {netip.MustParsePrefix("10.16.0.0/24"), netip.MustParsePrefix("fd00:10:16::/64")},
		"node2": {netip.MustParsePrefix("10.16.3.0/24"), netip.MustParsePrefix("fd00:10:16:3::/64")},
	}
	nodes := node.All(sandbox.Dir{}, c)
	conf, err := bridgeConfig(cidrs["node1"])
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, got, want string }{
		{
			"routes", bridgeRoutes(nodes[0], nodes, cidrs),
			"route replace 10.16.3.0/24 via 172.31.0.2\nroute replace fd00:10:16:3::/64 via fd00:31::2\n",
		},
		{"rules", bridgeRules(cidrs["node1"][:1]), `table inet bridge-network {
  chain postrouting {
    type nat hook postrouting priority 100;
    ip saddr 10.16.0.0/24 ip daddr != { 10.16.0.0/16, 172.31.0.0/24 } masquerade
  }
}
`},
		{"configuration", conf, `{"cniVersion":"1.0.0","name":"bridge-network","plugins":[` +
			`{"bridge":"cni0","hairpinMode":true,"ipam":{"dataDir":"/run/cni-ipam","ranges":[[{"subnet":"10.16.0.0/24"}],[{"subnet":"fd00:10:16::/64"}]],` +
			`"routes":[{"dst":"0.0.0.0/0"},{"dst":"::/0"}],"type":"host-local"},"isGateway":true,"type":"bridge"},` +
			`{"backend":"nftables","capabilities":{"portMappings":true},"type":"portmap"}]}`},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: got\n%s\nwant\n%s", tc.name, tc.got, tc.want)
		}
	}
}
