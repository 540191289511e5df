// Package conformance runs the suites that no one here wrote, Kubernetes' end-to-end tests of [sig-network] and the
// conformance suite of network-policy-api, and says of each spec that did not pass why: from a table of reasons, whose
// entries must match what the spec itself says, so that a new failure is never explained away.
package conformance

import (
	"fmt"
	"slices"
	"strings"
)

// Suite is a part of the upstream suites that is run by itself.
type Suite struct {
	Name  string
	About string
	// Labels and Focus select the specs: a ginkgo label filter, and a pattern on their full names.
	Labels, Focus string
	// Procs is how many specs run side by side.
	Procs int
	// Least is how many specs must pass at least: a selection that selects nothing is not a success.
	Least int
	// OwnKernel says that the specs run on virtual machines only: they are those of other suites that need what this
	// machine's kernel lacks.
	OwnKernel bool

	policyAPI bool
}

// suites are all of them, in the order in which they run. Every spec of [sig-network] is in exactly one of them, but for
// what short and the suites of virtual machines choose from the others.
var suites = []Suite{
	{
		Name: "short", About: "[Conformance] and a choice of NetworkPolicy",
		Labels: "sig-network", Focus: `\[Conformance\]|Netpol NetworkPolicy between server and client should (` + everyday + `) \[`,
		Procs: 4, Least: 47 + 7,
	},
	{Name: "conformance", About: "[sig-network] with [Conformance]", Labels: "sig-network && Conformance", Procs: 4, Least: 47},
	{
		Name: "sig-network", About: "[sig-network] without the suites beside it",
		Labels: "sig-network && !Conformance && !Slow && !Disruptive && !(Feature: containsAny {NetworkPolicy, PerformanceDNS})",
		Procs:  4, Least: 75,
	},
	{
		Name: "policy", About: "NetworkPolicy",
		Labels: "sig-network && !Disruptive && (Feature: containsAny NetworkPolicy)", Procs: 4, Least: 40,
	},
	{
		Name: "slow", About: "[Slow], and DNS with 10,000 Services",
		Labels: "sig-network && !Disruptive && (Slow || (Feature: containsAny PerformanceDNS)) && !(Feature: containsAny NetworkPolicy)",
		Procs:  4, Least: 5,
	},
	{
		Name: "disruptive", About: "[Disruptive], one by one",
		Labels: "sig-network && Disruptive", Procs: 1,
	},
	{
		// It has 92 tests; 36 of them connect by SCTP sooner or later.
		Name: "policy-api", About: "network-policy-api, standard and experimental features", Least: 56, policyAPI: true,
	},
	{
		Name: "kernel", About: "[sig-network] with SCTP or a look into the kernel's connections, on virtual machines",
		Labels: "sig-network && !(Feature: containsAny LoadBalancer)", Focus: `Feature:SCTPConnectivity|CLOSE_WAIT`, Procs: 1, Least: 7,
		OwnKernel: true,
	},
	{
		Name: "kernel-policy-api", About: "network-policy-api with SCTP, on virtual machines",
		Focus: `CNP(Admin|Baseline)Tier((In|E)gressSCTP|Gress|EgressInlineCIDRPeers|EgressNodePeers)`, Least: 36, OwnKernel: true, policyAPI: true,
	},
}

// Reported says whether the suite is in the report. What short runs is there in the suites that it is chosen from.
func (s Suite) Reported() bool { return s.Name != "short" }

// everyday are the specs of NetworkPolicy that are in short: one of each kind of policy and of change.
const everyday = `support a 'default-deny-all' policy|support allow-all policy|enforce updated policy` +
	`|enforce policy based on PodSelector and NamespaceSelector|enforce except clause while egress access to server in CIDR block` +
	`|allow ingress access on one named port|allow ingress access from updated pod`

// Choose returns the suites of a list of names, separated by commas. The empty list is all of them but short and those
// that need virtual machines.
func Choose(names string) ([]Suite, error) {
	if names == "" || names == "all" {
		return slices.DeleteFunc(slices.Clone(suites), func(s Suite) bool { return !s.Reported() || s.OwnKernel }), nil
	}
	var chosen []Suite
	for _, name := range strings.Split(names, ",") {
		i := slices.IndexFunc(suites, func(s Suite) bool { return s.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("no suite %q: there are all, %s", name, strings.Join(suiteNames(), ", "))
		}
		chosen = append(chosen, suites[i])
	}
	return chosen, nil
}

func suiteNames() []string {
	var names []string
	for _, s := range suites {
		names = append(names, s.Name)
	}
	return names
}
