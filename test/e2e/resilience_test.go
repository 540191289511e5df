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
	// harmless blows cost existing traffic not one packet.
	harmless bool
}

func killed(comp framework.Component, node, container string, harmless bool) blow {
	return blow{container + " killed", func(ctx context.Context) (framework.Recovered, error) {
		return cluster.KillProcess(ctx, comp, node, container)
	}, harmless}
}

func deleted(comp framework.Component, node string, harmless bool) blow {
	return blow{"pod of " + string(comp) + " deleted", func(ctx context.Context) (framework.Recovered, error) {
		return cluster.DeletePod(ctx, comp, node)
	}, harmless}
}

func onLeader(name string, strike func(context.Context, *corev1.Pod) (framework.Recovered, error)) blow {
	return blow{name, func(ctx context.Context) (framework.Recovered, error) {
		leader, err := cluster.Leader(ctx)
		if err != nil {
			return nil, err
		}
		return strike(ctx, leader)
	}, true}
}

func blows() []blow {
	return []blow{
		killed(framework.Daemon, here, "woven-daemon", true),
		deleted(framework.Daemon, here, true),
		onLeader("leading controller killed", func(ctx context.Context, p *corev1.Pod) (framework.Recovered, error) {
			return cluster.KillContainer(ctx, p, string(framework.Controller))
		}),
		onLeader("pod of the leading controller deleted", func(ctx context.Context, p *corev1.Pod) (framework.Recovered, error) {
			return cluster.Replace(ctx, framework.Controller, p)
		}),
		killed(framework.Central, "", "northd", true),
		killed(framework.Central, "", "nb-ovsdb", true),
		killed(framework.Central, "", "sb-ovsdb", true),
		deleted(framework.Central, "", true),
		killed(framework.Switch, here, "ovn-controller", false),
		killed(framework.Switch, here, "ovsdb-server", false),
		killed(framework.Switch, here, "ovs-vswitchd", false),
		deleted(framework.Switch, here, false),
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
			for _, s := range streams {
				r := s.Stop()
				if r.Broken != "" {
					t.Errorf("the connection broke: %s", r.Broken)
				}
				if b.harmless && r.Lost() > 0 {
					t.Errorf("lost %d of %d packets", r.Lost(), r.Sent)
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
