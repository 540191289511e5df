package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/woven-cni/woven/pkg/host/kernel"
	"github.com/woven-cni/woven/pkg/host/vsdb"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/engine"
	"github.com/woven-cni/woven/pkg/ovs/vswitch"
)

// IntegrationBridge is the bridge that ovn-controller makes and programs.
const IntegrationBridge = "br-int"

// Feature is the feature, as rows' owners have it, of what a node needs itself.
const Feature = "host"

func ownerOf(part string) ovs.Owner { return ovs.Owner{Feature: Feature, Key: part} }

const (
	// settle gathers events that come together.
	settle = 20 * time.Millisecond
	// retryFirst and retryMost bound the wait after a failure.
	retryFirst = 200 * time.Millisecond
	retryMost  = 30 * time.Second
)

// Config is what a node is started with.
type Config struct {
	NodeName string
	// Interface is a name, or names and regular expressions with commas between; empty: the one of the node's address.
	Interface string
	// MTU of pods; 0: worked out from the tunnel interface.
	MTU           int
	EncapChecksum bool
	Userspace     bool
	// ServiceCIDRs are never outside.
	ServiceCIDRs []netip.Prefix
	// ClosedPorts are TCP ports of the node that pods do not reach, beside those of OVN's databases.
	ClosedPorts []uint16
}

// Host keeps a node's kernel and Open vSwitch as they should be.
type Host struct {
	config Config
	db     *vsdb.DB
	log    logr.Logger
	dirty  chan struct{}
	// Looks times each look at the kernel and at Open vSwitch. A node reads neither outside of one, so its count is what
	// the events of the cluster cost the node.
	Looks prometheus.Histogram
	// changed is told when readiness changed.
	changed func()

	mu     sync.Mutex // protects the fields below; never held across I/O
	inputs inputs
	podMTU int
	// err is why the node is not ready, after the last look; ready tells whether it ever was.
	err   error
	ready bool
	// turned is closed, and replaced, when err changes.
	turned chan struct{}
}

var errNotYet = errors.New("not looked at yet")

// New makes a Host.
func New(config Config, db *vsdb.DB, log logr.Logger) *Host {
	h := &Host{
		config: config, db: db, log: log, dirty: make(chan struct{}, 1), changed: func() {},
		inputs: inputs{subnets: map[string]Subnet{}}, err: errNotYet, turned: make(chan struct{}),
		Looks: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "woven_host_look_duration_seconds",
			Help:    "Time that each comparison of the node's kernel and Open vSwitch with what they should be took.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
		}),
	}
	db.OnChange(func(c vsdb.Change) {
		if h.concerns(c) {
			h.wake()
		}
	})
	return h
}

// OnReadiness has a function called after the node became ready or stopped being so. Call it before Run.
func (h *Host) OnReadiness(f func()) { h.changed = f }

// concerns tells rows that matter to a node from those of its pods, which change all the time.
func (h *Host) concerns(c vsdb.Change) bool {
	switch c.Table {
	case vswitch.InterfaceTable:
		return c.Name == kernel.NodeInterface || isTunnelBridge(c.Name)
	case vswitch.BridgeTable:
		return c.Kind != vsdb.Updated || isTunnelBridge(c.Name)
	case vswitch.PortTable:
		return false
	}
	return true
}

func (h *Host) wake() {
	select {
	case h.dirty <- struct{}{}:
	default:
	}
}

// SetNode takes in the Node object.
func (h *Host) SetNode(node Node) {
	h.update(func(in inputs) bool { return reflect.DeepEqual(in.node, node) }, func(in *inputs) { in.node = node })
}

// SetRemotes takes in where the southbound database is: "tcp:address:port" each.
func (h *Host) SetRemotes(remotes []string) {
	slices.Sort(remotes)
	h.update(func(in inputs) bool { return slices.Equal(in.remotes, remotes) }, func(in *inputs) { in.remotes = remotes })
}

// SetSubnet takes in a subnet. A change that the controller refused leaves what was accepted before: a typo must not
// take the network down.
func (h *Host) SetSubnet(subnet Subnet) {
	h.update(func(in inputs) bool {
		before, known := in.subnets[subnet.Name]
		refused := len(subnet.CIDRs) == 0 && len(before.CIDRs) > 0
		return known && (refused || reflect.DeepEqual(before, subnet))
	}, func(in *inputs) { in.subnets[subnet.Name] = subnet })
}

