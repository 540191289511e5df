package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/go-logr/logr"

	"github.com/woven-cni/woven/pkg/cni/sandbox"
	"github.com/woven-cni/woven/pkg/host/vsdb"
	"github.com/woven-cni/woven/pkg/ovs/vswitch"
)

// gc removes every attachment of ours that the runtime does not list as valid. It goes on after a failure.
func (s *Server) gc(ctx context.Context, c *call) error {
	// An absent list is not an empty one: taking it for that would cut off every pod of the node.
	if c.conf.ValidAttachments == nil {
		return types.NewError(types.ErrInvalidNetworkConfig, "cni.dev/valid-attachments is missing", "")
	}
	valid := map[string]bool{}
	for _, a := range c.conf.ValidAttachments {
		valid[sandbox.Attachment{ContainerID: a.ContainerID, IfName: a.IfName}.HostName()] = true
	}
	if err := s.Switch.Await(ctx); err != nil {
		return err
	}
	stale := attachments(s.Switch)
	ends, err := sandbox.HostEnds()
	for _, end := range ends {
		if end.Record != nil {
			stale[end.Name] = end.Record.Attachment()
		} else if !valid[end.Name] {
			err = errors.Join(err, s.doomNameless(ctx, end.Name))
		}
	}
	for name, a := range stale {
		if !valid[name] {
			err = errors.Join(err, s.collect(ctx, a))
		}
	}
	if err != nil {
		return fmt.Errorf("collecting stale attachments: %w", err)
	}
	return nil
}

func (s *Server) collect(ctx context.Context, a sandbox.Attachment) error {
	unlock, err := s.locks.lock(ctx, a.ContainerID)
	if err != nil {
		return fmt.Errorf("waiting for another call about sandbox %s: %w", a.ContainerID, err)
	}
	defer unlock()
	s.Log.Info("collected", "container", a.ContainerID, "interface", a.HostName())
	return s.detach(ctx, a)
}

// collectEndless removes a port that has no host end. An ADD may have made both since the host ends were listed.
func (s *Server) collectEndless(ctx context.Context, a sandbox.Attachment) error {
	unlock, err := s.locks.lock(ctx, a.ContainerID)
	if err != nil {
		return fmt.Errorf("waiting for another call about sandbox %s: %w", a.ContainerID, err)
	}
	defer unlock()
	if lives, err := sandbox.HostEndLives(a.HostName()); err != nil || lives {
		return err
	}
	s.Log.Info("collected", "container", a.ContainerID, "interface", a.HostName())
	return s.detach(ctx, a)
}

// doomNameless removes a host end that had no record when it was listed. Between the making of a link and of its record,
// every ADD has one: the lock is what tells it from what an ADD left that was cut off there.
func (s *Server) doomNameless(ctx context.Context, name string) error {
	unlock, err := s.locks.lock(ctx, name)
	if err != nil {
		return fmt.Errorf("waiting for the record of link %s: %w", name, err)
	}
	defer unlock()
	end, err := sandbox.FindHostEnd(name)
	if err != nil || end == nil || end.Record != nil {
		return err
	}
	s.Log.Info("removed a link of no pod", "interface", name)
	return sandbox.Doom(name)
}

// Sweep makes the kernel and Open vSwitch agree again. It belongs at the start, when the last daemon may have died in
// the middle of something, at each new session with Open vSwitch, which may have lost its database, and after a port of
// ours vanished, which may have been by hand. The set of pods must be complete by then.
//
//   - A port without its host end is removed: the node was restarted, or the namespace ended unobserved.
//   - A host end without its port gets it again, if its pod lives and no other sandbox of the pod is newer.
//   - A port whose row was changed by hand is written again.
//   - A host end of no attachment is removed.
func (s *Server) Sweep(ctx context.Context) error {
	if err := s.Switch.Await(ctx); err != nil {
		return err
	}
	ends, err := sandbox.HostEnds()
	if err != nil {
		return err
	}
	// The newest sandbox of a pod is the pod: its link has the highest index.
	slices.SortFunc(ends, func(a, b sandbox.HostEnd) int { return b.Index - a.Index })
	exists := map[string]bool{}
	for _, end := range ends {
		exists[end.Name] = true
	}
	var errs []error
	plugged := map[string]bool{} // by iface-id
	for name, a := range attachments(s.Switch) {
		if !exists[name] {
			errs = append(errs, s.collectEndless(ctx, a))
		} else if iface := s.Switch.Interface(name); iface != nil {
			plugged[iface.ExternalIDs[keyIfaceID]] = true
		}
	}
	var whole []sandbox.Record
	for _, end := range ends {
		switch {
		case end.Doomed:
		case s.Switch.Port(end.Name) == nil:
			errs = append(errs, s.restore(ctx, end, plugged))
		case end.Record != nil:
			whole = append(whole, *end.Record)
		}
	}
	for _, record := range whole {
		errs = append(errs, s.refresh(ctx, record))
	}
	s.reaper.wake()
	return errors.Join(errs...)
}

