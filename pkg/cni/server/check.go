package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"
	"go4.org/netipx"

	"github.com/woven-cni/woven/pkg/cni"
	"github.com/woven-cni/woven/pkg/cni/sandbox"
	"github.com/woven-cni/woven/pkg/host/vsdb"
)

// convergence is the delay that CHECK allows OVN, as the specification asks.
const convergence = 5 * time.Second

// check compares an attachment with what ADD answered for it.
func (s *Server) check(ctx context.Context, c *call) error {
	unlock, err := s.locks.lock(ctx, c.ContainerID)
	if err != nil {
		return fmt.Errorf("waiting for another call about the sandbox: %w", err)
	}
	defer unlock()
	if c.conf.PrevResult == nil {
		return types.NewError(types.ErrInvalidNetworkConfig, "prevResult is missing", "")
	}
	want, err := current.NewResultFromResult(c.conf.PrevResult)
	if err != nil {
		return types.NewError(types.ErrDecodingFailure, "reading prevResult", err.Error())
	}
	problems, err := s.checkInside(c, want)
	if err != nil {
		return err
	}
	outside, err := s.checkOutside(ctx, c)
	if err != nil {
		return err
	}
	if problems = append(problems, outside...); len(problems) > 0 {
		return types.NewError(cni.CodeAttachmentDiffers, "the attachment is not as it was made", strings.Join(problems, "; "))
	}
	return nil
}

// checkInside compares the container's interface.
func (s *Server) checkInside(c *call, want *current.Result) ([]string, error) {
	index := slices.IndexFunc(want.Interfaces, func(i *current.Interface) bool {
		return i.Name == c.IfName && i.Sandbox != ""
	})
	if index < 0 {
		return nil, types.NewError(types.ErrInvalidNetworkConfig, "prevResult has no interface "+c.IfName, "")
	}
	ns, err := sandbox.Open(c.netns)
	if errors.Is(err, sandbox.ErrNoNetNS) {
		return []string{"the network namespace " + c.netns + " is gone"}, nil
	}
	if err != nil {
		return nil, types.NewError(types.ErrInvalidNetNS, "opening the container's network namespace", err.Error())
	}
	defer ns.Close()
	have, err := ns.Observe(c.IfName)
	if err != nil {
		return nil, err
	}
	if have == nil {
		return []string{"interface " + c.IfName + " is missing in the container"}, nil
	}
	return compareLink(want, index, have), nil
}

func compareLink(want *current.Result, index int, have *sandbox.Link) (problems []string) {
	differs := func(format string, values ...any) { problems = append(problems, fmt.Sprintf(format, values...)) }
	iface := want.Interfaces[index]
	if !have.Up {
		differs("interface %s is down", iface.Name)
	}
	if mac, err := net.ParseMAC(iface.Mac); err == nil && mac.String() != have.MAC.String() {
		differs("interface %s has MAC %s instead of %s", iface.Name, have.MAC, mac)
	}
	if iface.Mtu != 0 && iface.Mtu != have.MTU {
		differs("interface %s has MTU %d instead of %d", iface.Name, have.MTU, iface.Mtu)
	}
	var ours []netip.Prefix
	for _, ip := range want.IPs {
		if ip.Interface != nil && *ip.Interface != index {
			continue
		}
		address, _ := netipx.FromStdIPNet(&ip.Address)
		ours = append(ours, address.Masked())
		if !slices.Contains(have.Addresses, address) {
			differs("interface %s lacks address %s", iface.Name, address)
		}
	}
	for _, route := range want.Routes {
		gateway, _ := netipx.FromStdIP(route.GW)
		// A route by a gateway that is not on our subnet is another plugin's.
		if !slices.ContainsFunc(ours, func(p netip.Prefix) bool { return p.Contains(gateway) }) {
			continue
		}
		dst, _ := netipx.FromStdIPNet(&route.Dst)
		if !slices.Contains(have.Routes, sandbox.Route{Dst: dst.Masked(), Gateway: gateway}) {
			differs("interface %s lacks the route to %s via %s", iface.Name, route.Dst.String(), gateway)
		}
	}
	return problems
}

// checkOutside compares the host end, its port and what OVN made of it.
func (s *Server) checkOutside(ctx context.Context, c *call) ([]string, error) {
	if err := s.Switch.Await(ctx); err != nil {
		return nil, err
	}
	name := c.HostName()
	up, err := sandbox.HostEndUp(name)
	if err != nil {
		return nil, err
	}
	var problems []string
	if !up {
		problems = append(problems, "the host's link "+name+" is missing or down")
	}
	iface := s.Switch.Interface(name)
	if iface == nil || s.Switch.Port(name) == nil {
		return append(problems, "Open vSwitch has no port "+name), nil
	}
	wantIDs := map[string]string{keyContainer: c.ContainerID, keyIfName: c.IfName}
	if c.podName != "" {
		wantIDs[keyIfaceID] = (&Pod{Namespace: c.podNamespace, Name: c.podName}).Port()
	}
	for _, key := range []string{keyContainer, keyIfName, keyIfaceID} {
		if want, asked := wantIDs[key]; asked && iface.ExternalIDs[key] != want {
			problems = append(problems, fmt.Sprintf("port %s has %s %q instead of %q", name, key, iface.ExternalIDs[key], want))
		}
	}
	if len(problems) > 0 {
		return problems, nil
	}
	return installedSoon(ctx, s.Switch, name), nil
}

func installedSoon(ctx context.Context, db *vsdb.DB, name string) []string {
	ctx, cancel := context.WithTimeout(ctx, convergence)
	defer cancel()
	if err := db.AwaitInstalled(ctx, name, nil); err != nil {
		return []string{"OVN has not installed the flows of port " + name}
	}
	return nil
}
