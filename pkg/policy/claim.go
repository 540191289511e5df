package policy

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/group"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/policy/rules"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/vpc"
)

// claim takes a place in the groups that the rows will speak of. The groups of the rows that are in place stay in use until the
// new ones have taken over.
func (f *feature) claim(_ context.Context, _ types.NamespacedName, in *Input) (done func(reconcile.Outcome), err error) {
	if in.Object != nil && len(in.Problems.Blocking()) == 0 {
		var problems reconcile.Problems
		if in.Groups, in.Numbers, problems, err = Resolve(f.Groups, in.Owner, &in.Policy); err != nil {
			return nil, err
		}
		in.Problems = append(in.Problems, problems...)
	}
	groups, err := f.Groups.Claim(in.Owner, in.Policy.Subject, in.Groups...)
	if err != nil {
		return nil, fmt.Errorf("selecting: %w", err)
	}
	in.Lacking = groups.Lacking
	done = func(out reconcile.Outcome) { groups.Done(out.Programmed()) }
	if groups.Waits != "" {
		return done, &reconcile.Wait{For: groups.Waits}
	}
	return done, nil
}

// Resolve finds out what the names of ports mean that a policy speaks of, and lists all the groups that its rows need. Rules
// for which its namespace has no room are left out of the policy, and told.
func Resolve(groups *group.Registry, owner ovs.Owner, p *rules.Policy) ([]group.Selector, map[group.Selector][]int32, reconcile.Problems, error) {
	problems := admitRules(groups, owner, p)
	all, numbers := p.Selectors(), map[group.Selector][]int32{}
	if err := groups.Use(owner, all...); err != nil {
		return nil, nil, nil, fmt.Errorf("selecting: %w", err)
	}
	for _, s := range p.Named() {
		if _, known := numbers[s]; known {
			continue
		}
		exact, told := admitNumbers(groups, owner, all, s)
		if p.Tier != vpc.PolicyTier {
			exact, told = every(s, groups.Numbers(s)), nil // what an administrator denies is denied by whatever number
		}
		for _, one := range exact {
			numbers[s] = append(numbers[s], one.Port.Number)
		}
		slices.Sort(numbers[s])
		all, problems = append(all, exact...), append(problems, told...)
	}
	return all, numbers, problems, nil
}

// admitRules drops the rules for whose groups the namespace has no room. The group of the policy's subject always has room:
// without it the policy would deny nothing.
func admitRules(groups *group.Registry, owner ovs.Owner, p *rules.Policy) reconcile.Problems {
	var problems reconcile.Problems
	var asks [][]group.Selector
	for _, d := range []*rules.Direction{&p.Ingress, &p.Egress} {
		for _, r := range d.Rules {
			asks = append(asks, r.Peers.Groups)
		}
	}
	admitted := groups.Admit(owner, []group.Selector{p.Subject}, asks)
	for _, d := range []struct {
		*rules.Direction
		field string
	}{{&p.Ingress, "spec.ingress"}, {&p.Egress, "spec.egress"}} {
		var kept []rules.Rule
		for _, r := range d.Rules {
			fits := admitted[0]
			if admitted = admitted[1:]; fits {
				kept = append(kept, r)
				continue
			}
			problems.Advise(fmt.Sprintf("%s[%s]", d.field, r.Name), v1.ReasonLimitExceeded,
				"the rule is left out: the policies of the namespace may use %d groups of pods together", groups.Most())
		}
		d.Rules = kept
	}
	return problems
}

// every is a selector of a named port with each of some numbers.
func every(name group.Selector, numbers []int32) []group.Selector {
	out := make([]group.Selector, len(numbers))
	for i, n := range numbers {
		exact := name.Port
		exact.Number = n
		out[i] = name.With(exact)
	}
	return out
}

// maxNumbers is how many numbers the name of a port may mean in a NetworkPolicy among the pods of one selector. Each is a
// group and an ACL, and pods of others decide how many there are. NetworkPolicies only allow: what is left out is closed.
const maxNumbers = 16

// admitNumbers finds the numbers that a name means, by how many pods mean them.
func admitNumbers(groups *group.Registry, owner ovs.Owner, base []group.Selector, name group.Selector) ([]group.Selector, reconcile.Problems) {
	var problems reconcile.Problems
	numbers := groups.Numbers(name)
	var asks [][]group.Selector
	for _, one := range every(name, numbers[:min(len(numbers), maxNumbers)]) {
		asks = append(asks, []group.Selector{one})
	}
	var out []group.Selector
	for i, fits := range groups.Admit(owner, base, asks) {
		if fits {
			out = append(out, asks[i]...)
		}
	}
	if left := len(numbers) - len(out); left > 0 {
		problems.Advise("spec", v1.ReasonLimitExceeded,
			"the port %s has %d numbers among %s: the policy is about the %d of them that most of these pods mean",
			name.Port.Name, len(numbers), name.With(group.NamedPort{}), len(out))
	}
	return out, problems
}
