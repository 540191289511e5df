package sandbox

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// probes is how often the kernel asks whether a neighbour is still there before it gives the neighbour up: as often as it does
// by default.
const probes = 3

// Attributes of a table of neighbours, of linux/neighbour.h, which golang.org/x/sys lacks.
const (
	attrTableName   = 1  // NDTA_NAME
	attrTableParams = 6  // NDTA_PARMS
	paramIndex      = 1  // NDTPA_IFINDEX
	paramUnicast    = 10 // NDTPA_UCAST_PROBES, the sysctl ucast_solicit
	paramMulticast  = 17 // NDTPA_MCAST_REPROBES, the sysctl mcast_resolicit
)

// tableHeader is struct ndtmsg: an address family, and padding.
type tableHeader uint8

// Len is the header's length.
func (h tableHeader) Len() int { return len(h.Serialize()) }

// Serialize is the header as the kernel reads it.
func (h tableHeader) Serialize() []byte { return []byte{uint8(h), 0, 0, 0} }

// probeByMulticast has an interface of the namespace ask by broadcast (ARP) and multicast (IPv6) whether a neighbour that it
// knows is still there, where Linux asks the neighbour itself. A broadcast request is answered by OVN on the node; one that is
// sent to the router is flooded to all ports of the switch, and with 221 ports on a node Open vSwitch drops it (pkg/host has an
// oracle for both). Between IPv6 pods, ovn-controller answers where the other pod did, within the rate of the Copp's meter.
// It takes a tenth of a millisecond.
//
// Netlink rather than sysctls: both values change at once, so that the kernel is never left without any probe, no thread
// has to read files in the pod's namespace, and older kernels show no such sysctls in a pod's user namespace.
func (n *NetNS) probeByMulticast(index int) error {
	socket, err := nl.GetNetlinkSocketAt(n.fd(), netns.None(), unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("opening a netlink socket in the container: %w", err)
	}
	handle := &nl.SocketHandle{Socket: socket}
	defer handle.Close()
	for table, family := range map[string]uint8{"arp_cache": unix.AF_INET, "ndisc_cache": unix.AF_INET6} {
		request := nl.NewNetlinkRequest(unix.RTM_SETNEIGHTBL, unix.NLM_F_ACK)
		request.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: handle}
		request.AddData(tableHeader(family))
		request.AddData(nl.NewRtAttr(attrTableName, nl.ZeroTerminated(table)))
		params := nl.NewRtAttr(attrTableParams|unix.NLA_F_NESTED, nil)
		params.AddRtAttr(paramIndex, nl.Uint32Attr(uint32(index)))
		params.AddRtAttr(paramUnicast, nl.Uint32Attr(0))
		params.AddRtAttr(paramMulticast, nl.Uint32Attr(probes))
		request.AddData(params)
		_, err := request.Execute(unix.NETLINK_ROUTE, 0)
		if errors.Is(err, unix.ENOENT) && family == unix.AF_INET6 {
			continue // a kernel without IPv6 has no such table
		}
		if err != nil {
			return fmt.Errorf("changing how neighbours are probed (%s): %w", table, err)
		}
	}
	return nil
}
