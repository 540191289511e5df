package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	kubeovnv1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
)

// Names in the table "inet woven". Sources are CIDRs whose traffic to the outside takes the node's address; cluster is
// what is not outside; own are the node's own addresses.
const natTable = "woven"

// natRulesTag is in each rule's user data; a rule without it was not written by this version.
const natRulesTag = "woven/3:"

// family is what differs between IPv4 and IPv6 in the rules.
type family struct {
	sources, cluster, own string
	keyType               nftables.SetDatatype
	proto                 byte
	saddr, daddr          uint32 // offsets in the network header
	size                  uint32
	is4                   bool
}

var families = []family{
	{"sources4", "cluster4", "own4", nftables.TypeIPAddr, unix.NFPROTO_IPV4, 12, 16, 4, true},
	{"sources6", "cluster6", "own6", nftables.TypeIP6Addr, unix.NFPROTO_IPV6, 8, 24, 16, false},
}

func table() *nftables.Table {
	return &nftables.Table{Name: natTable, Family: nftables.TableFamilyINet}
}

func (f family) set(name string) *nftables.Set {
	return &nftables.Set{Table: table(), Name: name, KeyType: f.keyType, Interval: true}
}

// natRule is a rule of the chain, by a name that tells it from the others.
type natRule struct {
	name  string
	exprs []expr.Any
}

// natChain is a chain with its rules, in their order.
type natChain struct {
	*nftables.Chain
	rules []natRule
}

// natChains are all chains. A connection is translated once, by whichever chain comes first, and only its first packet comes to
// chains that translate. So kube-proxy's rules and these never both apply to one packet, and answers to what kube-proxy sent to a
// pod keep the address it gave them. Output comes before kube-proxy translates the destination, postrouting before it would
// translate the source, and late where it has not done so.
func natChains() []natChain {
	output := natChain{Chain: &nftables.Chain{
		Name: "output", Table: table(), Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityRef(*nftables.ChainPriorityNATDest - 1),
	}}
	translates := func(name string, priority nftables.ChainPriority) natChain {
		return natChain{Chain: &nftables.Chain{
			Name: name, Table: table(), Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookPostrouting, Priority: &priority,
		}}
	}
	postrouting := translates("postrouting", *nftables.ChainPriorityNATSource-1)
	late := translates("late", *nftables.ChainPriorityNATSource+1)
	for _, f := range families {
		output.rules = append(output.rules, natRule{"calls/" + f.own, f.calls()})
		postrouting.rules = append(postrouting.rules, natRule{f.sources, f.outside()}, natRule{"called/" + f.own, f.called()})
		late.rules = append(late.rules, natRule{"passed/" + f.own, f.passed()})
	}
	postrouting.rules = append(postrouting.rules, natRule{"own", own()}, natRule{"turned", turned()})
	return []natChain{output, postrouting, late}
}

// outside is "saddr in sources, daddr not in cluster, not out of ovn0: masquerade".
func (f family) outside() []expr.Any {
	return slices.Concat(
		f.packet(),
		link(expr.MetaKeyOIFNAME, expr.CmpOpNeq),
		[]expr.Any{
			f.address(f.saddr),
			&expr.Lookup{SourceRegister: 1, SetName: f.sources},
			f.address(f.daddr),
			&expr.Lookup{SourceRegister: 1, SetName: f.cluster, Invert: true},
			&expr.Counter{},
			&expr.Masq{FullyRandom: true},
		},
	)
}

// callsMark is on the first packet by which the node calls itself, until it is known where that leads.
const callsMark = 1 << 25

// calls is "new, from own to own: mark".
func (f family) calls() []expr.Any {
	return slices.Concat(f.packet(), newConnection(), []expr.Any{
		f.address(f.saddr),
		&expr.Lookup{SourceRegister: 1, SetName: f.own},
		f.address(f.daddr),
		&expr.Lookup{SourceRegister: 1, SetName: f.own},
	}, setMark(callsMark))
}

// called is "out of ovn0, with the mark: unmark, keep saddr, but call from an own port". The node called a port of its own that
// leads to a pod, which sees it as everybody else does, and the answer comes back by ovn0.
func (f family) called() []expr.Any {
	return slices.Concat(f.packet(), link(expr.MetaKeyOIFNAME, expr.CmpOpEq),
		[]expr.Any{&expr.Meta{Key: expr.MetaKeyMARK, Register: 1}}, hasBit(callsMark), setMark(0),
		[]expr.Any{f.address(f.saddr)}, f.fromPorts(kubeovnv1.FirstOwnPort, 65535))
}

