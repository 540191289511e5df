// Command woven-daemon configures one node: its Open vSwitch, its kernel, and the pods that its container runtime
// starts.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/woven-cni/woven/pkg/cni/server"
	"github.com/woven-cni/woven/pkg/host"
	"github.com/woven-cni/woven/pkg/host/vsdb"
	"github.com/woven-cni/woven/pkg/ovs/engine"
)

func main() {
	if err := start(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "woven-daemon:", err)
		os.Exit(1)
	}
}

func start(args []string) error {
	var o options
	if err := o.parse(args); err != nil {
		return err
	}
	if err := errors.Join(o.complete(), o.validate()); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	return run(ctx, o)
}

// daemon is the parts of the process.
type daemon struct {
	options
	log    logr.Logger
	db     *vsdb.DB
	host   *host.Host
	pods   *server.Pods
	server *server.Server
	stale  chan struct{} // wakes the sweep
}

// newDaemon makes the parts; the session with Open vSwitch lasts as long as the context.
func newDaemon(ctx context.Context, o options, registry prometheus.Registerer) (*daemon, error) {
	d := &daemon{options: o, log: zap.New(zap.UseFlagOptions(&o.logging))}
	ctrl.SetLogger(d.log)
	var err error
	if d.db, err = vsdb.Open(ctx, o.ovsSocket, engine.WithLogger(d.log.WithName("ovs")), engine.WithMetrics(registry)); err != nil {
		return nil, err
	}
	d.host = host.New(host.Config{
		NodeName: o.nodeName, Interface: o.iface, MTU: o.mtu, EncapChecksum: o.encapChecksum,
		Userspace: o.userspace, ServiceCIDRs: o.serviceCIDRs, ClosedPorts: o.closedPorts,
	}, d.db, d.log.WithName("host"))
	d.stale = make(chan struct{}, 1)
	d.db.OnChange(d.ovsChanged)
	d.pods = server.NewPods()
	d.server = server.New(d.db, d.pods, d.host, d.log.WithName("cni"))
	return d, nil
}

// run starts the parts and serves until the context ends. The parts outlive the context until the last CNI call has
// been answered or taken back.
func run(ctx context.Context, o options) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	parts, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	d, err := newDaemon(parts, o, metrics.Registry)
	if err != nil {
		return err
	}
	run := func(name string, part func(context.Context) error) {
		running.Go(func() {
			if err := part(parts); err != nil && parts.Err() == nil {
				fail(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	d.log.Info("starting", "node", d.nodeName, "datapath", d.datapathLabel())
	watch, err := d.newWatch(parts)
	if err != nil {
		return err
	}
	if err := d.installPlugins(); err != nil {
		return err
	}
	metrics.Registry.MustRegister(d.server.Metrics, d.host.Looks, datapathInfo(d.datapathLabel()))
	listener, err := server.Listen(d.bindSocket)
	if err != nil {
		return err
	}
	d.host.OnReadiness(d.announce)
	d.host.OnProblem(watch.showProblem)
	run("serving metrics", d.serveMetrics)
	run("watching the cluster", watch.run)
	run("configuring the host", d.host.Run)
	run("watching ports", d.portsChanged)
	run("sweeping", func(ctx context.Context) error { return d.sweep(ctx, watch) })
	if err := d.server.Serve(ctx, listener); err != nil {
		return err
	}
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	d.log.Info("stopping")
	return nil
}

// announce writes the CNI configuration as soon as the node can attach pods; that is what makes the Node Ready.
func (d *daemon) announce() {
	if d.host.Ready() != nil {
		return
	}
	if err := d.writeConflist(); err != nil {
		d.log.Error(err, "announcing the node's network")
	}
}

// sweepDebounce gathers ports that vanish together.
const sweepDebounce = 300 * time.Millisecond

// sweep cleans up at each new session with Open vSwitch, once all pods are known, and when a pod's port has vanished.
func (d *daemon) sweep(ctx context.Context, watch *watch) error {
	if err := watch.awaitPods(ctx); err != nil {
		return nil //nolint:nilerr // the daemon stops
	}
	for ctx.Err() == nil {
		if err := d.server.Sweep(ctx); err != nil && ctx.Err() == nil {
			d.log.Error(err, "cleaning up")
		}
		select {
		case <-d.stale:
		case <-ctx.Done():
			return nil
		}
		select {
		case <-time.After(sweepDebounce):
		case <-ctx.Done():
		}
	}
	return nil
}

// ovsChanged wakes the sweep at the beginning of a session.
func (d *daemon) ovsChanged(c vsdb.Change) {
	if c.Table == "" && d.db.Connected() {
		d.wakeSweep()
	}
}

// portsChanged wakes the sweep when somebody else has changed a pod's port; what CNI calls do is no such change.
func (d *daemon) portsChanged(ctx context.Context) error {
	d.db.Dirty(ctx, server.Feature, func(engine.Dirty) { d.wakeSweep() })
	return nil
}

func (d *daemon) wakeSweep() {
	select {
	case d.stale <- struct{}{}:
	default:
	}
}

// serveMetrics serves the metrics and, beside them, what the kubelet asks. "0" for an address is nowhere.
func (d *daemon) serveMetrics(ctx context.Context) error {
	web, err := metricsserver.NewServer(metricsserver.Options{
		BindAddress: d.metricsListen,
		ExtraHandlers: map[string]http.Handler{
			"/healthz": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }),
			"/readyz":  http.HandlerFunc(d.answerReadiness),
		},
	}, nil, nil)
	if err != nil || web == nil {
		return err //nolint:wrapcheck // run says what it was doing
	}
	return web.Start(ctx) //nolint:wrapcheck // as above
}

func (d *daemon) answerReadiness(w http.ResponseWriter, _ *http.Request) {
	if err := d.host.Ready(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}
