package kernel

import (
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	kubeovnv1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
)

// natChains are the chains of source NAT. The kernel gives only the first packet of a connection to NAT chains, and the first
// chain that translates its source ends the search. So a packet is translated by kube-proxy's rules or by these, never by both,
// and the replies of a connection that kube-proxy translated are not touched here. The chain "output" comes before kube-proxy
// translates destinations, "postrouting" before kube-proxy translates sources, and "late" after it.
func natChains() []chain {
	output := hooked("output", nftables.ChainTypeFilter, nftables.ChainHookOutput, *nftables.ChainPriorityNATDest-1)
	postrouting := hooked("postrouting", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, *nftables.ChainPriorityNATSource-1)
	late := hooked("late", nftables.ChainTypeNAT, nftables.ChainHookPostrouting, *nftables.ChainPriorityNATSource+1)
	for _, f := range families {
		output.rules = append(output.rules, rule{"mark-self-calls/" + setOwn + f.digit, f.markSelfCalls()})
		postrouting.rules = append(postrouting.rules,
			rule{setSources + f.digit, f.masqueradeOutgoing()}, rule{"snat-self-calls/" + setOwn + f.digit, f.snatSelfCalls()},
		)
		late.rules = append(late.rules, rule{"remap-node-ports/" + setOwn + f.digit, f.remapNodePortSources()})
	}
	postrouting.rules = append(postrouting.rules, rule{"node", masqueradeNode()}, rule{"hairpin", masqueradeHairpin()})
	return []chain{output, postrouting, late}
}

// masqueradeOutgoing is natOutgoing: "saddr in sources, daddr not in cluster, not out of ovn0: masquerade".
func (f family) masqueradeOutgoing() []expr.Any {
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

// selfCallMark is on the first packet of a connection from the node to itself (a self-call) until the packet is routed: behind
// a NodePort it may lead to a pod.
const selfCallMark = 1 << 25

// markSelfCalls is "new, saddr in own, daddr in own: set the self-call mark".
func (f family) markSelfCalls() []expr.Any {
	return slices.Concat(f.packet(), newConnection(), []expr.Any{
		f.address(f.saddr),
		&expr.Lookup{SourceRegister: 1, SetName: setOwn + f.digit},
		f.address(f.daddr),
		&expr.Lookup{SourceRegister: 1, SetName: setOwn + f.digit},
	}, setSelfCallMark(selfCallMark))
}

// snatSelfCalls is "out of ovn0, with the self-call mark: clear the mark, keep saddr, take a source port for self-calls". The node
// called a NodePort of its own that leads to a pod. The pod sees the node's address, as for every other client of the NodePort,
// and by the source port its reply is sent to the node by ovn0 (FirstSelfCallPort).
func (f family) snatSelfCalls() []expr.Any {
	return slices.Concat(f.packet(), link(expr.MetaKeyOIFNAME, expr.CmpOpEq, NodeInterface),
		[]expr.Any{&expr.Meta{Key: expr.MetaKeyMARK, Register: 1}}, hasBit(selfCallMark), setSelfCallMark(0),
		[]expr.Any{f.address(f.saddr)}, f.fromPorts(kubeovnv1.FirstSelfCallPort, 65535))
}

// setSelfCallMark sets the packet mark's bit for self-calls, or clears it for 0, and leaves the other bits.
func setSelfCallMark(to uint32) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
		&expr.Bitwise{
			SourceRegister: 1, DestRegister: 1, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(^uint32(selfCallMark)), Xor: binaryutil.NativeEndian.PutUint32(to),
		},
		&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: 1},
	}
}

// remapNodePortSources is "not in by ovn0, out of ovn0, destination translated, source port of self-calls: keep saddr, take a source
// port below". A client outside called a NodePort of this node, and kube-proxy keeps the client's address
// (externalTrafficPolicy Local). If the client is a node, a source port for self-calls would send the pod's reply straight to
// that node, and not back to this one.
func (f family) remapNodePortSources() []expr.Any {
	return slices.Concat(
		f.packet(), link(expr.MetaKeyIIFNAME, expr.CmpOpNeq, NodeInterface), link(expr.MetaKeyOIFNAME, expr.CmpOpEq, NodeInterface),
		translated(),
		[]expr.Any{
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 2},
			&expr.Cmp{Op: expr.CmpOpGte, Register: 1, Data: binaryutil.BigEndian.PutUint16(kubeovnv1.FirstSelfCallPort)},
			f.address(f.saddr),
		},
		f.fromPorts(1024, kubeovnv1.FirstSelfCallPort-1),
	)
}

// fromPorts translates the source: the address stays what it is, which is in register 1, and the port becomes one of the range.
// A port within the range stays.
func (f family) fromPorts(first, last uint16) []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: 2, Data: binaryutil.BigEndian.PutUint16(first)},
		&expr.Immediate{Register: 3, Data: binaryutil.BigEndian.PutUint16(last)},
		&expr.Counter{},
		&expr.NAT{Type: expr.NATTypeSourceNAT, Family: uint32(f.proto), RegAddrMin: 1, RegProtoMin: 2, RegProtoMax: 3},
	}
}

// masqueradeNode is "out of ovn0, saddr is the node's: masquerade". Pods see the node's address on the join subnet, whichever
// address the node's process called from. So the pod's reply comes back by this node's ovn0: a reply to the InternalIP would leave
// OVN at the pod's own node (pkg/node, host policies).
func masqueradeNode() []expr.Any {
	return slices.Concat(link(expr.MetaKeyOIFNAME, expr.CmpOpEq, NodeInterface), []expr.Any{
		&expr.Fib{Register: 1, FlagSADDR: true, ResultADDRTYPE: true},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)},
		&expr.Counter{},
		&expr.Masq{},
	})
}

// masqueradeHairpin is "in by ovn0, out of ovn0, destination translated: masquerade". A pod called a NodePort of this node that
// leads to another pod. Without the masquerade, the other pod would reply straight to the first, from an address that the
// first never called.
func masqueradeHairpin() []expr.Any {
	return slices.Concat(
		link(expr.MetaKeyIIFNAME, expr.CmpOpEq, NodeInterface), link(expr.MetaKeyOIFNAME, expr.CmpOpEq, NodeInterface), translated(),
		[]expr.Any{&expr.Counter{}, &expr.Masq{FullyRandom: true}},
	)
}
