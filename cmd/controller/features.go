package main

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/woven-cni/woven/pkg/cidr"
	"github.com/woven-cni/woven/pkg/group"
	"github.com/woven-cni/woven/pkg/ip"
	"github.com/woven-cni/woven/pkg/meter"
	"github.com/woven-cni/woven/pkg/namespace"
	"github.com/woven-cni/woven/pkg/node"
	"github.com/woven-cni/woven/pkg/nodeaddr"
	"github.com/woven-cni/woven/pkg/ovs/engine"
	"github.com/woven-cni/woven/pkg/pod"
	"github.com/woven-cni/woven/pkg/policy"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/service"
	"github.com/woven-cni/woven/pkg/subnet"
	"github.com/woven-cni/woven/pkg/vpc"
)

// lookups are what several features ask, each with its index of the cache.
type lookups struct {
	subnets   subnet.Finder
	chooser   *pool.Chooser
	ranges    *cidr.Map
	addresses *nodeaddr.Judge
}

func newLookups(ctx context.Context, mgr manager.Manager, db *engine.DB, o *Options) (l lookups, err error) {
	c, indexer := mgr.GetClient(), mgr.GetFieldIndexer()
	l.subnets = subnet.Finder{Reader: c, Names: subnet.Names{DefaultVpc: o.DefaultVpc, Join: o.JoinSubnet}}
	if l.chooser, err = pool.NewChooser(ctx, c, indexer, o.DefaultSubnet); err != nil {
		return l, err
	}
	if l.ranges, err = cidr.NewMap(ctx, c, indexer, o.DefaultVpc); err != nil {
		return l, err
	}
	l.addresses, err = nodeaddr.New(ctx, c, indexer, l.ranges, nodeaddr.Config{
		Networks: parsePrefixes(o.NodeNetworks), Services: o.ServicePrefixes(), ControlPlane: splitList(o.ControlPlaneNodes), Holds: node.Holds(db),
	})
	if err != nil {
		return l, err
	}
	return l, service.Index(ctx, indexer)
}

// addFeatures is the list of all that the controller does.
func addFeatures(ctx context.Context, mgr manager.Manager, db *engine.DB, o *Options) error {
	c, pools, groups, events := mgr.GetClient(), pool.New(), group.NewRegistry(), mgr.GetEventRecorder("woven-controller")
	l, err := newLookups(ctx, mgr, db, o)
	if err != nil {
		return err
	}
	policies, err := policy.Served(mgr.GetScheme(), mgr.GetRESTMapper(), o.PolicyLimits)
	if err != nil {
		return err
	}
	groups.Bound(o.NamespaceGroups)
	for _, add := range []func() error{
		func() error { return metrics.Registry.Register(pools) },
		func() error { return mgr.Add(&bootstrap{client: c, options: o}) },
		func() error {
			return mgr.Add(&ip.Seed{Reader: c, DB: db, Pools: pools, Names: l.subnets.Names, Events: events, Log: mgr.GetLogger().WithName("seed")})
		},
		func() error { return reconcile.Register(mgr, db, meter.Feature(o.Rates)) },
		func() error {
			return reconcile.Register(mgr, db, vpc.Feature(vpc.Defaults{Vpc: o.DefaultVpc, Subnet: o.DefaultSubnet, Join: o.JoinSubnet}))
		},
		func() error {
			return reconcile.Register(mgr, db, subnet.Feature(c, pools, subnet.Config{
				DefaultVpc: o.DefaultVpc, JoinSubnet: o.JoinSubnet, DefaultSubnet: o.DefaultSubnet, EnableLB: o.EnableLB, ServicePrefixes: o.ServicePrefixes(),
				Ranges: l.ranges, Addresses: l.addresses,
			}))
		},
		func() error {
			return reconcile.Register(mgr, db, node.Feature(c, pools, node.Config{
				DefaultVpc: o.DefaultVpc, JoinSubnet: o.JoinSubnet, Addresses: l.addresses, Events: events,
			}))
		},
		func() error {
			return reconcile.Register(mgr, db, pod.Feature(pod.Parts{
				Client: c, Chooser: l.chooser, Subnets: l.subnets, Pools: pools, Groups: groups, Events: events,
			}))
		},
		func() error { return reconcile.Register(mgr, db, namespace.Feature(c, l.chooser, l.subnets)) },
		func() error {
			return reconcile.Register(mgr, db, service.Feature(c, service.Config{Addresses: l.addresses, DefaultVpc: o.DefaultVpc, Events: events}))
		},
		func() error { return reconcile.Register(mgr, db, service.Variables(c)) },
		func() error {
			return mgr.Add(&policy.Seed{Reader: c, DB: db, Groups: groups, Kinds: policies, Log: mgr.GetLogger().WithName("seed")})
		},
		func() error { return reconcile.Register(mgr, db, group.Feature(groups)) },
		func() error {
			for _, f := range policy.Features(policy.Parts{
				Client: c, Groups: groups, Addresses: l.addresses, Pools: pools, Events: events, Kinds: policies, Cache: mgr.GetCache(),
			}) {
				if err := reconcile.Register(mgr, db, f); err != nil {
					return err
				}
			}
			return nil
		},
		func() error { return policies.Await(mgr) },
		func() error { return ip.Register(mgr, pools) },
		func() error {
			return reconcile.Register(mgr, db, ip.Reservations(ip.Parts{Client: c, Subnets: l.subnets, Pools: pools, Events: events}))
		},
	} {
		if err := add(); err != nil {
			return fmt.Errorf("adding features: %w", err)
		}
	}
	return nil
}
