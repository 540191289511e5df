package subnet

import (
	"context"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/source"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// Config is what the cluster's operator decides about all subnets.
type Config struct {
	// DefaultVpc is the Vpc of subnets that name none; JoinSubnet is the subnet of the nodes.
	DefaultVpc, JoinSubnet string
	// EnableLB gives subnets that do not say otherwise the Vpc's Services.
	EnableLB bool
	// ServicePrefixes are the cluster's Service addresses.
	ServicePrefixes []netip.Prefix
}

// statusDelay gathers the changes of a subnet's usage: a burst of a thousand pods costs a write a second, not a thousand.
const statusDelay = time.Second

// Feature is the Subnet feature. It keeps pools in step with the specs.
func Feature(c client.Client, pools *Pools, config Config) reconcile.Feature[In] {
	f := &feature{client: c, pools: pools, config: config}
	return reconcile.Feature[In]{
		Name: FeatureName,
		For:  &v1.Subnet{},
		When: predicate.GenerationChangedPredicate{}, // deletion that waits for a finalizer counts as a generation
		Watches: []reconcile.Watch{
			{Kind: &v1.Subnet{}, Map: f.rivals, When: []predicate.Predicate{predicate.GenerationChangedPredicate{}}},
			{Kind: &corev1.Node{}, Map: f.refused, When: []predicate.Predicate{nodeAddressesChanged}},
		},
		Sources:   []source.Source{&reconcile.FeedSource{Feed: &pools.changed, Enqueue: reconcile.QueueAfter(statusDelay)}},
		Gather:    f.gather,
		Translate: Translate,
		Report:    f.report,
	}
}

type feature struct {
	client client.Client
	pools  *Pools
	config Config
}

func (f *feature) vpcOf(s *v1.Subnet) string {
	if s.Spec.Vpc == "" {
		return f.config.DefaultVpc
	}
	return s.Spec.Vpc
}

// rivals are the subnets that want a range of the one that changed: its going or shrinking may be what they wait for.
func (f *feature) rivals(ctx context.Context, obj client.Object) []ctrl.Request {
	subnet := obj.(*v1.Subnet)
	cidrs, err := ipam.ParsePrefixes(subnet.Spec.CIDRBlock)
	var list v1.SubnetList
	if err != nil || f.client.List(ctx, &list) != nil {
		return nil // the cache only fails to list while the manager stops
	}
	var out []ctrl.Request
	for i := range list.Items {
		other := &list.Items[i]
		theirs, err := ipam.ParsePrefixes(other.Spec.CIDRBlock)
		refused := !v1.IsConditionTrue(other.Status.Conditions, v1.ConditionValidated)
		if other.Name != subnet.Name && err == nil && (refused || theirs.Overlaps(cidrs)) {
			out = append(out, reconcile.Request(other.Name))
		}
	}
	return out
}

// nodeAddressesChanged lets a node's coming and going through, and a change of its addresses.
var nodeAddressesChanged = predicate.Funcs{
	UpdateFunc: func(e event.UpdateEvent) bool {
		before, after := e.ObjectOld.(*corev1.Node).Status.Addresses, e.ObjectNew.(*corev1.Node).Status.Addresses
		if len(before) != len(after) {
			return true
		}
		for i := range before {
			if before[i] != after[i] {
				return true
			}
		}
		return false
	},
}

// refused are the subnets that are not in force: a node that goes may have been the reason. Those in force keep their
// range when a node comes that lies within it; it is the node that is at fault then.
func (f *feature) refused(ctx context.Context, _ client.Object) []ctrl.Request {
	var list v1.SubnetList
	if f.client.List(ctx, &list) != nil {
		return nil // the cache only fails to list while the manager stops
	}
	var out []ctrl.Request
	for i := range list.Items {
		if !v1.IsConditionTrue(list.Items[i].Status.Conditions, v1.ConditionValidated) {
			out = append(out, ctrl.Request{NamespacedName: types.NamespacedName{Name: list.Items[i].Name}})
		}
	}
	return out
}
