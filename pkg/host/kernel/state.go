package kernel

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// NodeInterface is the node's own interface on the join subnet.
const NodeInterface = "ovn0"

// State is what the kernel has, or should have, of what is Woven's on a node.
type State struct {
	Links     map[string]Link
	Addresses map[string][]netip.Prefix // by link: all but link-local ones
	Routes    []Route
	Sysctls   map[string]string
	Netfilter Netfilter
	// KeepRoutes and KeepNetfilter are, in what should be, set as long as not all is known that these follow from: what is
	// there stays.
	KeepRoutes, KeepNetfilter bool
	// Learning are, in what is, the links that take router advertisements as hosts do; see routers.go.
	Learning []string
	// TakenOver are, in what should be, the links whose addresses a bridge has taken over. They learn nothing.
	TakenOver []string
}

// Merge takes in what another part of the node wants.
func (s *State) Merge(other State) {
	if s.Links == nil {
		s.Links, s.Addresses, s.Sysctls = map[string]Link{}, map[string][]netip.Prefix{}, map[string]string{}
	}
	maps.Copy(s.Links, other.Links)
	maps.Copy(s.Addresses, other.Addresses)
	maps.Copy(s.Sysctls, other.Sysctls)
	s.Routes = append(s.Routes, other.Routes...)
	s.TakenOver = append(s.TakenOver, other.TakenOver...)
	s.KeepRoutes, s.KeepNetfilter = s.KeepRoutes || other.KeepRoutes, s.KeepNetfilter || other.KeepNetfilter
	n, o := &s.Netfilter, other.Netfilter
	n.Sources, n.Cluster, n.Own = append(n.Sources, o.Sources...), append(n.Cluster, o.Cluster...), append(n.Own, o.Own...)
	n.Databases, n.Doors = append(n.Databases, o.Databases...), append(n.Doors, o.Doors...)
}

// Link is a network device.
type Link struct {
	Index        int // 0 in what should be
	Up           bool
	MTU          int // 0: whatever it is
	SoftChecksum bool
}

// Route is an entry of the main routing table.
type Route struct {
	Dst      netip.Prefix `json:"dst"`
	Gateway  netip.Addr   `json:"gw,omitzero"`
	Link     string       `json:"dev"`
	Source   netip.Addr   `json:"src,omitzero"`
	Metric   int          `json:"metric,omitempty"`
	Protocol int          `json:"proto,omitempty"`
}

// Connected is the route that the kernel makes by itself to the network of a link's address.
func Connected(link string, address netip.Prefix) Route {
	r := Route{Dst: address.Masked(), Link: link, Protocol: unix.RTPROT_KERNEL}
	if address.Addr().Is4() {
		r.Source = address.Addr()
	} else {
		r.Metric = connectedMetric6
	}
	return r
}

// madeBy says whether a route does what r is to do. Of one that the kernel makes it has to lead to the same place, and no
// more: kernels differ in what else they write into it, and to put back what is there would wake us again.
func (r Route) madeBy(is Route) bool {
	if r.Protocol == unix.RTPROT_KERNEL {
		return r.Dst == is.Dst && r.Link == is.Link && !is.Gateway.IsValid()
	}
	return r == is
}

// connectedMetric6 is the metric that the kernel gives such a route in IPv6.
const connectedMetric6 = 256

func (r Route) String() string {
	text := r.Dst.String()
	if r.Gateway.IsValid() {
		text += " via " + r.Gateway.String()
	}
	return text + " dev " + r.Link
}

// Protocol marks our routes, so that those of subnets that are gone can be told from everybody else's.
const Protocol = 0x57 // 'W'

// Netfilter is what the rules of the table "inet woven" go by.
type Netfilter struct {
	// Traffic that comes from Sources and does not go to Cluster leaves with the node's address.
	Sources []netip.Prefix
	Cluster []netip.Prefix
	// Own are the node's own addresses, each alone.
	Own []netip.Prefix
	// Databases are the addresses of OVN's databases, each alone: nothing is forwarded to their ports.
	Databases []netip.Prefix
	// Doors are the node's TCP ports that pods do not reach.
	Doors []uint16
	// Broken is set in what is when the rules themselves are not ours or not there.
	Broken bool
}

// Plan is the difference between two states, in the order in which it is applied.
type Plan struct {
	Sysctls         map[string]string
	Links           map[string]Link
	AddressesAdd    []LinkAddress
	AddressesDelete []LinkAddress
	RoutesAdd       []Route
	RoutesDelete    []Route
	Netfilter       *NetfilterPlan
}

// LinkAddress is an address on a link.
type LinkAddress struct {
	Link    string
	Address netip.Prefix
}

// NetfilterPlan is the difference between two Netfilters. Rebuild makes the table anew, with all that is in Add.
type NetfilterPlan struct {
	Rebuild     bool
	Add, Delete Netfilter
}

