package policy

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/group"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// What the policies of administrators have in common: ordered rules that accept, deny or pass. Both versions of the API
// are read into clusterRules.

// clusterRule is a rule of either version.
type clusterRule struct {
	action Action
	peers  []clusterPeer
	ports  []clusterPort
}

// clusterPeer is a peer of either version. Its API has exactly one of these set; one with none of them is of a version
// that this one does not know.
type clusterPeer struct {
	namespaces  *metav1.LabelSelector
	pods        *clusterPods
	nodes       *metav1.LabelSelector
	networks    []string
	domainNames int
}

type clusterPods struct{ namespaces, pods *metav1.LabelSelector }

// clusterPort is a port of either version: a name, or a range of a protocol; everyPort for all of them.
type clusterPort struct {
	name        string
	protocol    corev1.Protocol
	first, last int32
}

// The priorities of ACLs: a policy has a span of them, the policies of priority 0 the highest. Within the span, rules in
// a row with the same action share a priority, because among them the order makes no difference.
const (
	clusterSpan     = 32
	clusterHighest  = 32500
	clusterLast     = 1000
	baselineHighest = clusterHighest - clusterSpan*(clusterLast+1)
)

// clusterPriority is that of the first rule of a policy.
func clusterPriority(priority int32) (int, error) {
	if priority < 0 || priority > clusterLast {
		return 0, fmt.Errorf("the priority %d is not between 0 and %d", priority, clusterLast)
	}
	return clusterHighest - clusterSpan*int(priority), nil
}

// parseClusterRules reads the rules of one direction, which have priorities from highest on.
//
// A rule that is not understood fails closed, as the API asks: one that accepts is left out, and one that denies or
// passes denies everything.
func parseClusterRules(rules []clusterRule, field string, highest int, ps *reconcile.Problems) Direction {
	var d Direction
	run := 0
	for i, r := range rules {
		rule, err := parseClusterRule(i, r)
		if err != nil {
			reason := v1.ReasonInvalid
			if errors.Is(err, errDomainNames) {
				reason = v1.ReasonNotImplemented
			}
			if r.action == Accept {
				ps.Advise(fmt.Sprintf("%s[%d]", field, i), reason, "the rule is left out: %s", err)
				continue
			}
			ps.Advise(fmt.Sprintf("%s[%d]", field, i), reason, "the rule denies everything: %s", err)
			rule = Rule{Name: strconv.Itoa(i), Action: Deny, Anyone: true, AnyPort: true}
		}
		if n := len(d.Rules); n > 0 && d.Rules[n-1].Action != rule.Action {
			run++
		}
		if run >= clusterSpan {
			ps.Add(field, v1.ReasonInvalid, "its rules change between actions more than %d times", clusterSpan-1)
			return Direction{}
		}
		rule.Priority = highest - run
		d.Rules = append(d.Rules, rule)
	}
	return d
}

func parseClusterRule(i int, r clusterRule) (Rule, error) {
	rule := Rule{Name: strconv.Itoa(i), Action: r.action, AnyPort: len(r.ports) == 0}
	if r.action == None {
		return rule, errors.New("it has an unknown action")
	}
	if len(r.peers) == 0 {
		return rule, errors.New("it has no peers")
	}
	var blocks networks
	for _, p := range r.peers {
		if err := parseClusterPeer(&rule.Peers, &blocks, p); err != nil {
			return rule, err
		}
	}
	var err error
	if rule.Peers.Networks, err = blocks.prefixes(); err != nil {
		return rule, err
	}
	for _, p := range r.ports {
		if err := parseClusterPort(&rule.Ports, p); err != nil {
			return rule, err
		}
	}
	rule.Ports.tidy()
	return rule, nil
}

var errDomainNames = errors.New("domain names are not implemented yet")

func parseClusterPeer(to *Peers, blocks *networks, p clusterPeer) error {
	switch {
	case p.pods != nil:
		return to.add(p.pods.namespaces, p.pods.pods)
	case p.namespaces != nil:
		return to.add(p.namespaces, nil)
	case p.nodes != nil:
		nodes, err := group.Canonical(p.nodes)
		if err != nil {
			return fmt.Errorf("nodes: %w", err)
		}
		to.Nodes = append(to.Nodes, nodes)
	case len(p.networks) > 0:
		for _, cidr := range p.networks {
			if err := blocks.add(cidr, nil); err != nil {
				return err
			}
		}
	case p.domainNames > 0:
		return errDomainNames
	default:
		return errors.New("it has a peer of an unknown kind")
	}
	return nil
}

func (p *Peers) add(namespaces, pods *metav1.LabelSelector) error {
	selector, err := group.Of(namespaces, pods)
	if err != nil {
		return err //nolint:wrapcheck // it says which selector it is
	}
	if !slices.Contains(p.Groups, selector) {
		p.Groups = append(p.Groups, selector)
	}
	return nil
}

func parseClusterPort(to *Ports, p clusterPort) error {
	if p.name != "" {
		for _, protocol := range []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP} {
			to.name(group.NamedPort{Protocol: protocol, Name: p.name})
		}
		return nil
	}
	if _, known := protocols[p.protocol]; !known {
		return fmt.Errorf("it has a protocol of an unknown kind %q", p.protocol)
	}
	if p.first == 0 && p.last == 0 {
		to.add(p.protocol, everyPort)
		return nil
	}
	return to.addRange(p.protocol, p.first, p.last)
}

// parseClusterSubject reads the pods that a policy is about.
func parseClusterSubject(namespaces *metav1.LabelSelector, pods *clusterPods) (group.Selector, error) {
	var p Peers
	switch {
	case pods != nil:
		if err := p.add(pods.namespaces, pods.pods); err != nil {
			return group.Selector{}, err
		}
	case namespaces != nil:
		if err := p.add(namespaces, nil); err != nil {
			return group.Selector{}, err
		}
	default:
		return group.Selector{}, errors.New("it selects neither namespaces nor pods")
	}
	return p.Groups[0], nil
}
