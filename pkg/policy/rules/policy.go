package rules

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/woven-cni/woven/pkg/group"
)

// Policy is what any of the APIs' policies means, in typed values.
type Policy struct {
	// Tier is the tier of its ACLs: vpc.AdminTier, vpc.PolicyTier or vpc.BaselineTier.
	Tier int
	// Subject are the pods it is about.
	Subject group.Selector
	// Ingress and Egress are about connections to and from them.
	Ingress, Egress Direction
	// Log says what is logged.
	Log Log
}

// Direction is what a policy says about connections of one direction.
type Direction struct {
	// Default is what becomes of connections that no rule is about; None leaves them to others.
	Default Action
	// Lax limits the default to TCP, UDP and SCTP.
	Lax bool
	// DefaultPriority is that of the ACL for it.
	DefaultPriority int
	// Rules each have their priority.
	Rules []Rule
}

// Action is what becomes of a connection.
type Action string

// The actions. Pass leaves the connection to the next tier.
const (
	None   Action = ""
	Accept Action = "accept"
	Deny   Action = "deny"
	Pass   Action = "pass"
)

// Rule is about some of the connections.
type Rule struct {
	// Name tells the rule from the others of its direction. It is short and stays the same while rules around it change.
	Name     string
	Action   Action
	Priority int
	// Anyone says that the rule is about all peers, whatever Peers holds.
	Anyone bool
	Peers  Peers
	// AnyPort says that the rule is about everything that is IP, whatever Ports holds.
	AnyPort bool
	Ports   Ports
}

// Peers are the other ends of connections.
type Peers struct {
	// Groups are pods.
	Groups []group.Selector
	// Networks are addresses.
	Networks Networks
	// Nodes are the addresses of nodes, by label selectors of theirs.
	Nodes []string
}

func (p *Peers) add(pods group.Selector) {
	if !slices.Contains(p.Groups, pods) {
		p.Groups = append(p.Groups, pods)
	}
}

// Ports are destination ports.
type Ports struct {
	// Numbers are ranges, by protocol; merged and sorted.
	Numbers map[corev1.Protocol][]Range
	// Named are ports by name; their Number is 0.
	Named []group.NamedPort
}

// Range is a range of port numbers.
type Range struct{ First, Last uint16 }

// Log says which decisions are logged.
type Log struct {
	// Actions are those whose decisions are logged.
	Actions map[Action]bool
	// Rate is how many messages a second the policy asks for at most; 0 leaves it to the operator.
	Rate int
}

// rules are the rules of both directions.
func (p *Policy) rules() []Rule {
	return append(append([]Rule(nil), p.Ingress.Rules...), p.Egress.Rules...)
}

// Selectors are the groups that the policy's rows speak of, and those without a row that tell what names of ports mean.
func (p *Policy) Selectors() []group.Selector {
	all := []group.Selector{p.Subject}
	for _, r := range p.rules() {
		all = append(all, r.Peers.Groups...)
	}
	return append(all, p.Named()...)
}

// Named are the selectors, without numbers, of the named ports in the rules: a name is resolved by the pod that listens.
func (p *Policy) Named() []group.Selector {
	var all []group.Selector
	for _, r := range p.Ingress.Rules {
		for _, name := range r.Ports.Named {
			all = append(all, p.Subject.With(name))
		}
	}
	for _, r := range p.Egress.Rules {
		for _, name := range r.Ports.Named {
			for _, g := range r.Listeners() {
				all = append(all, g.With(name))
			}
		}
	}
	return all
}

// Listeners are the pods that a rule for egress lets its subject call.
func (r *Rule) Listeners() []group.Selector {
	if r.Anyone {
		return []group.Selector{{}}
	}
	return r.Peers.Groups
}
