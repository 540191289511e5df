package kernel

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"go4.org/netipx"
	"golang.org/x/sys/unix"
)

// Names of the sets. Those of addresses exist once a family, with its digit behind the name.
const (
	setSources   = "sources"
	setCluster   = "cluster"
	setOwn       = "own"
	setDatabases = "databases"
	setDoors     = "doors"
)

// family is what differs between IPv4 and IPv6 in the rules.
type family struct {
	digit        string
	keyType      nftables.SetDatatype
	proto        byte
	saddr, daddr uint32 // offsets in the network header
	size         uint32
	is4          bool
}

var families = []family{
	{"4", nftables.TypeIPAddr, unix.NFPROTO_IPV4, 12, 16, 4, true},
	{"6", nftables.TypeIP6Addr, unix.NFPROTO_IPV6, 8, 24, 16, false},
}

// set is a set of the table, and the field of a Netfilter that it is made from.
type set struct {
	name     string
	family   family          // of a set of addresses
	prefixes *[]netip.Prefix // all of them, those of the other family too
	ports    *[]uint16
}

// sets are all sets, always in the same order.
func (n *Netfilter) sets() []set {
	var out []set
	for _, f := range families {
		out = append(out,
			set{name: setSources + f.digit, family: f, prefixes: &n.Sources},
			set{name: setCluster + f.digit, family: f, prefixes: &n.Cluster},
			set{name: setOwn + f.digit, family: f, prefixes: &n.Own},
			set{name: setDatabases + f.digit, family: f, prefixes: &n.Databases},
		)
	}
	return append(out, set{name: setDoors, ports: &n.Doors})
}

func (s set) set() *nftables.Set {
	if s.ports != nil {
		return &nftables.Set{Table: table(), Name: s.name, KeyType: nftables.TypeInetService}
	}
	return &nftables.Set{Table: table(), Name: s.name, KeyType: s.family.keyType, Interval: true}
}

// elements are what the kernel's set has for the field: ports, or the half-open intervals of prefixes of the family.
func (s set) elements() []nftables.SetElement {
	if s.prefixes != nil {
		return s.family.elements(*s.prefixes)
	}
	var out []nftables.SetElement
	for _, port := range *s.ports {
		out = append(out, nftables.SetElement{Key: binary.BigEndian.AppendUint16(nil, port)})
	}
	return out
}

// take puts what the kernel's set has into the field.
func (s set) take(elements []nftables.SetElement) {
	if s.prefixes != nil {
		*s.prefixes = append(*s.prefixes, s.family.prefixes(elements)...)
		return
	}
	for _, element := range elements {
		*s.ports = append(*s.ports, binary.BigEndian.Uint16(element.Key))
	}
}

// elements are the half-open intervals of prefixes of the family.
func (f family) elements(prefixes []netip.Prefix) []nftables.SetElement {
	var out []nftables.SetElement
	for _, p := range prefixes {
		if p.Addr().Is4() != f.is4 {
			continue
		}
		out = append(out, nftables.SetElement{Key: p.Masked().Addr().AsSlice()})
		if end := netipx.PrefixLastIP(p).Next(); end.IsValid() {
			out = append(out, nftables.SetElement{Key: end.AsSlice(), IntervalEnd: true})
		}
	}
	return out
}

// prefixes reads intervals back. Only intervals that are prefixes were written; another one comes back as an invalid
// prefix, which nobody wants, so that it is removed.
func (f family) prefixes(elements []nftables.SetElement) []netip.Prefix {
	slices.SortFunc(elements, func(a, b nftables.SetElement) int {
		if c := bytes.Compare(a.Key, b.Key); c != 0 || a.IntervalEnd == b.IntervalEnd {
			return c
		}
		if a.IntervalEnd { // an interval ends before its neighbour begins
			return -1
		}
		return 1
	})
	var out []netip.Prefix
	var start netip.Addr
	for _, element := range elements {
		key, _ := netip.AddrFromSlice(element.Key)
		switch {
		case !element.IntervalEnd:
			start = key
		case start.IsValid():
			out = append(out, prefixOf(start, key.Prev()))
			start = netip.Addr{}
		}
	}
	if start.IsValid() { // to the end of all addresses
		out = append(out, prefixOf(start, netipx.PrefixLastIP(netip.PrefixFrom(start, 0))))
	}
	return out
}

func prefixOf(first, last netip.Addr) netip.Prefix {
	p, _ := netipx.IPRangeFrom(first, last).Prefix()
	return p
}