// restore plugs in a host end that has no port, or removes it if it is nobody's.
func (s *Server) restore(ctx context.Context, end sandbox.HostEnd, plugged map[string]bool) error {
	if end.Record == nil {
		return s.doomNameless(ctx, end.Name)
	}
	unlock, err := s.locks.lock(ctx, end.Record.ContainerID)
	if err != nil {
		return fmt.Errorf("waiting for another call about sandbox %s: %w", end.Record.ContainerID, err)
	}
	defer unlock()
	// Meanwhile an ADD may have plugged it in or taken it back, or a DEL doomed it; and without a session, the next
	// one's Sweep will see to it.
	lives, err := sandbox.HostEndLives(end.Name)
	if err != nil || !lives || !s.Switch.Connected() || s.Switch.Port(end.Name) != nil {
		return err
	}
	pod := s.Pods.WithUID(end.Record.PodUID)
	if pod == nil || plugged[pod.Port()] {
		s.Log.Info("removed a link of no pod", "interface", end.Name)
		return sandbox.Doom(end.Name)
	}
	plugged[pod.Port()] = true
	s.Log.Info("plugged in again", "pod", pod.Namespace+"/"+pod.Name, "interface", end.Name)
	return s.plug(ctx, pod, *end.Record)
}

// refresh has a port that is there say what it should, which mostly it does: then nothing is sent, and the engine knows from
// now on what the rows should be. It does not wait for calls about the sandbox: an ADD may wait for OVN for minutes. The lock of
// the pod's port is enough, as it is held while rows are made or taken away.
func (s *Server) refresh(ctx context.Context, record sandbox.Record) error {
	pod := s.Pods.WithUID(record.PodUID)
	if pod == nil || pod.Network == nil {
		return nil
	}
	unlock, err := s.locks.lock(ctx, "pod "+pod.Port())
	if err != nil {
		return fmt.Errorf("waiting for another sandbox of the pod: %w", err)
	}
	defer unlock()
	name := record.Attachment().HostName()
	port, iface, bridge := s.Switch.Port(name), s.Switch.Interface(name), s.Switch.Bridge(vsdb.IntegrationBridge)
	if port == nil || iface == nil || bridge == nil {
		return nil // a DEL was here; or the session is over, and the next one's Sweep will see to it
	}
	syms := portSyms{
		port: vsdb.SymOf(port.ExternalIDs, port.UUID, ""), iface: vsdb.SymOf(iface.ExternalIDs, iface.UUID, ""),
	}
	ids := externalIDs(pod, record)
	return s.Switch.Apply(ctx, portOwner(pod.Port()), portRows(syms, bridge, &vswitch.Interface{Name: name, ExternalIDs: ids}, ids))
}

// reapDelay is how long doomed links are left to the end of their namespaces, which usually comes within milliseconds.
const reapDelay = 2 * time.Second

// reaper deletes doomed links in batches.
type reaper struct {
	log  logr.Logger
	work chan struct{}
}

func newReaper(log logr.Logger) *reaper { return &reaper{log: log, work: make(chan struct{}, 1)} }

func (r *reaper) wake() {
	select {
	case r.work <- struct{}{}:
	default:
	}
}

func (r *reaper) run(ctx context.Context) {
	for {
		select {
		case <-r.work:
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(reapDelay):
		case <-ctx.Done():
			return
		}
		if err := sandbox.Reap(); err != nil {
			r.log.Error(err, "deleting links of ended pods")
		}
	}
}