// newConnection is "of a connection that conntrack has not seen".
func newConnection() []expr.Any {
	return slices.Concat([]expr.Any{&expr.Ct{Key: expr.CtKeySTATE, Register: 1}}, hasBit(expr.CtStateBitNEW))
}

// setMark sets the bit of the mark that is callsMark, or clears it, and leaves the others.
func setMark(to uint32) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
		&expr.Bitwise{
			SourceRegister: 1, DestRegister: 1, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(^uint32(callsMark)), Xor: binaryutil.NativeEndian.PutUint32(to),
		},
		&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: 1},
	}
}

// hasBit is "register 1 has the bit".
func hasBit(bit uint32) []expr.Any {
	return []expr.Any{
		&expr.Bitwise{
			SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(bit), Xor: make([]byte, 4),
		},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
}

// passed is "not in by ovn0, out of ovn0, translated, from an own port: keep saddr, but call from another port". Somebody outside
// called a port of this node, and kube-proxy keeps the source. If that is a node, the pod's answer comes back here by the port.
func (f family) passed() []expr.Any {
	return slices.Concat(f.packet(), link(expr.MetaKeyIIFNAME, expr.CmpOpNeq), link(expr.MetaKeyOIFNAME, expr.CmpOpEq), translated(),
		[]expr.Any{
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 2},
			&expr.Cmp{Op: expr.CmpOpGte, Register: 1, Data: binaryutil.BigEndian.PutUint16(kubeovnv1.FirstOwnPort)},
			f.address(f.saddr),
		}, f.fromPorts(1024, kubeovnv1.FirstOwnPort-1))
}

// packet is "of the family".
func (f family) packet() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{f.proto}},
	}
}

// address takes an address into register 1.
func (f family) address(offset uint32) expr.Any {
	return &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: f.size}
}

// fromPorts gives the packet the source in register 1, which is its own, and one of the ports. A port that is among them stays.
func (f family) fromPorts(first, last uint16) []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: 2, Data: binaryutil.BigEndian.PutUint16(first)},
		&expr.Immediate{Register: 3, Data: binaryutil.BigEndian.PutUint16(last)},
		&expr.Counter{},
		&expr.NAT{Type: expr.NATTypeSourceNAT, Family: uint32(f.proto), RegAddrMin: 1, RegProtoMin: 2, RegProtoMax: 3},
	}
}

// own is "out of ovn0, saddr is the node's: masquerade". Pods see the node by its address there whatever address it
// called with, so that their answers come back by ovn0, and not by the node of the pod (pkg/node, host policies).
func own() []expr.Any {
	return slices.Concat(link(expr.MetaKeyOIFNAME, expr.CmpOpEq), []expr.Any{
		&expr.Fib{Register: 1, FlagSADDR: true, ResultADDRTYPE: true},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)},
		&expr.Counter{},
		&expr.Masq{},
	})
}

// turned is "in by ovn0 and out of ovn0 to another destination: masquerade". A pod called a port of the node that leads
// to another pod; answered directly, it would hear from somebody whom it did not call.
func turned() []expr.Any {
	return slices.Concat(link(expr.MetaKeyIIFNAME, expr.CmpOpEq), link(expr.MetaKeyOIFNAME, expr.CmpOpEq), translated(), []expr.Any{
		&expr.Counter{},
		&expr.Masq{FullyRandom: true},
	})
}

// translated is "to another destination than it was sent to".
func translated() []expr.Any {
	const destinationTranslated = 1 << 5 // IPS_DST_NAT of linux/netfilter/nf_conntrack_common.h
	return slices.Concat([]expr.Any{&expr.Ct{Key: expr.CtKeySTATUS, Register: 1}}, hasBit(destinationTranslated))
}

// link compares the name of an interface with ovn0.
func link(key expr.MetaKey, op expr.CmpOp) []expr.Any {
	name := make([]byte, unix.IFNAMSIZ)
	copy(name, NodeInterface)
	return []expr.Any{&expr.Meta{Key: key, Register: 1}, &expr.Cmp{Op: op, Register: 1, Data: name}}
}

