package main

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"net/netip"
	"os"
	"strings"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/meter"
	"github.com/woven-cni/woven/pkg/nodeaddr"
	"github.com/woven-cni/woven/pkg/policy/rules"
)

// Options are the controller's settings. Flags that Kube-OVN has too keep its names and defaults.
type Options struct {
	// Namespace is where the controller and the Services of the OVN databases live.
	Namespace string
	// DefaultVpc, DefaultSubnet and JoinSubnet name the objects that the controller makes when they are missing.
	DefaultVpc, DefaultSubnet, JoinSubnet string
	// DefaultCIDR, DefaultGateway and DefaultExcludeIPs become the spec of the default Subnet.
	DefaultCIDR, DefaultGateway, DefaultExcludeIPs string
	// JoinCIDR becomes the spec of the join Subnet.
	JoinCIDR string
	// ServiceCIDR is what no Subnet may overlap: the cluster's Service addresses.
	ServiceCIDR string
	// NodeNetworks are where nodes have their addresses: ranges with commas between.
	NodeNetworks string
	// ControlPlaneNodes may have the API server's address: names of nodes with commas between.
	ControlPlaneNodes string
	// EnableLB gives Subnets that do not say otherwise the Vpc's Services.
	EnableLB bool
	// PolicyLimits bound each NetworkPolicy, and NamespaceGroups those of one namespace together.
	PolicyLimits    rules.Limits
	NamespaceGroups int
	// Rates are what pods may ask of each node's ovn-controller.
	Rates meter.Input
	// NBAddr replaces the discovery of the northbound database: OVSDB endpoints with commas between.
	NBAddr string
	// LeaderElect is off only where a second controller cannot exist.
	LeaderElect bool
	// MetricsAddr is where /metrics, /healthz and /readyz are served.
	MetricsAddr string
}

// AddFlags registers the options with fs.
func (o *Options) AddFlags(fs *flag.FlagSet) {
	fs.StringVar(&o.DefaultVpc, "cluster-router", v1.DefaultVpc, "name of the default Vpc and of its router")
	fs.StringVar(&o.DefaultSubnet, "default-ls", v1.DefaultSubnet, "name of the default Subnet")
	fs.StringVar(&o.DefaultCIDR, "default-cidr", "10.16.0.0/16", "CIDR of the default Subnet, one of each family with a comma between")
	fs.StringVar(&o.DefaultGateway, "default-gateway", "", "gateway of the default Subnet; its first address when empty")
	fs.StringVar(&o.DefaultExcludeIPs, "default-exclude-ips", "", "addresses of the default Subnet that are never given out")
	fs.StringVar(&o.JoinSubnet, "node-switch", v1.JoinSubnet, "name of the Subnet of the nodes")
	fs.StringVar(&o.JoinCIDR, "node-switch-cidr", "100.64.0.0/16", "CIDR of the Subnet of the nodes, one of each family with a comma between")
	fs.StringVar(&o.ServiceCIDR, "service-cluster-ip-range", "10.96.0.0/12", "addresses of Services, one range of each family with a comma between")
	fs.StringVar(&o.NodeNetworks, "node-networks", nodeaddr.DefaultNetworks,
		"where nodes have their InternalIPs, ranges with commas between; what a node reports outside of them does not count")
	fs.StringVar(&o.ControlPlaneNodes, "control-plane-nodes", "",
		"nodes that may have the API server's address, with commas between, beside those labelled node-role.kubernetes.io/control-plane")
	fs.BoolVar(&o.EnableLB, "enable-lb", true, "give Subnets the Services of their Vpc unless they say otherwise")
	fs.IntVar(&o.PolicyLimits.Rules, "policy-max-rules", 1000, "rules that a NetworkPolicy may have; 0 is no bound, here and below")
	fs.IntVar(&o.PolicyLimits.Groups, "policy-max-groups", 128, "ways in which a NetworkPolicy may select pods, its own among them")
	fs.IntVar(&o.PolicyLimits.Networks, "policy-max-networks", 32768, "networks that a NetworkPolicy's blocks may come to, without their exceptions")
	fs.IntVar(&o.PolicyLimits.Ports, "policy-max-ports", 1000, "ports, ranges and names of ports that a NetworkPolicy may have")
	fs.IntVar(&o.PolicyLimits.LogRate, "policy-max-log-rate", 100, "messages a second that a NetworkPolicy may ask for")
	fs.IntVar(&o.NamespaceGroups, "namespace-max-groups", 2048, "ways in which the NetworkPolicies of one namespace may select pods together")
	fs.IntVar(&o.Rates.Messages, "policy-log-rate", 10, "messages a second and node that each rule logs of a NetworkPolicy that asks for no rate")
	fs.IntVar(&o.Rates.Packets, "copp-rate", 500, "packets a second and node of each protocol that ovn-controller answers for pods")
	fs.StringVar(&o.NBAddr, "ovn-nb-addr", "", "OVSDB endpoints of the northbound database; found by the Service ovn-nb when empty")
	fs.BoolVar(&o.LeaderElect, "leader-elect", true, "work only while holding the Lease woven-controller")
	fs.StringVar(&o.MetricsAddr, "metrics-bind-address", "127.0.0.1:10660", "where /metrics, /healthz and /readyz are served")
}

// Complete fills in what the environment tells.
func (o *Options) Complete() error {
	o.Namespace = os.Getenv("POD_NAMESPACE")
	if o.Namespace == "" {
		o.Namespace = "kube-system"
	}
	return nil
}

// Validate refuses settings that cannot work, all of them at once.
func (o *Options) Validate() error {
	return errors.Join(
		checkCIDRs("--default-cidr", o.DefaultCIDR),
		checkCIDRs("--node-switch-cidr", o.JoinCIDR),
		checkCIDRs("--service-cluster-ip-range", o.ServiceCIDR),
		checkAtLeast("--policy-max-rules", o.PolicyLimits.Rules, 0),
		checkAtLeast("--policy-max-groups", o.PolicyLimits.Groups, 0),
		checkAtLeast("--policy-max-networks", o.PolicyLimits.Networks, 0),
		checkAtLeast("--policy-max-ports", o.PolicyLimits.Ports, 0),
		checkAtLeast("--policy-max-log-rate", o.PolicyLimits.LogRate, 0),
		checkAtLeast("--namespace-max-groups", o.NamespaceGroups, 0),
		checkAtLeast("--policy-log-rate", o.Rates.Messages, 1),
		checkAtLeast("--copp-rate", o.Rates.Packets, 1),
		checkCIDRs("--node-networks", o.NodeNetworks),
	)
}

// ServicePrefixes are the ranges of ServiceCIDR.
func (o *Options) ServicePrefixes() []netip.Prefix { return parsePrefixes(o.ServiceCIDR) }

func parsePrefixes(list string) []netip.Prefix {
	var out []netip.Prefix
	for _, text := range strings.Split(list, ",") {
		if p, err := netip.ParsePrefix(strings.TrimSpace(text)); err == nil {
			out = append(out, p.Masked())
		}
	}
	return out
}

// maxRate is the most that OVSDB takes for a rate.
const maxRate = math.MaxUint32

func checkAtLeast(name string, value, least int) error {
	if value < least || value > maxRate {
		return fmt.Errorf("%s: %d is not between %d and %d", name, value, least, maxRate)
	}
	return nil
}

func checkCIDRs(name, text string) error {
	for _, cidr := range strings.Split(text, ",") {
		if _, err := netip.ParsePrefix(strings.TrimSpace(cidr)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}
