package main

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/woven-cni/woven/pkg/group"
	"github.com/woven-cni/woven/pkg/ip"
	"github.com/woven-cni/woven/pkg/ippool"
	"github.com/woven-cni/woven/pkg/meter"
	"github.com/woven-cni/woven/pkg/namespace"
	"github.com/woven-cni/woven/pkg/node"
	"github.com/woven-cni/woven/pkg/nodeaddr"
	"github.com/woven-cni/woven/pkg/ovs/engine"
	"github.com/woven-cni/woven/pkg/pod"
	"github.com/woven-cni/woven/pkg/policy"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/service"
	"github.com/woven-cni/woven/pkg/spec"
	"github.com/woven-cni/woven/pkg/subnet"
	"github.com/woven-cni/woven/pkg/vpc"
)

// features are all that the controller does. What they take into memory at the start they take in this order: addresses,
// then the groups that policies use, then the pods in them.
var features = []reconcile.Adder{
	reconcile.Func(addBootstrap),
	reconcile.Add(meter.New),
	reconcile.Add(vpc.New),
	reconcile.Add(subnet.New),
	reconcile.Add(ippool.New),
	reconcile.Add(ip.New),
	reconcile.Add(ip.NewReservations),
	reconcile.Add(node.New),
	reconcile.Add(namespace.New),
	reconcile.Add(service.New),
	reconcile.Add(service.NewVariables),
	reconcile.Add(policy.NewNetworkPolicies),
	reconcile.Add(policy.NewClusterNetworkPolicies),
	reconcile.Add(policy.NewAdminNetworkPolicies),
	reconcile.Add(policy.NewBaselineAdminNetworkPolicies),
	reconcile.Func(policy.AwaitKinds),
	reconcile.Add(pod.New),
	reconcile.Add(group.New),
}

// settings are what the operator has decided, each as the package has it that goes by it.
func (o *Options) settings(db *engine.DB) []any {
	return []any{
		o,
		spec.Defaults{Vpc: o.DefaultVpc, Subnet: o.DefaultSubnet, Join: o.JoinSubnet},
		subnet.Settings{EnableLB: o.EnableLB, ServicePrefixes: o.ServicePrefixes()},
		nodeaddr.Config{
			Networks: parsePrefixes(o.NodeNetworks), Services: o.ServicePrefixes(), ControlPlane: splitList(o.ControlPlaneNodes), Holds: node.Holds(db),
		},
		o.PolicyLimits, group.Bound(o.NamespaceGroups), o.Rates,
	}
}

// addFeatures adds all features to a manager.
func addFeatures(mgr manager.Manager, db *engine.DB, registry prometheus.Registerer, o *Options) (*reconcile.Env, error) {
	env, err := reconcile.NewEnv(mgr, db, registry, o.settings(db)...)
	if err != nil {
		return nil, fmt.Errorf("preparing for features: %w", err)
	}
	for _, f := range features {
		if err := f.Add(env); err != nil {
			return nil, fmt.Errorf("adding features: %w", err)
		}
	}
	return env, nil
}
