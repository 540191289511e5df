package host

import (
	"net/netip"
	"slices"
	"strings"

	kubeovnv1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/host/kernel"
)

// translateNetfilter wants the nftables table of ours: source NAT for what leaves the cluster, and the doors that keep pods
// from what only nodes have business with. As long as the node's addresses are not known, what is there stays.
func translateNetfilter(in Input) (Desired, []Problem) {
	if in.Node.Join == nil || len(in.Node.InternalIPs) == 0 {
		return Desired{Kernel: kernel.State{KeepNetfilter: true}}, nil
	}
	cidrs := in.cidrs()
	cluster := slices.Concat(cidrs.all, in.Config.ServiceCIDRs)
	for _, address := range in.Node.Join.Addresses {
		cluster = append(cluster, address.Masked())
	}
	rules := kernel.Netfilter{
		Sources: cidrs.natted, Cluster: withoutContained(cluster), Doors: slices.Clone(in.Config.ClosedPorts),
		Databases: databases(in.Remotes, in.Switch.Root.ExternalIDs[keyRemote]),
	}
	for port := uint16(kubeovnv1.FirstDatabasePort); port <= kubeovnv1.LastDatabasePort; port++ {
		rules.Doors = append(rules.Doors, port)
	}
	for _, ip := range in.Node.InternalIPs {
		rules.Own = append(rules.Own, netip.PrefixFrom(ip, ip.BitLen()))
	}
	return Desired{Kernel: kernel.State{Netfilter: rules}}, nil
}

// databases are the addresses of remotes, "tcp:address:port" each; without any, of those that ovn-controller was told last: the
// API server may not have said yet where the databases are, and what protects them stays meanwhile.
func databases(remotes []string, last string) []netip.Prefix {
	if len(remotes) == 0 {
		remotes = strings.Split(last, ",")
	}
	var out []netip.Prefix
	for _, remote := range remotes {
		_, text, _ := strings.Cut(remote, ":")
		at, err := netip.ParseAddrPort(text)
		if err != nil {
			continue // a socket's path is no address that a packet has
		}
		if p := netip.PrefixFrom(at.Addr(), at.Addr().BitLen()); !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}
