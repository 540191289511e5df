package ipam

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"slices"
)

// MAC is an Ethernet address. The zero MAC is none.
type MAC [6]byte

// ParseMAC reads six bytes of hex, with any of the usual separators.
func ParseMAC(s string) (MAC, error) {
	hw, err := net.ParseMAC(s)
	if err != nil || len(hw) != len(MAC{}) {
		return MAC{}, fmt.Errorf("%q is not a MAC address", s)
	}
	m := MAC(hw)
	if m == (MAC{}) || m[0]&1 != 0 {
		return MAC{}, fmt.Errorf("%q is not the MAC address of one host", s)
	}
	return m, nil
}

// String is the MAC in lower case with colons, and "" for none.
func (m MAC) String() string {
	if m.IsZero() {
		return ""
	}
	return net.HardwareAddr(m[:]).String()
}

// IsZero tells whether the MAC is none.
func (m MAC) IsZero() bool { return m == MAC{} }

// virtualRouters are the MACs that routers share (VRRP of IPv4 and IPv6, RFC 9568
// §7.3): a host that had one would be taken for the router.
var virtualRouters = [][5]byte{{0, 0, 0x5e, 0, 1}, {0, 0, 0x5e, 0, 2}}

// unfit says why no owner can have the MAC for the asking: it completes "it is …".
func (m MAC) unfit(router MAC) string {
	switch {
	case m.IsZero():
		return ""
	case m == router:
		return "the MAC of the subnet's router"
	case slices.Contains(virtualRouters, [5]byte(m[:5])):
		return "a virtual router's MAC (VRRP)"
	default:
		return ""
	}
}

// macFor makes a locally administered MAC from addresses alone, so that it is the
// same after a restart: 0a:58 and the IPv4 address, or 0a and a hash of the IPv6
// address. Another try makes another hash, for when the first is taken.
func macFor(a Addrs, try uint32) MAC {
	if a.V4.IsValid() && try == 0 {
		v4 := a.V4.As4()
		return MAC{0x0a, 0x58, v4[0], v4[1], v4[2], v4[3]}
	}
	h := fnv.New64a()
	for _, addr := range []netip.Addr{a.V4, a.V6} {
		_, _ = h.Write(addr.AsSlice()) // a hash.Hash never fails
	}
	_, _ = h.Write(binary.BigEndian.AppendUint32(nil, try))
	sum := h.Sum64()
	sum ^= sum >> 40 // FNV-1a mixes the last bytes into the high bits least
	return MAC{0x0a, byte(sum >> 32), byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}
}

// UsualMAC is the MAC that addresses come with unless somebody asks for another one.
func UsualMAC(a Addrs) MAC { return macFor(a, 0) }
