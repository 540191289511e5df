package policy_test

import (
	"context"
	"errors"
	"net/netip"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/group"
	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/node"
	"github.com/woven-cni/woven/pkg/pod"
	"github.com/woven-cni/woven/pkg/policy"
	"github.com/woven-cni/woven/pkg/policy/rules"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
)

// The option kind says which policies of a page are looked at. On a page all pods have their ports, and join the groups that they are asked to.
func TestPages(t *testing.T) {
	reconciletest.Golden(t, func(t *testing.T, c *reconciletest.Cluster, page reconciletest.Page) reconcile.Feature[policy.Input] {
		most, _ := strconv.Atoi(page.Option("namespace-max-groups", "0"))
		env := c.Env(t, page, limits(page), group.Bound(most))
		joined(t, page, pool.PoolsOf(env))
		constructor, there := features[page.Option("kind", policy.NetworkPolicyName)]
		if !there {
			t.Fatal("there is no such kind of policy")
		}
		f := constructor(env)
		f.Claim = settling(t, c, env, f.Claim)
		return f
	})
}

// features are the constructors, by the name of the feature.
var features = map[string]func(*reconcile.Env) reconcile.Feature[policy.Input]{
	policy.NetworkPolicyName:              policy.NewNetworkPolicies,
	policy.ClusterNetworkPolicyName:       policy.NewClusterNetworkPolicies,
	policy.AdminNetworkPolicyName:         policy.NewAdminNetworkPolicies,
	policy.BaselineAdminNetworkPolicyName: policy.NewBaselineAdminNetworkPolicies,
}

// limits are those of a page: the options max-rules, max-groups, max-networks, max-ports and max-log-rate.
func limits(page reconciletest.Page) rules.Limits {
	number := func(name string) int {
		n, _ := strconv.Atoi(page.Option(name, "0"))
		return n
	}
	return rules.Limits{
		Rules: number("max-rules"), Groups: number("max-groups"), Networks: number("max-networks"), Ports: number("max-ports"),
		LogRate: number("max-log-rate"),
	}
}

// joined has pools give each node of a page the address that its annotations say.
func joined(t *testing.T, page reconciletest.Page, pools *pool.Pools) {
	t.Helper()
	for i, obj := range page.Objects {
		n, ok := obj.(*corev1.Node)
		if !ok {
			continue
		}
		addrs, err := ipam.ParseAddrs(n.Annotations[v1.AnnotationIPAddress])
		if err != nil {
			t.Fatal(err)
		}
		join := pool.Spec{Subnet: "join", Config: ipam.Config{
			Prefixes: ipam.Prefixes{V4: netip.MustParsePrefix("100.64.0.0/16"), V6: netip.MustParsePrefix("fd00:100:64::/112")},
		}}
		if err := pools.Reserve(join, node.PortKey(n.Name), ipam.Lease{Addrs: addrs, MAC: ipam.MAC{0x0a, 0x58, 0, 0, 0, byte(i)}}); err != nil {
			t.Fatal(err)
		}
	}
}

type claim = func(context.Context, types.NamespacedName, *policy.Input) (func(reconcile.Outcome), error)

// settling plays the parts of the other controllers: it makes the groups that a policy waits for and has all pods join.
func settling(t *testing.T, c *reconciletest.Cluster, env *reconcile.Env, policies claim) claim {
	groups, rows := group.RegistryOf(env), group.New(env)
	return func(ctx context.Context, key types.NamespacedName, in *policy.Input) (func(reconcile.Outcome), error) {
		place(t, c, groups)
		gathered := *in
		for range 100 {
			*in = gathered
			done, err := policies(ctx, key, in)
			wait := (*reconcile.Wait)(nil)
			if !errors.As(err, &wait) {
				return done, err
			}
			done(reconcile.Outcome{Waiting: wait})
			for _, s := range in.Groups {
				if s.Port.Name != "" && s.Port.Number == 0 {
					continue
				}
				made, err := rows.Claim(ctx, types.NamespacedName{}, &group.Input{Name: s.Name()})
				if err != nil {
					t.Fatal(err)
				}
				made(reconcile.Outcome{})
			}
			place(t, c, groups)
		}
		t.Fatalf("%s waits for ever", key)
		return nil, nil
	}
}

// place tells the groups of all namespaces and pods, and has the pods join.
func place(t *testing.T, c *reconciletest.Cluster, groups *group.Registry) {
	t.Helper()
	var namespaces corev1.NamespaceList
	var pods corev1.PodList
	if err := errors.Join(c.List(t.Context(), &namespaces), c.List(t.Context(), &pods)); err != nil {
		t.Fatal(err)
	}
	for i := range namespaces.Items {
		groups.SetNamespace(namespaces.Items[i].Name, namespaces.Items[i].Labels)
	}
	for i := range pods.Items {
		p := pod.Selected(&pods.Items[i])
		names, placed := groups.Place(p)
		if !placed {
			t.Fatalf("the page has no namespace for pod %s", p.Key)
		}
		groups.Joined(p.Key, names)
	}
}
