package kernel

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"go4.org/netipx"
	"golang.org/x/sys/unix"

	"github.com/woven-cni/woven/pkg/host/device"
)

// Apply makes a plan's changes. It goes on after a failure: one bad route must not keep a node from the others.
func Apply(plan Plan) error {
	var errs []error
	for name, link := range plan.Links {
		errs = append(errs, applyLink(name, link))
	}
	errs = append(errs, applySysctls(plan.Sysctls))
	for _, a := range plan.AddressesAdd {
		errs = append(errs, applyAddress(a, netlink.AddrReplace, "adding"))
	}
	// An address that moves from one link to another must be on the one before it leaves the other.
	if errors.Join(errs...) == nil {
		for _, a := range plan.AddressesDelete {
			errs = append(errs, applyAddress(a, netlink.AddrDel, "removing"))
		}
	}
	for _, r := range plan.RoutesAdd {
		errs = append(errs, applyRoute(r, netlink.RouteReplace, "adding"))
	}
	for _, r := range plan.RoutesDelete {
		errs = append(errs, applyRoute(r, netlink.RouteDel, "removing"))
	}
	if plan.Netfilter != nil {
		errs = append(errs, applyNetfilter(*plan.Netfilter))
	}
	return errors.Join(errs...)
}

// applySysctls leaves out what comes last, IPv6 forwarding, when something before it failed: it would take the node's own
// way out.
func applySysctls(want map[string]string) error {
	var errs []error
	for _, key := range inOrder(want) {
		if key == Forwarding6 && errors.Join(errs...) != nil {
			break
		}
		errs = append(errs, writeSysctl(key, want[key]))
	}
	return errors.Join(errs...)
}

func applyLink(name string, want Link) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("looking at link %s: %w", name, err)
	}
	if want.MTU != 0 && want.MTU != link.Attrs().MTU {
		if err := netlink.LinkSetMTU(link, want.MTU); err != nil {
			return fmt.Errorf("setting the MTU of %s to %d: %w", name, want.MTU, err)
		}
	}
	if want.SoftChecksum {
		if err := device.TxChecksumOff(name); err != nil {
			return err
		}
	}
	if want.Up {
		if err := netlink.LinkSetUp(link); err != nil {
			return fmt.Errorf("setting %s up: %w", name, err)
		}
	}
	return nil
}

func applyAddress(a LinkAddress, change func(netlink.Link, *netlink.Addr) error, doing string) error {
	link, err := netlink.LinkByName(a.Link)
	if err != nil {
		return fmt.Errorf("looking at link %s: %w", a.Link, err)
	}
	err = change(link, &netlink.Addr{IPNet: netipx.PrefixIPNet(a.Address), Flags: unix.IFA_F_NODAD})
	if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
		return fmt.Errorf("%s address %s on %s: %w", doing, a.Address, a.Link, err)
	}
	return nil
}

func applyRoute(r Route, change func(*netlink.Route) error, doing string) error {
	route := &netlink.Route{
		Dst: netipx.PrefixIPNet(r.Dst), Gw: r.Gateway.AsSlice(), Src: r.Source.AsSlice(),
		Priority: r.Metric, Protocol: netlink.RouteProtocol(r.Protocol),
	}
	if !r.Gateway.IsValid() {
		route.Scope = netlink.SCOPE_LINK
	}
	if r.Link != "" { // a route of ours over a foreign link has no name to us
		link, err := netlink.LinkByName(r.Link)
		if err != nil {
			return fmt.Errorf("looking at link %s: %w", r.Link, err)
		}
		route.LinkIndex = link.Attrs().Index
	}
	if err := change(route); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("%s route %s: %w", doing, r, err)
	}
	return nil
}
