package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"
	"go4.org/netipx"

	"github.com/woven-cni/woven/pkg/cni/sandbox"
	"github.com/woven-cni/woven/pkg/ipam"
)

// add attaches a sandbox.
func (s *Server) add(ctx context.Context, c *call) (_ types.Result, err error) {
	ctx, release := s.claims.take(ctx, c.podNamespace+"/"+c.podName, c.ContainerID)
	defer release()
	unlock, err := s.locks.lock(ctx, c.ContainerID)
	if err != nil {
		return nil, fmt.Errorf("waiting for another call about the sandbox: %w", err)
	}
	defer unlock()

	var steps undo
	defer func() {
		undoing, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
		defer cancel()
		err = errors.Join(err, steps.run(undoing))
	}()
	watch := s.Metrics.start()
	pod, err := s.Pods.Await(ctx, c.podNamespace, c.podName, c.podUID)
	if err != nil {
		return nil, err
	}
	watch.lap(phaseWaitPod)
	ns, err := sandbox.Open(c.netns)
	if err != nil {
		return nil, types.NewError(types.ErrInvalidNetNS, "opening the container's network namespace", err.Error())
	}
	defer ns.Close()
	spec := s.spec(c, pod)
	if err := s.create(ctx, ns, spec); err != nil {
		return nil, err
	}
	steps.push(func(context.Context) error { return sandbox.RemoveHostEnd(c.HostName()) })
	watch.lap(phaseVeth)

	// vswitchd and ovn-controller get to work on the port while the interface gets its addresses.
	steps.push(func(ctx context.Context) error { return s.unplug(ctx, c.HostName()) })
	if err := s.plug(ctx, pod, spec.Record); err != nil {
		return nil, err
	}
	watch.lap(phaseOVS)
	if err := ns.Configure(spec); err != nil {
		return nil, err
	}
	ns.Close() // so that the namespace can end, and its link with it, while we wait
	watch.lap(phaseNetNS)
	if err := s.awaitInstalled(ctx, c.HostName()); err != nil {
		return nil, err
	}
	watch.lap(phaseInstalled)
	s.announce(spec)
	if err := context.Cause(ctx); err != nil { // nobody would hear the answer
		return nil, fmt.Errorf("attaching the pod: %w", err)
	}
	result, err := addResult(c, spec, pod.Network)
	if err != nil {
		return nil, err
	}
	steps.keep()
	s.Log.Info("attached", "pod", pod.Namespace+"/"+pod.Name, "container", c.ContainerID,
		"addresses", fmt.Sprint(pod.Network.Addresses), "interface", c.HostName())
	return result, nil
}

// announce tells the neighbours of a pod which MAC its addresses have, now that the port is up: they may know the addresses with
// the MAC of a pod before. A MAC that follows from the address says nothing new; to tell it would cost every pod of the Subnet a
// packet for each pod that starts, since OVN floods it. Neighbours that hear nothing ask again after half a minute.
func (s *Server) announce(spec sandbox.Spec) {
	var addrs ipam.Addrs
	for _, a := range spec.Addresses {
		if a.Addr().Is4() {
			addrs.V4 = a.Addr()
		} else {
			addrs.V6 = a.Addr()
		}
	}
	if spec.MAC.String() == ipam.UsualMAC(addrs).String() {
		return
	}
	ns, err := sandbox.Open(spec.Record.NetNS)
	if err == nil {
		err = ns.Announce(spec)
		ns.Close()
	}
	if err != nil {
		s.Log.Error(err, "Neighbours are not told of a pod's MAC", "container", spec.Record.ContainerID, "mac", spec.MAC.String())
	}
}

func (s *Server) spec(c *call, pod *Pod) sandbox.Spec {
	return sandbox.Spec{
		Record: sandbox.Record{
			ContainerID: c.ContainerID, IfName: c.IfName, PodUID: pod.UID, NetNS: c.netns,
		},
		MAC:                pod.Network.MAC,
		MTU:                s.Node.PodMTU(pod.Network.Subnet),
		Addresses:          pod.Network.Addresses,
		Routes:             pod.Network.Routes,
		ChecksumInSoftware: s.Node.ChecksumInSoftware(),
	}
}

// create makes the veth. What an ADD that was cut off, or a DEL, left of the same attachment makes room for it; a whole
// attachment does not, for the specification wants an error then.
func (s *Server) create(ctx context.Context, ns *sandbox.NetNS, spec sandbox.Spec) error {
	name := spec.Record.Attachment().HostName()
	// For as long as the link has no record; see doomNameless.
	unlock, err := s.locks.lock(ctx, name)
	if err != nil {
		return fmt.Errorf("waiting for link %s: %w", name, err)
	}
	defer unlock()
	err = ns.Create(spec)
	if !errors.Is(err, sandbox.ErrExists) {
		return err
	}
	if err := s.Switch.Await(ctx); err != nil {
		return err
	}
	if iface := s.Switch.Interface(name); iface != nil && iface.Installed() {
		return types.NewError(types.ErrInternal, "the container is attached already", err.Error())
	}
	if err := s.unplug(ctx, name); err != nil {
		return err
	}
	if err := sandbox.RemoveHostEnd(name); err != nil {
		return err
	}
	if err := ns.Create(spec); err != nil {
		return types.NewError(types.ErrInternal, "creating the container's interface", err.Error())
	}
	return nil
}

// errVanished says that the veth has gone while it was being attached: somebody deleted it, or its namespace.
var errVanished = errors.New("the host's end of the link has vanished")

func (s *Server) awaitInstalled(ctx context.Context, name string) error {
	if err := s.Switch.Await(ctx); err != nil {
		return err
	}
	return s.Switch.AwaitInstalled(ctx, name, func() error {
		if lives, err := sandbox.HostEndLives(name); err != nil || lives {
			return nil //nolint:nilerr // not known to be hopeless
		}
		return errVanished
	})
}

// addResult says what was made, in the version of the specification that the configuration asks for, after what
// earlier plugins of a chain made.
func addResult(c *call, spec sandbox.Spec, network *Network) (types.Result, error) {
	result := &current.Result{CNIVersion: current.ImplementedSpecVersion}
	if c.conf.PrevResult != nil {
		prev, err := current.NewResultFromResult(c.conf.PrevResult)
		if err != nil {
			return nil, types.NewError(types.ErrDecodingFailure, "reading prevResult", err.Error())
		}
		result = prev
	}
	inside := len(result.Interfaces) + 1
	result.Interfaces = append(result.Interfaces,
		&current.Interface{Name: c.HostName(), Mtu: spec.MTU},
		&current.Interface{Name: c.IfName, Mac: spec.MAC.String(), Mtu: spec.MTU, Sandbox: c.netns})
	for _, address := range spec.Addresses {
		ip := &current.IPConfig{Interface: &inside, Address: *netipx.PrefixIPNet(address)}
		for _, gateway := range network.Gateways {
			if gateway.Is6() == address.Addr().Is6() {
				ip.Gateway = gateway.AsSlice()
			}
		}
		result.IPs = append(result.IPs, ip)
	}
	for _, route := range spec.Routes {
		result.Routes = append(result.Routes, &types.Route{Dst: *netipx.PrefixIPNet(route.Dst), GW: route.Gateway.AsSlice()})
	}
	if len(result.DNS.Nameservers) == 0 {
		result.DNS = c.conf.DNS
	}
	versioned, err := result.GetAsVersion(c.conf.CNIVersion)
	if err != nil {
		return nil, types.NewError(types.ErrIncompatibleCNIVersion, "answering in the asked version", err.Error())
	}
	return versioned, nil
}
