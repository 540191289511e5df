// Package spec is the cluster that is asked for: how many nodes of which kind, which address families, which network
// plugin, and every address that follows from these.
package spec

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MaxNodes is bounded by the addressing plan: node N has host number N, and the fabric uses 251 to 254.
const MaxNodes = 100

// Suite is the Debian release of the nodes, and of what the images start from.
const Suite = "trixie"

// Releases are those of OVN that a cluster can have, as OVN spells them, the default first. The versions of their packages are
// in dist/images/ovn-versions.
var Releases = []string{"26.03", "25.03"}

// Family is the choice of IP families of the cluster, as IP_FAMILY spells it.
type Family string

// The families a cluster can have.
const (
	IPv4 Family = "ipv4"
	IPv6 Family = "ipv6"
	Dual Family = "dual"
)

// Plugin is the network plugin that the cluster comes up with, as CNI spells it.
type Plugin string

// The plugins a cluster can have. Bridge is the measuring stick of `make bench` and needs nothing of Woven.
const (
	Woven  Plugin = "woven"
	Bridge Plugin = "bridge"
	None   Plugin = "none"
)

// Cluster is what was asked for. It is stored beside the cluster, so that later commands know what is running.
type Cluster struct {
	Nodes int `json:"nodes"` // made of namespaces; the first is the control plane
	// VMNodes are further nodes that are virtual machines.
	VMNodes int `json:"vmNodes,omitempty"`

	Family Family `json:"family"`
	CNI    Plugin `json:"cni"`
	// Central is how many members ovn-central has.
	Central int `json:"central"`
	// OVN is the release of OVN.
	OVN string `json:"ovn"`
}

// All is how many nodes there are of either kind. They are numbered from 1, virtual machines last.
func (c Cluster) All() int { return c.Nodes + c.VMNodes }

// VM says whether node i is a virtual machine.
func (c Cluster) VM(i int) bool { return i > c.Nodes }

// Machines tells how many nodes of which kind there are.
func (c Cluster) Machines() string {
	switch c.VMNodes {
	case 0:
		return fmt.Sprintf("%d nodes", c.Nodes)
	case 1:
		return fmt.Sprintf("%d nodes and a virtual machine", c.Nodes)
	}
	return fmt.Sprintf("%d nodes and %d virtual machines", c.Nodes, c.VMNodes)
}

// Patience is how long to wait for what takes other nodes at most a limit: an emulated machine takes five times as long.
func (c Cluster) Patience(limit time.Duration) time.Duration {
	if c.VMNodes > 0 {
		return 5 * limit
	}
	return limit
}

// FromEnv reads the cluster from the variables NODES, VM_NODES, IP_FAMILY, CNI, CENTRAL and OVN; an empty one means its
// default.
func FromEnv(getenv func(string) string) (Cluster, error) {
	return Cluster{Nodes: 3, Family: IPv4, CNI: Woven, Central: 1, OVN: Releases[0]}.Changed(getenv)
}

// Changed is the cluster with what the variables say in the place of what it has.
func (c Cluster) Changed(getenv func(string) string) (Cluster, error) {
	if s := getenv("NODES"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > MaxNodes {
			return c, fmt.Errorf("NODES=%s: want a number from 1 to %d", s, MaxNodes)
		}
		c.Nodes = n
	}
	if s := getenv("VM_NODES"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 || c.Nodes+n > MaxNodes {
			return c, fmt.Errorf("VM_NODES=%s: want a number from 0 to %d", s, MaxNodes-c.Nodes)
		}
		c.VMNodes = n
	}
	if s := getenv("IP_FAMILY"); s != "" {
		c.Family = Family(s)
		if !slices.Contains([]Family{IPv4, IPv6, Dual}, c.Family) {
			return c, fmt.Errorf("IP_FAMILY=%s: want ipv4, ipv6 or dual", s)
		}
	}
	if s := getenv("CNI"); s != "" {
		c.CNI = Plugin(s)
		if !slices.Contains([]Plugin{Woven, Bridge, None}, c.CNI) {
			return c, fmt.Errorf("CNI=%s: want woven, bridge or none", s)
		}
	}
	if s := getenv("CENTRAL"); s != "" {
		if s != "1" && s != "3" {
			return c, fmt.Errorf("CENTRAL=%s: want 1 or 3", s)
		}
		c.Central = int(s[0] - '0')
	}
	if s := getenv("OVN"); s != "" {
		c.OVN = s
		if !slices.Contains(Releases, s) {
			return c, fmt.Errorf("OVN=%s: want %s", s, strings.Join(Releases, " or "))
		}
	}
	if c.Central > c.Nodes {
		return c, fmt.Errorf("CENTRAL=%d needs as many nodes, and NODES=%d", c.Central, c.Nodes)
	}
	return c, nil
}

