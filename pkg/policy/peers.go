package policy

import (
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/woven-cni/woven/pkg/group"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/pkg/policy/rules"
)

// inlineNetworks is how many networks of a family stand in the match itself. More are an Address_Set, whose changes OVN
// works in by the element.
const inlineNetworks = 8

// peers is the part of a match that is about the other end; "" when that may be anyone, and not some when it can be
// nobody. The groups are those of the rule, or what is left of them for one port.
func (t *translation) peers(w way, r rules.Rule, groups []group.Selector) (match string, some bool) {
	if r.Anyone {
		return "", true
	}
	var families []string
	for _, f := range []family{v4, v6} {
		var among []string
		for _, g := range groups {
			among = append(among, "$"+g.Name()+f.suffix)
		}
		among = append(among, t.networks(w, r, f)...)
		if len(among) > 0 {
			families = append(families, f.field+"."+w.peer+" == "+oneOf(among))
		}
	}
	return strings.Join(families, " || "), len(families) > 0
}

// family is how OVN speaks of an address family.
type family struct {
	field, suffix string
	is4           bool
}

var (
	v4 = family{"ip4", "_ip4", true}
	v6 = family{"ip6", "_ip6", false}
)

// networks are the rule's networks of one family as they stand in a match: one by one, or as the name of a set of them.
func (t *translation) networks(w way, r rules.Rule, f family) []string {
	var texts []string
	for _, p := range t.addresses(w, r) {
		if p.Addr().Is4() == f.is4 {
			texts = append(texts, text(p))
		}
	}
	if len(texts) <= inlineNetworks {
		return texts
	}
	sym := symOf(t.Owner, w.name, r.Name, "networks"+f.suffix)
	t.addSet(sym, texts)
	return []string{"$" + setName(sym)}
}

func (t *translation) addSet(sym ovs.Sym, addresses []string) {
	for _, row := range t.want.Rows {
		if row.Sym == sym {
			return // the rule has ports by number and by name, and its peers stand in several ACLs
		}
	}
	t.want.Add(sym, &nb.AddressSet{Name: setName(sym)}).Exactly(ovs.SetAddresses, addresses...)
}

// text is a network as OVN writes it: an address without its length.
func text(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// addresses are the networks among peers as they stand in a match, with the nodes in mind.
//
// Users know a node by the addresses in its status. Its processes call pods from the join subnet, so what lets in the node
// lets in its address there too, and what excepts the node excepts that too, also from a block of everybody.
func (t *translation) addresses(w way, r rules.Rule) []netip.Prefix {
	peers := r.Peers
	if peers.Networks.Empty() && len(peers.Nodes) == 0 {
		return nil
	}
	key := w.name + "/" + r.Name
	if found, ok := t.found[key]; ok {
		return found // both families, and each named port, ask for the same
	}
	networks := peers.Networks
	if networks.HasExceptions() {
		hosts := make([]rules.Host, len(t.Hosts))
		for i, h := range t.Hosts {
			hosts[i] = rules.Host{Names: h.Reported, Addresses: slices.Concat(h.Known, h.Join)}
		}
		networks = networks.Excepting(hosts)
	}
	var extra []netip.Addr
	for _, h := range t.Hosts {
		switch {
		case w.name == ingress.name:
			extra = append(extra, h.within(networks)...)
		case slices.ContainsFunc(peers.Nodes, h.matches):
			extra = append(append(extra, h.Known...), h.Join...)
		}
	}
	if t.found == nil {
		t.found = map[string][]netip.Prefix{}
	}
	t.found[key] = networks.Plus(extra...).Prefixes()
	return t.found[key]
}

// within are the join addresses of a node whose known ones are within networks: its processes call pods from there.
func (h Host) within(networks rules.Networks) []netip.Addr {
	var out []netip.Addr
	for _, known := range h.Known {
		for _, join := range h.Join {
			if join.Is4() == known.Is4() && networks.Contains(known) && !networks.Contains(join) {
				out = append(out, join)
			}
		}
	}
	return out
}

// matches says whether a label selector takes the node. What cannot be read was refused when it was parsed.
func (h Host) matches(selector string) bool {
	s, err := labels.Parse(selector)
	return err == nil && s.Matches(labels.Set(h.Labels))
}
