package rules

import (
	"fmt"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/group"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// Limits bound the rows of one NetworkPolicy; 0 is no bound. Authors of policies in one namespace share OVN with all others.
// Administrators' policies have no bounds: their authors may change the limits too.
type Limits struct {
	// Rules, Groups, Networks and Ports are how many of each its rules may have together. Groups are the ways in which they
	// select pods.
	Rules, Groups, Networks, Ports int
	// LogRate is how many messages a second a policy may ask for at most.
	LogRate int
}

// Limit leaves out the rules with which the policy comes to more than it may, and tells. What they would have allowed stays
// closed, as with a rule that makes no sense; the others, and what denies, are in force.
func (p *Policy) Limit(most Limits, ps *reconcile.Problems) {
	total := tally{groups: map[group.Selector]struct{}{p.Subject: {}}}
	for _, d := range []struct {
		*Direction
		field string
	}{{&p.Ingress, "spec.ingress"}, {&p.Egress, "spec.egress"}} {
		var kept []Rule
		for _, r := range d.Rules {
			if over := total.add(&r, most); over != "" {
				ps.Advise(fmt.Sprintf("%s[%s]", d.field, r.Name), v1.ReasonLimitExceeded, "the rule is left out: with it the policy has %s", over)
				continue
			}
			kept = append(kept, r)
		}
		d.Rules = kept
	}
	if most.LogRate > 0 && p.Log.Rate > most.LogRate {
		ps.Advise("metadata.annotations", v1.ReasonLimitExceeded, "%s: %d is more than %d messages a second, which are in force",
			v1.AnnotationPolicyLogRate, p.Log.Rate, most.LogRate)
		p.Log.Rate = most.LogRate
	}
}

// tally is what the rules so far come to.
type tally struct {
	rules, networks, ports int
	groups                 map[group.Selector]struct{}
}

// add counts a rule in, unless the policy would then have more than it may: it says of what.
func (t *tally) add(r *Rule, most Limits) (over string) {
	var more []group.Selector
	for _, g := range r.Peers.Groups {
		if _, counted := t.groups[g]; !counted {
			more = append(more, g) // a rule has each but once
		}
	}
	networks, ports := r.Peers.Networks.Count(), r.Ports.Count()
	for _, bound := range []struct {
		count, most int
		of          string
	}{
		{t.rules + 1, most.Rules, "rules"},
		{len(t.groups) + len(more), most.Groups, "groups of pods"},
		{t.networks + networks, most.Networks, "networks"},
		{t.ports + ports, most.Ports, "ports"},
	} {
		if bound.most > 0 && bound.count > bound.most {
			return fmt.Sprintf("%d %s, and %d is the most", bound.count, bound.of, bound.most)
		}
	}
	t.rules, t.networks, t.ports = t.rules+1, t.networks+networks, t.ports+ports
	for _, g := range more {
		t.groups[g] = struct{}{}
	}
	return ""
}
