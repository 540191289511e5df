package server

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/woven-cni/woven/pkg/cni/sandbox"
	"github.com/woven-cni/woven/pkg/host/vsdb"
)

// IntegrationBridge is the bridge that ovn-controller programs.
const IntegrationBridge = "br-int"

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

	// Vendor marks rows of ours.
	Vendor = "woven"
)

func externalIDs(pod *Pod, record sandbox.Record) map[string]string {
	ids := map[string]string{
		keyIfaceID:   pod.Port(),
		keyVendor:    Vendor,
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

// plug puts a host end into Open vSwitch. In the same transaction it takes out every other port of the pod: two
// interfaces of one iface-id would leave it to chance which sandbox is the pod.
func (s *Server) plug(ctx context.Context, pod *Pod, record sandbox.Record) error {
	session, err := s.Switch.Await(ctx)
	if err != nil {
		return err
	}
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
	if session.Port(name) != nil { // left by an ADD that was cut off; its row must not answer for ours
		if err := s.unplug(ctx, name); err != nil {
			return err
		}
	}
	bridge := session.Bridge(IntegrationBridge)
	if bridge == nil {
		return fmt.Errorf("bridge %s does not exist: is ovn-controller running?", IntegrationBridge)
	}
	var older []*vsdb.Port
	for _, iface := range session.Interfaces() {
		if iface.ExternalIDs[keyIfaceID] == pod.Port() && iface.Name != name {
			if port := session.Port(iface.Name); port != nil {
				older = append(older, port)
			}
		}
	}
	port := vsdb.NewPort{Bridge: bridge, Name: name, ExternalIDs: externalIDs(pod, record)}
	if err := session.Transact(ctx, port.Add(older...)...); err != nil {
		return fmt.Errorf("adding port %s: %w", name, err)
	}
	return nil
}

// unplug takes ports out of Open vSwitch, all in one transaction. It succeeds for those that are not there.
func (s *Server) unplug(ctx context.Context, names ...string) error {
	session, err := s.Switch.Await(ctx)
	if err != nil {
		return err
	}
	var ports []*vsdb.Port
	for _, name := range names {
		if port := session.Port(name); port != nil {
			ports = append(ports, port)
		}
	}
	bridge := session.Bridge(IntegrationBridge)
	if len(ports) == 0 || bridge == nil {
		return nil
	}
	if err := session.Transact(ctx, bridge.Remove(ports...)...); err != nil {
		return fmt.Errorf("removing ports %v: %w", names, err)
	}
	return nil
}

// attachments lists what Open vSwitch has of ours, by name of the port.
func attachments(session *vsdb.Session) map[string]sandbox.Attachment {
	out := map[string]sandbox.Attachment{}
	for _, iface := range session.Interfaces() {
		if iface.ExternalIDs[keyVendor] == Vendor && iface.ExternalIDs[keyContainer] != "" {
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
