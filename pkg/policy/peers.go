package policy

import (
	"net/netip"
	"strings"

	"go4.org/netipx"

	"github.com/woven-cni/woven/pkg/group"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/nb"
)

// inlineNetworks is how many networks of a family stand in the match itself. More are an Address_Set, whose changes OVN
// works in by the element.
const inlineNetworks = 8

// peers is the part of a match that is about the other end; "" when that may be anyone, and not some when it can be
// nobody. The groups are those of the rule, or what is left of them for one port.
func (t *translation) peers(w way, r Rule, groups []group.Selector) (match string, some bool) {
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
func (t *translation) networks(w way, r Rule, f family) []string {
	var texts []string
	for _, p := range t.withHosts(w, r.Peers.Networks) {
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

// withHosts adds the join addresses of the nodes that the networks contain: a process of a node calls pods from there.
func (t *translation) withHosts(w way, networks []netip.Prefix) []netip.Prefix {
	if w.name != ingress.name || len(networks) == 0 {
		return networks
	}
	var extra []netip.Addr
	for _, h := range t.Hosts {
		for _, known := range h.Known {
			for _, join := range h.Join {
				if join.Is4() == known.Is4() && contains(networks, known) && !contains(networks, join) {
					extra = append(extra, join)
				}
			}
		}
	}
	if len(extra) == 0 {
		return networks
	}
	var all netipx.IPSetBuilder
	for _, n := range networks {
		all.AddPrefix(n)
	}
	for _, a := range extra {
		all.Add(a)
	}
	set, err := all.IPSet()
	if err != nil {
		return networks // it only fails for what ParsePrefix does not make
	}
	return set.Prefixes()
}

func contains(networks []netip.Prefix, a netip.Addr) bool {
	for _, n := range networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}
