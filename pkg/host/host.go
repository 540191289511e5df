package host

import (
	"context"
	"errors"
	"net/netip"
	"reflect"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/woven-cni/woven/pkg/host/kernel"
	"github.com/woven-cni/woven/pkg/host/vsdb"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/engine"
	"github.com/woven-cni/woven/pkg/ovs/vswitch"
)

// ownedBy is the feature, as rows' owners have it, of what a node needs itself.
const ownedBy = "host"

func ownerOf(part string) ovs.Owner { return ovs.Owner{Feature: ownedBy, Key: part} }

// debounce gathers events that come together.
const debounce = 20 * time.Millisecond

// retries are the waits between looks that fail one after the other.
var retries = wait.Backoff{Duration: 200 * time.Millisecond, Factor: 2, Steps: 10, Cap: 30 * time.Second}

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
	// changed is called when readiness changed, and problem with each Problem that a person has to mend.
	changed func()
	problem func(Problem)

	mu      sync.Mutex // protects the fields below; never held across I/O
	cluster *Cluster   // nil until it is known as a whole
	podMTU  int
	// problems and err are why the node is not ready, after the last look; ready tells whether it ever was.
	problems []Problem
	err      error
	ready    bool
	// turned is closed, and replaced, when these change.
	turned chan struct{}
}

var errNotYet = errors.New("not looked at yet")

// New makes a Host.
func New(config Config, db *vsdb.DB, log logr.Logger) *Host {
	h := &Host{
		config: config, db: db, log: log, dirty: make(chan struct{}, 1), changed: func() {}, problem: func(Problem) {},
		err: errNotYet, turned: make(chan struct{}),
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

// OnProblem has a function called for each problem that a person has to mend, when it appears. Call it before Run.
func (h *Host) OnProblem(f func(Problem)) { h.problem = f }

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

// Set takes in all that the API server says of the cluster; what is not in it is gone. A Cluster that equals the last one does
// not wake the node. Most events of the API server are such: the usage of a Subnet changes once a second while pods come
// and go on any node.
func (h *Host) Set(cluster Cluster) {
	h.mu.Lock()
	if h.cluster != nil {
		cluster = cluster.after(*h.cluster)
	}
	same := h.cluster != nil && reflect.DeepEqual(*h.cluster, cluster)
	h.cluster = &cluster
	h.mu.Unlock()
	if !same {
		h.wake()
	}
}

// Ready returns nil when pods can be attached.
func (h *Host) Ready() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case !h.db.Connected():
		return vsdb.ErrOffline
	case h.err == nil && len(h.problems) > 0:
		return errors.New(h.problems[0].Message)
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
	if h.cluster != nil && h.cluster.Subnets[subnet].MTU > 0 {
		return h.cluster.Subnets[subnet].MTU
	}
	return h.podMTU
}

// ChecksumInSoftware tells whether the datapath needs finished checksums.
func (h *Host) ChecksumInSoftware() bool { return h.config.Userspace }

// Run looks on each event until the context ends.
func (h *Host) Run(ctx context.Context) error {
	if err := kernel.Watch(ctx, h.wake); err != nil {
		return err
	}
	go h.db.Dirty(ctx, ownedBy, func(engine.Dirty) { h.wake() })
	h.wake()
	retry := time.NewTimer(0)
	<-retry.C
	backoff := retries
	for {
		select {
		case <-h.dirty:
		case <-retry.C:
		case <-ctx.Done():
			return nil
		}
		select {
		case <-time.After(debounce):
		case <-ctx.Done():
			return nil
		}
		began := time.Now()
		problems, err := h.look(ctx)
		h.Looks.Observe(time.Since(began).Seconds())
		h.report(problems, err)
		if err == nil {
			retry.Stop()
			backoff = retries
			continue
		}
		retry.Reset(backoff.Step())
	}
}

// report keeps the outcome, and tells what is another one than before.
func (h *Host) report(problems []Problem, err error) {
	before := h.Ready()
	if err != nil {
		problems = append(problems, Problem{Reason: ReasonFailed, Message: err.Error()})
	}
	h.mu.Lock()
	fresh := problemsForUsers(problems, h.problems)
	h.problems, h.err = problems, err
	h.ready = h.ready || err == nil && len(problems) == 0
	close(h.turned)
	h.turned = make(chan struct{})
	h.mu.Unlock()
	for _, p := range fresh {
		h.problem(p)
	}
	now := h.Ready()
	if now == nil && before == nil || now != nil && before != nil && now.Error() == before.Error() {
		return
	}
	switch {
	case now == nil:
		h.log.Info("the node's network is ready")
	case err == nil:
		h.log.Info("the node's network is not ready", "reason", now.Error())
	default:
		h.log.Error(err, "configuring the node's network")
	}
	h.changed()
}