// observeNAT reads the sets, if the rules around them are whole.
func observeNAT() (NAT, error) {
	conn, err := nftables.New()
	if err != nil {
		return NAT{}, fmt.Errorf("opening nftables: %w", err)
	}
	broken := NAT{Broken: true}
	whole, err := natRulesWhole(conn)
	if err != nil {
		return broken, err
	}
	if !whole {
		return broken, nil
	}
	var have NAT
	for _, f := range families {
		for name, into := range map[string]*[]netip.Prefix{f.sources: &have.Sources, f.cluster: &have.Cluster, f.own: &have.Own} {
			elements, err := conn.GetSetElements(f.set(name))
			if absent(err) {
				return broken, nil
			}
			if err != nil {
				return broken, fmt.Errorf("reading nftables set %s: %w", name, err)
			}
			*into = append(*into, f.prefixes(elements)...)
		}
	}
	return have, nil
}

func absent(err error) bool { return errors.Is(err, unix.ENOENT) || errors.Is(err, fs.ErrNotExist) }

func natRulesWhole(conn *nftables.Conn) (bool, error) {
	for _, chain := range natChains() {
		rules, err := conn.GetRules(table(), chain.Chain)
		if absent(err) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("reading nftables rules: %w", err)
		}
		if len(rules) != len(chain.rules) {
			return false, nil
		}
		for i, r := range chain.rules {
			if string(rules[i].UserData) != natRulesTag+r.name {
				return false, nil
			}
		}
	}
	return true, nil
}

// applyNAT changes the sets by what differs, or makes the whole table anew; either is one transaction.
func applyNAT(plan NATPlan) error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("opening nftables: %w", err)
	}
	if plan.Rebuild {
		conn.AddTable(table()) // deleting what is not there is an error
		conn.DelTable(table())
		conn.AddTable(table())
	}
	for _, f := range families {
		if err := f.apply(conn, plan); err != nil {
			return err
		}
	}
	if plan.Rebuild {
		for _, chain := range natChains() {
			conn.AddChain(chain.Chain)
			for _, r := range chain.rules {
				conn.AddRule(&nftables.Rule{Table: table(), Chain: chain.Chain, UserData: []byte(natRulesTag + r.name), Exprs: r.exprs})
			}
		}
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("writing nftables: %w", err)
	}
	return nil
}

func (f family) apply(conn *nftables.Conn, plan NATPlan) error {
	changes := []struct {
		set         string
		add, remove []netip.Prefix
	}{
		{f.sources, plan.SourcesAdd, plan.SourcesDelete},
		{f.cluster, plan.ClusterAdd, plan.ClusterDelete},
		{f.own, plan.OwnAdd, plan.OwnDelete},
	}
	for _, change := range changes {
		set := f.set(change.set)
		if plan.Rebuild {
			if err := conn.AddSet(set, nil); err != nil {
				return fmt.Errorf("making nftables set %s: %w", change.set, err)
			}
		}
		if elements := f.elements(change.remove); len(elements) > 0 {
			if err := conn.SetDeleteElements(set, elements); err != nil {
				return fmt.Errorf("changing nftables set %s: %w", change.set, err)
			}
		}
		if elements := f.elements(change.add); len(elements) > 0 {
			if err := conn.SetAddElements(set, elements); err != nil {
				return fmt.Errorf("changing nftables set %s: %w", change.set, err)
			}
		}
	}
	return nil
}

// elements are the half-open intervals of prefixes of the family.
func (f family) elements(prefixes []netip.Prefix) []nftables.SetElement {
	var out []nftables.SetElement
	for _, p := range prefixes {
		if p.Addr().Is4() != f.is4 {
			continue
		}
		out = append(out, nftables.SetElement{Key: p.Masked().Addr().AsSlice()})
		if end := after(p); end.IsValid() {
			out = append(out, nftables.SetElement{Key: end.AsSlice(), IntervalEnd: true})
		}
	}
	return out
}

// after is the first address behind a prefix; invalid if there is none.
func after(p netip.Prefix) netip.Addr {
	bytes := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < 8*len(bytes); bit++ {
		bytes[bit/8] |= 1 << (7 - bit%8)
	}
	last, _ := netip.AddrFromSlice(bytes)
	return last.Next()
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
			out = append(out, between(start, key))
			start = netip.Addr{}
		}
	}
	if start.IsValid() { // to the end of all addresses
		out = append(out, between(start, netip.Addr{}))
	}
	return out
}

func between(start, end netip.Addr) netip.Prefix {
	for bits := 0; bits <= start.BitLen(); bits++ {
		if p := netip.PrefixFrom(start, bits); p.Masked().Addr() == start && after(p) == end {
			return p
		}
	}
	return netip.Prefix{}
}
