package port

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/ovs/nb"
)

// Read makes a Port of its committed row. Its owner, its groups and the row of its switch are not in the row; the switch has
// no name where the row does not say it. A row that makes no sense, or whose addresses and port security differ, was edited
// by hand: it is an error.
func Read(row *nb.LogicalSwitchPort) (Port, error) {
	if len(row.Addresses) != 1 {
		return Port{}, fmt.Errorf("port %s has %d addresses", row.Name, len(row.Addresses))
	}
	p := Port{
		Name: row.Name, Switch: Switch{Name: row.ExternalIDs[switchKey]}, UID: row.ExternalIDs[uidKey], Node: row.Options[requestedChassis],
	}
	if len(row.PortSecurity) > 0 {
		p.Security = Itself
		if !slices.Equal(row.PortSecurity, row.Addresses) {
			return Port{}, fmt.Errorf("port %s has other addresses than its port security lets pass", row.Name)
		}
	}
	mac, addrs, _ := strings.Cut(row.Addresses[0], " ")
	var err error
	if p.Lease, err = ParseLease(strings.ReplaceAll(addrs, " ", ","), mac); err != nil {
		return Port{}, fmt.Errorf("port %s: %w", row.Name, err)
	}
	return p, nil
}

// ParseLease reads addresses and a MAC as annotations and IP objects have them.
func ParseLease(addrs, mac string) (lease ipam.Lease, err error) {
	if lease.Addrs, err = ipam.ParseAddrs(addrs); err != nil {
		return ipam.Lease{}, fmt.Errorf("reading addresses: %w", err)
	}
	if lease.MAC, err = ipam.ParseMAC(mac); err != nil {
		return ipam.Lease{}, fmt.Errorf("reading a MAC: %w", err)
	}
	return lease, nil
}

// text is a lease as OVN writes it: "MAC v4 v6" (ovn-nb(5), Logical_Switch_Port.addresses).
func text(l ipam.Lease) string {
	parts := []string{l.MAC.String()}
	for _, a := range []netip.Addr{l.V4, l.V6} {
		if a.IsValid() {
			parts = append(parts, a.String())
		}
	}
	return strings.Join(parts, " ")
}
