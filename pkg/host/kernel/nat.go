package kernel

import (
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	kubeovnv1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
)

// natChains are the chains of source NAT. A connection is translated once, by whichever chain comes first, and only its first packet comes to
// chains that translate. So kube-proxy's rules and these never both apply to one packet, and answers to what kube-proxy sent to a
// pod keep the address it gave them. Output comes before kube-proxy translates the destination, postrouting before it would
// translate the source, and late where it has not done so.
func natChains() []chain {
	output := hooked("output", nftables.ChainTypeFilter, nftables.ChainHookOutput, *nftables.ChainPriorityNATDest-1)
	postrouting := hooked("postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, *nftables.ChainPriorityNATSource-1)
	late := hooked("late", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, *nftables.ChainPriorityNATSource+1)
	for _, f := range families {
		output.rules = append(output.rules, rule{"calls/" + setOwn + f.digit, f.calls()})
		postrouting.rules = append(postrouting.rules, rule{setSources + f.digit, f.outside()}, rule{"called/" + setOwn + f.digit, f.called()})
		late.rules = append(late.rules, rule{"passed/" + setOwn + f.digit, f.passed()})
	}
	postrouting.rules = append(postrouting.rules, rule{"own", own()}, rule{"turned", turned()})
	return []chain{output, postrouting, late}
}

// outside is "saddr in sources, daddr not in cluster, not out of ovn0: masquerade".
func (f family) outside() []expr.Any {
	return slices.Concat(
		f.packet(),
		link(expr.MetaKeyOIFNAME, expr.CmpOpNeq, NodeInterface),
		[]expr.Any{
			f.address(f.saddr),
			&expr.Lookup{SourceRegister: 1, SetName: setSources + f.digit},
			f.address(f.daddr),
			&expr.Lookup{SourceRegister: 1, SetName: setCluster + f.digit, Invert: true},
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
		&expr.Lookup{SourceRegister: 1, SetName: setOwn + f.digit},
		f.address(f.daddr),
		&expr.Lookup{SourceRegister: 1, SetName: setOwn + f.digit},
	}, setMark(callsMark))
}

// called is "out of ovn0, with the mark: unmark, keep saddr, but call from an own port". The node called a port of its own that
// leads to a pod, which sees it as everybody else does, and the answer comes back by ovn0.
func (f family) called() []expr.Any {
	return slices.Concat(f.packet(), link(expr.MetaKeyOIFNAME, expr.CmpOpEq, NodeInterface),
		[]expr.Any{&expr.Meta{Key: expr.MetaKeyMARK, Register: 1}}, hasBit(callsMark), setMark(0),
		[]expr.Any{f.address(f.saddr)}, f.fromPorts(kubeovnv1.FirstOwnPort, 65535))
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

// passed is "not in by ovn0, out of ovn0, translated, from an own port: keep saddr, but call from another port". Somebody outside
// called a port of this node, and kube-proxy keeps the source. If that is a node, the pod's answer comes back here by the port.
func (f family) passed() []expr.Any {
	return slices.Concat(
		f.packet(), link(expr.MetaKeyIIFNAME, expr.CmpOpNeq, NodeInterface), link(expr.MetaKeyOIFNAME, expr.CmpOpEq, NodeInterface),
		translated(),
		[]expr.Any{
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 2},
			&expr.Cmp{Op: expr.CmpOpGte, Register: 1, Data: binaryutil.BigEndian.PutUint16(kubeovnv1.FirstOwnPort)},
			f.address(f.saddr),
		},
		f.fromPorts(1024, kubeovnv1.FirstOwnPort-1),
	)
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
	return slices.Concat(link(expr.MetaKeyOIFNAME, expr.CmpOpEq, NodeInterface), []expr.Any{
		&expr.Fib{Register: 1, FlagSADDR: true, ResultADDRTYPE: true},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)},
		&expr.Counter{},
		&expr.Masq{},
	})
}

// turned is "in by ovn0 and out of ovn0 to another destination: masquerade". A pod called a port of the node that leads
// to another pod; answered directly, it would hear from somebody whom it did not call.
func turned() []expr.Any {
	return slices.Concat(
		link(expr.MetaKeyIIFNAME, expr.CmpOpEq, NodeInterface), link(expr.MetaKeyOIFNAME, expr.CmpOpEq, NodeInterface), translated(),
		[]expr.Any{&expr.Counter{}, &expr.Masq{FullyRandom: true}},
	)
}
