package reconciletest

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/go-logr/logr"

	"github.com/woven-cni/woven/pkg/nodeaddr"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/spec"
)

// NodeNetworks are where nodes have their addresses in tests: where they have them by default, and the networks that are
// for documentation (RFC 5737, RFC 3849).
const NodeNetworks = nodeaddr.DefaultNetworks + ",192.0.2.0/24,198.51.100.0/24,2001:db8::/32"

// Defaults are the names of the objects that every cluster has.
var Defaults = spec.Defaults{Vpc: "ovn-cluster", Subnet: "ovn-default", Join: "join"}

// Env is what a feature is made with, without a database. The settings take the place of those that it has by itself:
// Defaults, and how the addresses of nodes are judged. For that a page may have the options node-networks and service-cidr,
// and holds: "node:address" has rows already.
func (c *Cluster) Env(t *testing.T, p Page, settings ...any) *reconcile.Env {
	t.Helper()
	addresses := nodeaddr.Config{Networks: Prefixes(t, p.Option("node-networks", NodeNetworks))}
	if text := p.Option("service-cidr", ""); text != "" {
		addresses.Services = Prefixes(t, text)
	}
	addresses.Holds = func(node string, a netip.Addr) bool { return p.Option("holds", "") == node+":"+a.String() }
	env := &reconcile.Env{Client: c, Indexer: c, Events: &c.Events, Log: logr.Discard()}
	env.Set(Defaults, addresses)
	env.Set(settings...)
	return env
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
