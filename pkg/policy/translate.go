package policy

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/woven-cni/woven/pkg/group"
	"github.com/woven-cni/woven/pkg/meter"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/pkg/pod"
	"github.com/woven-cni/woven/pkg/policy/rules"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/vpc"
)

// Input is all that a policy's rows depend on.
type Input struct {
	// Owner is whose the rows are: the kind of policy and its name.
	Owner ovs.Owner
	// Object is the policy, for the report; nil when it is gone.
	Object client.Object
	// Policy is what it means.
	Policy rules.Policy
	// Numbers are what pods mean by the names of ports, by their selector with the name and without a number.
	Numbers map[group.Selector][]int32
	// Groups are all selectors that the rows rely on, and Lacking is what their groups lack.
	Groups  []group.Selector
	Lacking []group.Lack
	// Hosts are the cluster's nodes. Their processes reach pods from addresses of the join subnet, which no user knows.
	Hosts []Host
	// Problems are what Parse found.
	Problems reconcile.Problems
}

// Host is a node.
type Host struct {
	Labels map[string]string
	// Known are the addresses that are accepted as the node's, Join those on the join subnet.
	Known, Join []netip.Addr
	// Reported are all addresses that the Node object lists, accepted or not. An exception that names one of them means the
	// node, and keeps the node's accepted addresses out. No rule lets a reported address in that was not accepted.
	Reported []netip.Addr
}

// Translate makes the rows of one policy.
func Translate(in Input) (ovs.Desired, reconcile.Problems) {
	t := translation{Input: in}
	if in.Object == nil || len(in.Problems.Blocking()) > 0 {
		return t.want, in.Problems
	}
	for _, l := range in.Lacking {
		t.want.Needs = append(t.want.Needs, l.Need(pod.Port))
	}
	t.direction(ingress, in.Policy.Ingress)
	t.direction(egress, in.Policy.Egress)
	t.addMeter()
	return t.want, in.Problems
}

// way is how the ACLs of a direction look.
type way struct {
	name      string
	direction nb.ACLDirection
	// port is the field that is the subject's port, peer the word after "ip4." for the other end.
	port, peer string
	options    map[string]string
}

var (
	ingress = way{name: "ingress", direction: nb.ACLDirectionToLport, port: "outport", peer: "src"}
	// A Service is a load balancer on the same switch. Only after it is the destination the pod, and not the ClusterIP.
	egress = way{name: "egress", direction: nb.ACLDirectionFromLport, port: "inport", peer: "dst", options: map[string]string{"apply-after-lb": "true"}}
)

type translation struct {
	Input
	want ovs.Desired
	// found are the networks of rules, as far as they have been worked out.
	found map[string][]netip.Prefix
}

func (t *translation) direction(w way, d rules.Direction) {
	if d.Default != rules.None {
		match := "ip"
		if d.Lax {
			match = laxMatch
		}
		t.addACL(w, acl{parts: []string{"default"}, on: t.Policy.Subject, match: match, action: d.Default, priority: d.DefaultPriority})
	}
	for _, r := range d.Rules {
		peers, some := t.peers(w, r, r.Peers.Groups)
		if some && (r.AnyPort || len(r.Ports.Numbers) > 0) {
			match := joinAll(peers, portMatch(&r))
			t.addACL(w, acl{parts: []string{r.Name}, on: t.Policy.Subject, match: match, action: r.Action, priority: r.Priority})
		}
		for _, port := range r.Ports.Named {
			t.named(w, r, port)
		}
	}
}

// laxMatch is what lax enforcement denies: connections of applications other than DHCP.
const laxMatch = "tcp || sctp || (udp && udp.src != {67, 68, 546, 547} && udp.dst != {67, 68, 546, 547})"

// named adds an ACL for each number that a name means among those who listen: for ingress the subject's pods, for egress
// the peers.
func (t *translation) named(w way, r rules.Rule, port group.NamedPort) {
	listeners := []group.Selector{t.Policy.Subject}
	if w.name == egress.name {
		listeners = r.Listeners()
	}
	byNumber := map[int32][]group.Selector{}
	for _, g := range listeners {
		for _, n := range t.Numbers[g.With(port)] {
			exact := port
			exact.Number = n
			byNumber[n] = append(byNumber[n], g.With(exact))
		}
	}
	for _, n := range slices.Sorted(maps.Keys(byNumber)) {
		on, only, groups := byNumber[n][0], r, r.Peers.Groups
		if w.name == egress.name {
			on, groups = t.Policy.Subject, byNumber[n]
			only.Anyone, only.Peers = false, rules.Peers{}
		}
		peers, some := t.peers(w, only, groups)
		if !some {
			continue
		}
		t.addACL(w, acl{
			parts: []string{r.Name, strings.ToLower(string(port.Protocol)) + "-" + port.Name, fmt.Sprint(n)},
			on:    on, match: joinAll(peers, fmt.Sprintf("%s.dst == %d", protocols[port.Protocol], n)),
			action: r.Action, priority: r.Priority,
		})
	}
}

// acl is what differs between ACLs of one direction.
type acl struct {
	parts    []string
	on       group.Selector
	match    string
	action   rules.Action
	priority int
}

func (t *translation) addACL(w way, a acl) {
	name := a.on.Name()
	sym := symOf(t.Owner, append([]string{w.name}, a.parts...)...)
	match := a.match
	if strings.Contains(match, "||") {
		match = "(" + match + ")"
	}
	row := &nb.ACL{
		Direction: w.direction, Tier: t.Policy.Tier, Priority: a.priority, Action: t.verdict(a.action), Options: w.options,
		Match: fmt.Sprintf("%s == @%s && %s", w.port, name, match), Name: aclName(sym),
	}
	if t.Policy.Log.Actions[a.action] {
		severity := nb.ACLSeverityInfo
		row.Log, row.Severity = true, &severity
		name := meter.LogName
		if t.Policy.Log.Rate > 0 {
			name = setName(t.meter())
		}
		row.Meter = &name
	}
	t.want.Add(sym, row).In(ovs.GroupACLs.Of(group.Sym(name)))
}

func (t *translation) verdict(a rules.Action) nb.ACLAction {
	switch {
	case a == rules.Accept, a == rules.Pass && t.Policy.Tier == vpc.BaselineTier:
		// After the last tier, OVN allows a packet that was passed. With allow-related, conntrack has the connection too.
		return nb.ACLActionAllowRelated
	case a == rules.Pass:
		return nb.ACLActionPass
	default:
		return nb.ACLActionDrop
	}
}

func (t *translation) meter() ovs.Sym { return symOf(t.Owner, "meter") }

// addMeter limits what the policy logs, when it logs.
func (t *translation) addMeter() {
	if t.Policy.Log.Rate == 0 || !slices.ContainsFunc(t.want.Rows, func(r ovs.Row) bool {
		a, ok := r.Model.(*nb.ACL)
		return ok && a.Meter != nil
	}) {
		return
	}
	fair := true
	band := symOf(t.Owner, "meter", "band")
	t.want.Add(band, &nb.MeterBand{Action: nb.MeterBandActionDrop, Rate: t.Policy.Log.Rate})
	t.want.Add(t.meter(), &nb.Meter{Name: setName(t.meter()), Unit: nb.MeterUnitPktps, Bands: []string{band.UUID()}, Fair: &fair})
}
