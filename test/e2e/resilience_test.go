//go:build e2e

package e2e

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/woven-cni/woven/test/e2e/framework"
)

// pace is how often streams send while something is struck: a gap of one packet is a gap of 10 ms.
const pace = 10 * time.Millisecond

// blow is something that happens to a component.
type blow struct {
	name   string
	strike func(context.Context) (framework.Recovered, error)
	// outage bounds how long existing traffic may go without answers: 0 is not one packet lost.
	outage time.Duration
}

// restarting is what the userspace datapath may be away for: it begins with empty tables, and ovn-controller comes back to it in 1 to 8 s.
// Measured were 2 to 3 s.
const restarting = 20 * time.Second

func killed(comp framework.Component, node, container string, outage time.Duration) blow {
	return blow{container + " killed", func(ctx context.Context) (framework.Recovered, error) {
		return cluster.KillProcess(ctx, comp, node, container)
	}, outage}
}

func deleted(comp framework.Component, node string, outage time.Duration) blow {
	return blow{"pod of " + string(comp) + " deleted", func(ctx context.Context) (framework.Recovered, error) {
		return cluster.DeletePod(ctx, comp, node)
	}, outage}
}

func onLeader(name string, strike func(context.Context, *corev1.Pod) (framework.Recovered, error)) blow {
	return blow{name, func(ctx context.Context) (framework.Recovered, error) {
		leader, err := cluster.Leader(ctx)
		if err != nil {
			return nil, err
		}
		return strike(ctx, leader)
	}, 0}
}

func blows() []blow {
	return []blow{
		killed(framework.Daemon, here, "woven-daemon", 0),
		deleted(framework.Daemon, here, 0),
		onLeader("leading controller killed", func(ctx context.Context, p *corev1.Pod) (framework.Recovered, error) {
			return cluster.KillContainer(ctx, p, string(framework.Controller))
		}),
		onLeader("pod of the leading controller deleted", func(ctx context.Context, p *corev1.Pod) (framework.Recovered, error) {
			return cluster.Replace(ctx, framework.Controller, p)
		}),
		killed(framework.Central, "", "northd", 0),
		killed(framework.Central, "", "nb-ovsdb", 0),
		killed(framework.Central, "", "sb-ovsdb", 0),
		deleted(framework.Central, "", 0),
		killed(framework.Switch, here, "ovn-controller", 0),
		killed(framework.Switch, here, "ovsdb-server", 0),
		killed(framework.Switch, here, "ovs-vswitchd", restarting),
		deleted(framework.Switch, here, restarting),
	}
}

// Whatever dies, the network comes back by itself: traffic that was there goes on, and new pods start.
func TestHeals(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	caller, near, far := echoes(ns)
	for _, b := range blows() {
		t.Run(b.name, func(t *testing.T) {
			ns := ns.For(t)
			streams := []*framework.Stream{
				ns.Stream("udp", caller, near, pace), ns.Stream("udp", caller, far, pace), ns.Stream("tcp", caller, far, pace),
			}
			recovered := do[framework.Recovered](t)(b.strike(within(t, time.Minute, "the blow")))
			must(t, recovered(within(t, 2*time.Minute, "the recovery")))
			// To have restarted is not to have all flows again: the streams go on until the ways they take are open.
			ns.FetchUntil(caller, served(near, "/hostname"), "near")
			ns.FetchUntil(caller, served(far, "/hostname"), "far")
			for _, s := range streams {
				r := s.Stop()
				if r.Broken != "" {
					t.Errorf("the connection broke: %s", r.Broken)
				}
				if outage := time.Duration(r.Lost()) * pace; outage > b.outage {
					t.Errorf("lost %d of %d packets, for about %s, and %s is the most", r.Lost(), r.Sent, outage, b.outage)
				}
			}
			fresh := framework.Server("fresh", framework.On(here))
			ns.Start(fresh)
			ns.FetchUntil(caller, served(fresh, "/hostname"), "fresh")
			ns.FetchUntil(fresh, served(far, "/hostname"), "far")
			ns.Stop(fresh)
		})
	}
}
