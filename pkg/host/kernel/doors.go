package kernel

import (
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	kubeovnv1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
)

// doorChains keep pods, and whoever comes by way of a Service, from what only nodes have business with. All packets of pods
// come into a node's kernel by ovn0; a Service, a NodePort or a host port can have anybody's packets sent to any address, which
// shows in the destination that was translated. The hooks come after that translation.
//
// Once a packet has left for another node, masqueraded, it cannot be told from the node's own: so it is stopped here as well,
// before it leaves. Conntrack, which other rules of the table use, puts fragments together before they come to any of the hooks.
func doorChains() []chain {
	doors := chain{Chain: &nftables.Chain{Name: "doors", Table: table()}, rules: []rule{
		{"doors", slices.Concat(protocol(unix.IPPROTO_TCP), destinationPort(), lookup(setDoors), drop())},
		{"tunnel", slices.Concat(toTunnel(), drop())},
	}}
	const priority = nftables.ChainPriority(0)
	input := hooked("input", nftables.ChainTypeFilter, nftables.ChainHookInput, priority)
	input.rules = []rule{
		{"pods", slices.Concat(link(expr.MetaKeyIIFNAME, expr.CmpOpEq, NodeInterface), jump(doors))},
		{"translated", slices.Concat(link(expr.MetaKeyIIFNAME, expr.CmpOpNeq, "lo"), translated(), jump(doors))},
	}
	forward := hooked("forward", nftables.ChainTypeFilter, nftables.ChainHookForward, priority)
	// What goes on to a pod is the pod's own: no tunnel ends there.
	away := link(expr.MetaKeyOIFNAME, expr.CmpOpNeq, NodeInterface)
	forward.rules = []rule{
		{"pods", slices.Concat(toTunnel(), away, link(expr.MetaKeyIIFNAME, expr.CmpOpEq, NodeInterface), drop())},
		{"translated", slices.Concat(toTunnel(), away, translated(), drop())},
	}
	for _, f := range families {
		forward.rules = append(forward.rules, rule{setDatabases + f.digit, f.toDatabases()})
	}
	return []chain{doors, input, forward}
}

// toTunnel is "UDP to the tunnel port".
func toTunnel() []expr.Any {
	return slices.Concat(protocol(unix.IPPROTO_UDP), destinationPort(), []expr.Any{
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(kubeovnv1.TunnelPort)},
	})
}

// toDatabases is "TCP to a port of a database: drop". Their clients are processes on nodes, so that nothing is forwarded to them,
// wherever it comes from.
func (f family) toDatabases() []expr.Any {
	return slices.Concat(f.packet(), protocol(unix.IPPROTO_TCP), destinationPort(), []expr.Any{
		&expr.Cmp{Op: expr.CmpOpGte, Register: 1, Data: binaryutil.BigEndian.PutUint16(kubeovnv1.FirstDatabasePort)},
		&expr.Cmp{Op: expr.CmpOpLte, Register: 1, Data: binaryutil.BigEndian.PutUint16(kubeovnv1.LastDatabasePort)},
		f.address(f.daddr),
	}, lookup(setDatabases+f.digit), drop())
}

func drop() []expr.Any {
	return []expr.Any{&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop}}
}

func jump(to chain) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: to.Name}}
}