// Load reads the cluster that Save stored.
func Load(path string) (Cluster, error) {
	var c Cluster
	b, err := os.ReadFile(path)
	if err != nil {
		return c, fmt.Errorf("no cluster here (make up starts one): %w", err)
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return c, fmt.Errorf("reading %s: %w", path, err)
	}
	return c, nil
}

// Save stores the cluster for Load.
func (c Cluster) Save(path string) error {
	b, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("encoding the cluster: %w", err)
	}
	return os.WriteFile(path, b, 0o644)
}

// NodeName is the name of node i, counted from 1.
func NodeName(i int) string { return "node" + strconv.Itoa(i) }

// Net is one network of the cluster, in both families.
type Net struct{ V4, V6 netip.Prefix }

func net(v4, v6 string) Net { return Net{netip.MustParsePrefix(v4), netip.MustParsePrefix(v6)} }

// The networks of the cluster. Management carries the API and is where nodes have their InternalIP; Tunnel is left to
// the network plugin; Outside lies beyond the nodes and has no route to pods.
var (
	Management = net("172.31.0.0/24", "fd00:31::/64")
	Tunnel     = net("172.30.0.0/24", "fd00:30::/64")
	Outside    = net("172.29.0.0/24", "fd00:29::/64")
	Pods       = net("10.16.0.0/16", "fd00:10:16::/48")
	Services   = net("10.96.0.0/16", "fd00:10:96::/112")
	Join       = net("100.64.0.0/16", "fd00:100:64::/112")

	// Internet is what Kubernetes' own tests take for the Internet. The test host stands in for it.
	Internet = net("8.8.8.8/32", "2001:4860:4860::8888/128")
)

// Host numbers with a meaning of their own on Management and Outside.
const (
	OutsideHost = 1   // the test host, on Outside
	FabricHost  = 253 // the fabric, which routes between Management and Outside
	MachineHost = 254 // this machine, on Management
	DNSHost     = 10  // CoreDNS, on Services
)

// Prefixes are the network's prefixes in the families of the cluster, IPv4 first.
func (c Cluster) Prefixes(n Net) []netip.Prefix {
	switch c.Family {
	case IPv4:
		return []netip.Prefix{n.V4}
	case IPv6:
		return []netip.Prefix{n.V6}
	}
	return []netip.Prefix{n.V4, n.V6}
}

// Addrs are the addresses with one host number in a network, in the families of the cluster, IPv4 first.
func (c Cluster) Addrs(n Net, host int) []netip.Addr {
	var out []netip.Addr
	for _, p := range c.Prefixes(n) {
		out = append(out, Host(p, host))
	}
	return out
}

// Host is the address of a prefix with the given host number, which an IPv6 address shows in decimal digits
// (host 12 is fd00:31::12), so that nodes have the same digits in both families.
func Host(p netip.Prefix, host int) netip.Addr {
	if p.Addr().Is4() {
		a := p.Addr().As4()
		a[3] = byte(host)
		return netip.AddrFrom4(a)
	}
	digits, _ := strconv.ParseUint(strconv.Itoa(host), 16, 16)
	a := p.Addr().As16()
	a[14], a[15] = byte(digits>>8), byte(digits)
	return netip.AddrFrom16(a)
}
