package kernel

import (
	"slices"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

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

// link compares the name of the interface that a packet came in by, or goes out by, with a name.
func link(key expr.MetaKey, op expr.CmpOp, with string) []expr.Any {
	name := make([]byte, unix.IFNAMSIZ)
	copy(name, with)
	return []expr.Any{&expr.Meta{Key: key, Register: 1}, &expr.Cmp{Op: op, Register: 1, Data: name}}
}

// newConnection is "of a connection that conntrack has not seen".
func newConnection() []expr.Any {
	return slices.Concat([]expr.Any{&expr.Ct{Key: expr.CtKeySTATE, Register: 1}}, hasBit(expr.CtStateBitNEW))
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

// translated is "to another destination than it was sent to".
func translated() []expr.Any {
	const destinationTranslated = 1 << 5 // IPS_DST_NAT of linux/netfilter/nf_conntrack_common.h
	return slices.Concat([]expr.Any{&expr.Ct{Key: expr.CtKeySTATUS, Register: 1}}, hasBit(destinationTranslated))
}

// protocol is "of the transport protocol", behind whatever IPv6 extension headers.
func protocol(number byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{number}},
	}
}

// destinationPort takes the port into register 1.
func destinationPort() []expr.Any {
	return []expr.Any{&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2}}
}

// lookup is "register 1 is in the set".
func lookup(set string) []expr.Any {
	return []expr.Any{&expr.Lookup{SourceRegister: 1, SetName: set}}
}