// Diff finds what leads from have to want. Links that do not exist are left out, with all that is on them: their
// appearance is an event of its own.
func Diff(want, have State) Plan {
	plan := Plan{Sysctls: map[string]string{}, Links: map[string]Link{}}
	for key, value := range want.Sysctls {
		// What the kernel does not have cannot be set: the link is not there yet, or the family never will be.
		if is, exists := have.Sysctls[key]; exists && is != value {
			plan.Sysctls[key] = value
		}
	}
	keepLearning(&plan, want, have)
	for name, link := range want.Links {
		is, exists := have.Links[name]
		if !exists {
			continue
		}
		if link.Up && !is.Up || link.MTU != 0 && link.MTU != is.MTU || link.SoftChecksum && !is.SoftChecksum {
			plan.Links[name] = link
		}
	}
	diffAddresses(&plan, want, have)
	diffRoutes(&plan, want, have)
	if !want.KeepNetfilter {
		plan.Netfilter = diffNetfilter(want.Netfilter, have.Netfilter)
	}
	return plan
}

func diffAddresses(plan *Plan, want, have State) {
	for _, name := range slices.Sorted(maps.Keys(want.Addresses)) {
		if _, exists := have.Links[name]; !exists {
			continue
		}
		add, remove := diffSets(want.Addresses[name], have.Addresses[name])
		for _, address := range add {
			plan.AddressesAdd = append(plan.AddressesAdd, LinkAddress{name, address})
		}
		for _, address := range remove {
			plan.AddressesDelete = append(plan.AddressesDelete, LinkAddress{name, address})
		}
	}
}

func diffRoutes(plan *Plan, want, have State) {
	kept := map[netip.Prefix]bool{}
	for _, route := range want.Routes {
		kept[route.Dst] = true
		if _, exists := have.Links[route.Link]; !exists {
			continue
		}
		if !slices.ContainsFunc(have.Routes, route.madeBy) {
			plan.RoutesAdd = append(plan.RoutesAdd, route)
		}
	}
	for _, route := range have.Routes {
		// An added route replaces the one of the same destination.
		if route.Protocol == Protocol && !kept[route.Dst] && !want.KeepRoutes {
			plan.RoutesDelete = append(plan.RoutesDelete, route)
		}
	}
}

func diffNetfilter(want, have Netfilter) *NetfilterPlan {
	plan := &NetfilterPlan{Rebuild: have.Broken}
	if have.Broken {
		have = Netfilter{}
	}
	plan.Add.Sources, plan.Delete.Sources = diffSets(want.Sources, have.Sources)
	plan.Add.Cluster, plan.Delete.Cluster = diffSets(want.Cluster, have.Cluster)
	plan.Add.Own, plan.Delete.Own = diffSets(want.Own, have.Own)
	plan.Add.Databases, plan.Delete.Databases = diffSets(want.Databases, have.Databases)
	plan.Add.Doors, plan.Delete.Doors = diffSets(want.Doors, have.Doors)
	if !plan.Rebuild && plan.Add.empty() && plan.Delete.empty() {
		return nil
	}
	return plan
}

func (n *Netfilter) empty() bool {
	return len(n.Sources)+len(n.Cluster)+len(n.Own)+len(n.Databases)+len(n.Doors) == 0
}

func diffSets[T comparable](want, have []T) (add, remove []T) {
	for _, w := range want {
		if !slices.Contains(have, w) {
			add = append(add, w)
		}
	}
	for _, h := range have {
		if !slices.Contains(want, h) {
			remove = append(remove, h)
		}
	}
	return add, remove
}

// Empty tells whether there is nothing to do.
func (p Plan) Empty() bool { return p.String() == "" }

// String lists the plan, one change a line.
func (p Plan) String() string {
	var lines []string
	line := func(format string, values ...any) { lines = append(lines, fmt.Sprintf(format, values...)) }
	for _, key := range inOrder(p.Sysctls) {
		line("sysctl %s = %s", key, p.Sysctls[key])
	}
	for _, name := range slices.Sorted(maps.Keys(p.Links)) {
		line("link %s: up %t mtu %d softchecksum %t", name, p.Links[name].Up, p.Links[name].MTU, p.Links[name].SoftChecksum)
	}
	for _, a := range p.AddressesAdd {
		line("+address %s dev %s", a.Address, a.Link)
	}
	for _, a := range p.AddressesDelete {
		line("-address %s dev %s", a.Address, a.Link)
	}
	for _, r := range p.RoutesAdd {
		line("+route %s", r)
	}
	for _, r := range p.RoutesDelete {
		line("-route %s", r)
	}
	if n := p.Netfilter; n != nil {
		line("netfilter rebuild %t sources +%v -%v cluster +%v -%v own +%v -%v databases +%v -%v doors +%v -%v", n.Rebuild,
			n.Add.Sources, n.Delete.Sources, n.Add.Cluster, n.Delete.Cluster, n.Add.Own, n.Delete.Own,
			n.Add.Databases, n.Delete.Databases, n.Add.Doors, n.Delete.Doors)
	}
	return strings.Join(lines, "\n")
}
