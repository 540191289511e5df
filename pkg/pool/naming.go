package pool

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// SubnetsNaming watches Namespaces for the Subnets that name them in their spec: for these it is news whether one exists.
func (c *Chooser) SubnetsNaming() reconcile.Watch {
	return naming(func(ctx context.Context, of client.MatchingFields) (names []string) {
		var list v1.SubnetList
		_ = c.reader.List(ctx, &list, of) // the cache only fails to list while the manager stops
		for i := range list.Items {
			names = append(names, list.Items[i].Name)
		}
		return names
	})
}

// VpcsNaming is SubnetsNaming for Vpcs.
func (c *Chooser) VpcsNaming() reconcile.Watch { return naming(c.vpcs) }

// VpcsOf are the Vpcs that name one of the Namespaces in their spec.
func (c *Chooser) VpcsOf(ctx context.Context, namespaces []string) (names []string) {
	for _, namespace := range namespaces {
		names = append(names, c.vpcs(ctx, client.MatchingFields{namespaceIndex: namespace})...)
	}
	return names
}

func (c *Chooser) vpcs(ctx context.Context, of client.MatchingFields) (names []string) {
	var list v1.VpcList
	_ = c.reader.List(ctx, &list, of) // the cache only fails to list while the manager stops
	for i := range list.Items {
		names = append(names, list.Items[i].Name)
	}
	return names
}

func naming(list func(context.Context, client.MatchingFields) []string) reconcile.Watch {
	return reconcile.Watch{
		Kind: &corev1.Namespace{},
		Map: func(ctx context.Context, namespace client.Object) (out []ctrl.Request) {
			for _, name := range list(ctx, client.MatchingFields{namespaceIndex: namespace.GetName()}) {
				out = append(out, reconcile.Request(name))
			}
			return out
		},
		When: []predicate.Predicate{reconcile.CameOrWent},
	}
}

// NamespacesOf are the Namespaces whose pods may have their addresses from a Subnet without naming it: the inverse of Bound. Of the
// cluster's default Subnet they are all.
func (c *Chooser) NamespacesOf(ctx context.Context, s *v1.Subnet) []string {
	var bySelector corev1.NamespaceList
	var byDefault v1.VpcList
	if len(s.Spec.NamespaceSelectors) > 0 || s.Name == c.fallback {
		_ = c.reader.List(ctx, &bySelector, client.UnsafeDisableDeepCopy) // the cache only fails to list while the manager stops
	}
	_ = c.reader.List(ctx, &byDefault, client.MatchingFields{defaultIndex: s.Name}, client.UnsafeDisableDeepCopy)
	out := slices.Clone(s.Spec.Namespaces)
	for i := range bySelector.Items {
		if ns := &bySelector.Items[i]; s.Name == c.fallback || selects(s.Spec.NamespaceSelectors, ns.Labels) {
			out = append(out, ns.Name)
		}
	}
	for i := range byDefault.Items {
		out = append(out, byDefault.Items[i].Spec.Namespaces...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Missing are those of the Namespaces that do not exist, in their order.
func (c *Chooser) Missing(ctx context.Context, namespaces []string) ([]string, error) {
	var out []string
	for _, name := range namespaces {
		switch err := c.reader.Get(ctx, types.NamespacedName{Name: name}, &corev1.Namespace{}); {
		case errors.IsNotFound(err):
			out = append(out, name)
		case err != nil:
			return nil, fmt.Errorf("reading namespace %s: %w", name, err)
		}
	}
	return out, nil
}
