package port

import (
	"cmp"
	"strings"

	"github.com/woven-cni/woven/pkg/ovs"
)

// Key tells a port from all others of the cluster: the object that it is for, and which of the object's interfaces it is. Leases,
// waits and reservations are a Key's.
type Key struct {
	// Owner is the object that the port is for.
	Owner ovs.Owner
	// Interface tells the further ports of an owner apart, by provider; the first has none.
	Interface string
}

// First is the Key of an owner's first port.
func First(owner ovs.Owner) Key { return Key{Owner: owner} }

// String names the port for people: "pod shop/web-0", "pod shop/web-0 (net1.default)".
func (k Key) String() string {
	text := k.Owner.Feature + " " + k.Owner.Key
	if k.Interface != "" {
		text += " (" + k.Interface + ")"
	}
	return text
}

// Compare sorts ports by owner, each owner's first port first.
func (k Key) Compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Owner.Feature, o.Owner.Feature), cmp.Compare(k.Owner.Key, o.Owner.Key), cmp.Compare(k.Interface, o.Interface))
}

// Sym names the port's row.
func (k Key) Sym() ovs.Sym {
	sym := ovs.Sym(k.Owner.String() + "/port")
	if k.Interface != "" {
		sym += ovs.Sym("/" + k.Interface)
	}
	return sym
}

// KeyOf finds out which port of an owner a row is; not ok for a row that is none.
func KeyOf(owner ovs.Owner, sym ovs.Sym) (key Key, ok bool) {
	first := First(owner)
	if sym == first.Sym() {
		return first, true
	}
	rest, ok := strings.CutPrefix(string(sym), string(first.Sym())+"/")
	return Key{Owner: owner, Interface: rest}, ok && rest != ""
}