// DeleteSubnet takes in that a subnet is gone.
func (h *Host) DeleteSubnet(name string) {
	h.update(func(in inputs) bool { _, known := in.subnets[name]; return !known }, func(in *inputs) { delete(in.subnets, name) })
}

// update takes a change in. Most events of the cluster change nothing that a node reads, such as how many addresses of a
// Subnet are in use, once a second while pods come and go anywhere: they do not wake the node.
func (h *Host) update(same func(inputs) bool, change func(*inputs)) {
	h.mu.Lock()
	if same(h.inputs) {
		h.mu.Unlock()
		return
	}
	change(&h.inputs)
	h.mu.Unlock()
	h.wake()
}

func (h *Host) snapshot() inputs {
	h.mu.Lock()
	defer h.mu.Unlock()
	in := h.inputs
	in.subnets = maps.Clone(h.inputs.subnets)
	return in
}

// Ready returns nil when pods can be attached.
func (h *Host) Ready() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.db.Connected() {
		return vsdb.ErrOffline
	}
	return h.err
}

// AwaitReady waits until pods can be attached, or returns why they cannot when the context ends.
func (h *Host) AwaitReady(ctx context.Context) error {
	for {
		h.mu.Lock()
		turned := h.turned
		h.mu.Unlock()
		err := h.Ready()
		if err == nil {
			return nil
		}
		select {
		case <-turned:
		case <-ctx.Done():
			return err
		}
	}
}

// Disturbed tells whether the node was ready and is no more, so that pods may be cut off as well.
func (h *Host) Disturbed() bool {
	err := h.Ready()
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ready && err != nil
}

// PodMTU is the MTU of pods of a subnet.
func (h *Host) PodMTU(subnet string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if mtu := h.inputs.subnets[subnet].MTU; mtu > 0 {
		return mtu
	}
	return h.podMTU
}

// ChecksumInSoftware tells whether the datapath needs finished checksums.
func (h *Host) ChecksumInSoftware() bool { return h.config.Userspace }

// Run reconciles on each event until the context ends.
func (h *Host) Run(ctx context.Context) error {
	if err := kernel.Watch(ctx, h.wake); err != nil {
		return err
	}
	go h.db.Dirty(ctx, Feature, func(engine.Dirty) { h.wake() })
	h.wake()
	retry := time.NewTimer(0)
	<-retry.C
	wait := retryFirst
	for {
		select {
		case <-h.dirty:
		case <-retry.C:
		case <-ctx.Done():
			return nil
		}
		select {
		case <-time.After(settle):
		case <-ctx.Done():
			return nil
		}
		began := time.Now()
		err := h.reconcile(ctx)
		h.Looks.Observe(time.Since(began).Seconds())
		h.report(err)
		var waiting *waitingError
		if err == nil || errors.As(err, &waiting) {
			retry.Stop()
			wait = retryFirst
			continue
		}
		retry.Reset(wait)
		wait = min(2*wait, retryMost)
	}
}

// waitingError says what has to happen first. It is not a failure: an event will tell when it happened.
type waitingError struct{ what string }

func (e *waitingError) Error() string { return "waiting for " + e.what }

func waitingFor(format string, values ...any) error {
	return &waitingError{what: fmt.Sprintf(format, values...)}
}

// report keeps the outcome and logs it if it is another one than before.
func (h *Host) report(err error) {
	h.mu.Lock()
	before := h.err
	h.err = err
	h.ready = h.ready || err == nil
	close(h.turned)
	h.turned = make(chan struct{})
	h.mu.Unlock()
	if before == nil && err == nil || before != nil && err != nil && before.Error() == err.Error() {
		return
	}
	var waiting *waitingError
	switch {
	case err == nil:
		h.log.Info("the node's network is ready")
	case errors.As(err, &waiting):
		h.log.Info("the node's network is not ready", "reason", err.Error())
	default:
		h.log.Error(err, "configuring the node's network")
	}
	h.changed()
}
