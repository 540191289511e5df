package server

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/woven-cni/woven/pkg/cni/sandbox"
	"github.com/woven-cni/woven/pkg/host/vsdb"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/engine"
	"github.com/woven-cni/woven/pkg/ovs/vswitch"
)

// Keys of an Interface's external_ids. The first two are OVN's; vendor and pod_* are what Kube-OVN's tools look for.
const (
	keyIfaceID     = "iface-id"
	keyAttachedMAC = "attached-mac"
	keyVendor      = "vendor"
	keyPodName     = "pod_name"
	keyPodNS       = "pod_namespace"
	keyPodNetNS    = "pod_netns"
	keyPodUID      = "pod_uid"
	keyIP          = "ip"
	keyContainer   = "container_id"
	keyIfName      = "ifname"
)

// Feature is the feature, as rows' owners have it, of pods' ports on this node.
const Feature = "cni"

// portOwner is the owner of the rows of one switch port on this node. Only one interface may have the port's iface-id, or it
// is left to chance which sandbox is the pod: so what a newer sandbox wants takes the place of what an older one had.
func portOwner(port string) ovs.Owner { return ovs.Owner{Feature: Feature, Key: port} }

func externalIDs(pod *Pod, record sandbox.Record) map[string]string {
	ids := map[string]string{
		keyIfaceID:   pod.Port(),
		keyVendor:    vsdb.Vendor,
		keyPodName:   pod.Name,
		keyPodNS:     pod.Namespace,
		keyPodNetNS:  record.NetNS,
		keyPodUID:    record.PodUID,
		keyContainer: record.ContainerID,
		keyIfName:    record.IfName,
	}
	if pod.Network == nil {
		return ids // an attachment from before, of a pod that the controller has yet to tell its answer anew
	}
	ips := make([]string, 0, len(pod.Network.Addresses))
	for _, address := range pod.Network.Addresses {
		ips = append(ips, netip.Prefix.Addr(address).String())
	}
	ids[keyAttachedMAC], ids[keyIP] = pod.Network.MAC.String(), strings.Join(ips, ",")
	return ids
}

// plug puts a host end into Open vSwitch. In the same transaction it takes out every other port of the pod.
func (s *Server) plug(ctx context.Context, pod *Pod, record sandbox.Record) error {
	// One at a time for each pod: an ADD that was superseded while it waited here must not oust its successor.
	unlock, err := s.locks.lock(ctx, "pod "+pod.Port())
	if err != nil {
		return fmt.Errorf("waiting for another sandbox of the pod: %w", err)
	}
	defer unlock()
	if ctx.Err() != nil {
		return fmt.Errorf("adding the pod's port: %w", context.Cause(ctx))
	}
	name := record.Attachment().HostName()
	if err := s.vacate(ctx, pod, name); err != nil {
		return err
	}
	bridge := s.Switch.Bridge(vsdb.IntegrationBridge)
	if bridge == nil {
		return fmt.Errorf("bridge %s does not exist: is ovn-controller running?", vsdb.IntegrationBridge)
	}
	// A UUID of its own for every attempt: ovn-controller may be writing ovn-installed into the row of an earlier one.
	sym := name + "/" + strconv.FormatInt(time.Now().UnixNano(), 36)
	ids := externalIDs(pod, record)
	want := portRows(portSyms{port: ovs.Sym("port/" + sym), iface: ovs.Sym("interface/" + sym)}, bridge,
		&vswitch.Interface{Name: name, ExternalIDs: ids}, ids)
	if err := s.Switch.Apply(ctx, portOwner(pod.Port()), want); err != nil {
		return fmt.Errorf("adding port %s: %w", name, err)
	}
	return nil
}

// portSyms are the names of a port's rows.
type portSyms struct{ port, iface ovs.Sym }

// portRows are a port on a bridge and its one interface, both of one name.
func portRows(syms portSyms, bridge *vswitch.Bridge, iface *vswitch.Interface, ids map[string]string) ovs.Desired {
	var want ovs.Desired
	want.Add(syms.port, &vswitch.Port{Name: iface.Name, Interfaces: []string{syms.iface.UUID()}, ExternalIDs: ids}).
		In(ovs.BridgePorts.Of(ovs.FoundRow(bridge.UUID)))
	want.Add(syms.iface, iface)
	return want
}

