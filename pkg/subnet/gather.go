package subnet

import (
	"context"
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ipam"
)

func (f *feature) gather(ctx context.Context, r client.Reader, key types.NamespacedName) (In, error) {
	in := In{DefaultVpc: f.config.DefaultVpc, JoinSubnet: f.config.JoinSubnet, Balanced: f.config.EnableLB}
	var subnet v1.Subnet
	if err := r.Get(ctx, key, &subnet); err != nil {
		return in, client.IgnoreNotFound(err)
	}
	in.Subnet = &subnet
	if subnet.DeletionTimestamp != nil {
		if err := f.pools.AwaitSeed(ctx); err != nil {
			return in, err
		}
		in.InUse = f.pools.InUse(subnet.Name)
	}
	var err error
	if in.Taken, err = f.neighbours(ctx, r, &subnet); err != nil {
		return in, err
	}
	if f.vpcOf(&subnet) != f.config.DefaultVpc {
		return in, nil // nothing of the cluster's own is routed there
	}
	for _, p := range f.config.ServicePrefixes {
		in.Taken = append(in.Taken, Taken{Prefix: p, Reason: v1.ReasonOverlap, Who: "the cluster's Service addresses"})
	}
	cluster, err := clusterAddrs(ctx, r)
	in.Taken = append(in.Taken, cluster...)
	return in, err
}

// neighbours are the ranges of the other subnets of the same Vpc that come before this one.
func (f *feature) neighbours(ctx context.Context, r client.Reader, subnet *v1.Subnet) ([]Taken, error) {
	var list v1.SubnetList
	if err := r.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("listing subnets: %w", err)
	}
	var taken []Taken
	for i := range list.Items {
		other := &list.Items[i]
		if other.Name == subnet.Name || f.vpcOf(other) != f.vpcOf(subnet) || !precedes(other, subnet) {
			continue
		}
		cidrs, err := ipam.ParsePrefixes(other.Spec.CIDRBlock)
		if err != nil {
			continue // its own condition says so, and it holds no range
		}
		for _, p := range []netip.Prefix{cidrs.V4, cidrs.V6} {
			if p.IsValid() {
				taken = append(taken, Taken{Prefix: p, Reason: v1.ReasonOverlap, Who: fmt.Sprintf("%s of subnet %s", p, other.Name)})
			}
		}
	}
	return taken, nil
}

// precedes says whether a has the better claim to a range that both want: the one in force as it reads now, and between
// equals the older one. Thus an edit never takes a range from a subnet that works.
func precedes(a, b *v1.Subnet) bool {
	if inForce(a) != inForce(b) {
		return inForce(a)
	}
	if !a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.CreationTimestamp.Before(&b.CreationTimestamp)
	}
	return a.Name < b.Name
}

func inForce(s *v1.Subnet) bool {
	c := v1.FindCondition(s.Status.Conditions, v1.ConditionProgrammed)
	return c != nil && c.Status == "True" && c.ObservedGeneration == s.Generation
}

// clusterAddrs are the API server's and the nodes' own addresses: a subnet that holds one would cut the cluster off.
func clusterAddrs(ctx context.Context, r client.Reader) ([]Taken, error) {
	var taken []Taken
	add := func(text, reason, who string) {
		if a, err := netip.ParseAddr(text); err == nil {
			taken = append(taken, Taken{Prefix: netip.PrefixFrom(a, a.BitLen()), Reason: reason, Who: who + " " + text})
		}
	}
	var slices discoveryv1.EndpointSliceList
	err := r.List(ctx, &slices, client.InNamespace(corev1.NamespaceDefault), client.MatchingLabels{discoveryv1.LabelServiceName: "kubernetes"})
	if err != nil {
		return nil, fmt.Errorf("listing the API server's addresses: %w", err)
	}
	for _, slice := range slices.Items {
		for _, e := range slice.Endpoints {
			for _, a := range e.Addresses {
				add(a, v1.ReasonContainsAPIServer, "the API server's address")
			}
		}
	}
	var nodes corev1.NodeList
	if err := r.List(ctx, &nodes); err != nil {
		return nil, fmt.Errorf("listing nodes: %w", err)
	}
	for _, n := range nodes.Items {
		for _, a := range n.Status.Addresses {
			if a.Type == corev1.NodeInternalIP {
				add(a.Address, v1.ReasonOverlap, "node "+n.Name+" at")
			}
		}
	}
	return taken, nil
}