// vacate removes the ports that are in a new port's way and not its owner's: the same port of an ADD that was cut off, whose
// Interface row must not pass for the new one, and the pod's ports from versions whose rows had no owner. As a rule there are none.
func (s *Server) vacate(ctx context.Context, pod *Pod, name string) error {
	if err := s.Switch.Await(ctx); err != nil {
		return err
	}
	for _, iface := range s.Switch.Interfaces() {
		_, _, owned := engine.OwnerOf(iface.ExternalIDs)
		if iface.Name == name || !owned && iface.ExternalIDs[keyIfaceID] == pod.Port() {
			if err := s.remove(ctx, iface.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// unplug removes a port from Open vSwitch. It succeeds for a port that is not there, and leaves a port that Woven has not made.
func (s *Server) unplug(ctx context.Context, name string) error {
	if err := s.Switch.Await(ctx); err != nil {
		return err
	}
	iface := s.Switch.Interface(name)
	if iface == nil {
		return nil
	}
	unlock, err := s.locks.lock(ctx, "pod "+iface.ExternalIDs[keyIfaceID])
	if err != nil {
		return fmt.Errorf("waiting for another sandbox of the pod: %w", err)
	}
	defer unlock()
	return s.remove(ctx, name)
}

// remove deletes a port's rows; the lock of the pod's port is held. An owner with a row of this name has no other rows: a newer
// sandbox would have taken their place.
func (s *Server) remove(ctx context.Context, name string) error {
	port := s.Switch.Port(name)
	if port == nil || port.ExternalIDs[keyVendor] != vsdb.Vendor {
		return nil
	}
	owner, _, owned := engine.OwnerOf(port.ExternalIDs)
	if !owned {
		owner = portOwner(name)
		if err := s.adopt(ctx, owner, port); err != nil {
			return err
		}
	}
	if err := s.Switch.Apply(ctx, owner, ovs.Desired{}); err != nil {
		return fmt.Errorf("removing port %s: %w", name, err)
	}
	return nil
}

// adopt gives an owner the rows of a port that a version made whose rows had no owner.
func (s *Server) adopt(ctx context.Context, owner ovs.Owner, port *vswitch.Port) error {
	iface, bridge := s.Switch.Interface(port.Name), s.Switch.Bridge(vsdb.IntegrationBridge)
	if iface == nil || bridge == nil {
		return nil
	}
	syms := portSyms{port: ovs.FoundRow(port.UUID), iface: ovs.FoundRow(iface.UUID)}
	ids := map[string]string{keyVendor: vsdb.Vendor}
	same := &vswitch.Interface{Name: iface.Name, Type: iface.Type, MAC: iface.MAC, MTURequest: iface.MTURequest, ExternalIDs: ids}
	if err := s.Switch.Apply(ctx, owner, portRows(syms, bridge, same, ids)); err != nil {
		return fmt.Errorf("adopting port %s: %w", port.Name, err)
	}
	return nil
}

// attachments lists what Open vSwitch has of ours, by name of the port.
func attachments(db *vsdb.DB) map[string]sandbox.Attachment {
	out := map[string]sandbox.Attachment{}
	for _, iface := range db.Interfaces() {
		if iface.ExternalIDs[keyVendor] == vsdb.Vendor && iface.ExternalIDs[keyContainer] != "" {
			out[iface.Name] = sandbox.Attachment{
				ContainerID: iface.ExternalIDs[keyContainer], IfName: iface.ExternalIDs[keyIfName],
			}
		}
	}
	return out
}

// del detaches a sandbox. It asks nothing but the attachment's name: the pod may be long gone, and so may be its
// interface, its port and its namespace, and all of that is success.
func (s *Server) del(ctx context.Context, c *call) error {
	unlock, err := s.locks.lock(ctx, c.ContainerID)
	if err != nil {
		return fmt.Errorf("waiting for another call about the sandbox: %w", err)
	}
	defer unlock()
	return s.detach(ctx, c.Attachment)
}

// detach takes an attachment's port out and leaves its veth to the end of the namespace. If the namespace lives on, the
// reaper takes the veth.
func (s *Server) detach(ctx context.Context, a sandbox.Attachment) error {
	doomed := sandbox.Doom(a.HostName())
	s.reaper.wake()
	return errors.Join(doomed, s.unplug(ctx, a.HostName()))
}
