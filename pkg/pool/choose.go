package pool

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/spec"
)

// namespaceIndex finds the Subnets and Vpcs that are bound to a namespace. Subnets that select namespaces by label are
// found under anyNamespace, which is no namespace's name.
const (
	namespaceIndex = "namespace"
	anyNamespace   = "*"
	// defaultIndex finds the Vpcs whose default Subnet has a name.
	defaultIndex = "default"
)

// Chooser tells which Subnets a pod may have its addresses from.
type Chooser struct {
	reader   client.Reader
	fallback string // the Subnet of pods that nothing binds to another
}

// ChooserOf is the Chooser that features share, with the indexes that keep its cost independent of the number of Subnets.
func ChooserOf(env *reconcile.Env) *Chooser {
	return reconcile.Shared(env, func(env *reconcile.Env) *Chooser {
		env.Index(&v1.Subnet{}, namespaceIndex, func(obj client.Object) []string {
			spec := &obj.(*v1.Subnet).Spec
			keys := slices.Clone(spec.Namespaces)
			if len(spec.NamespaceSelectors) > 0 {
				keys = append(keys, anyNamespace)
			}
			return keys
		})
		env.Index(&v1.Vpc{}, namespaceIndex, func(obj client.Object) []string { return obj.(*v1.Vpc).Spec.Namespaces })
		env.Index(&v1.Vpc{}, defaultIndex, func(obj client.Object) []string { return []string{obj.(*v1.Vpc).Spec.DefaultSubnet} })
		return &Chooser{reader: env.Client, fallback: reconcile.Setting[spec.Defaults](env).Subnet}
	})
}

// Named are the Subnets that a pod's annotation names.
func Named(pod *corev1.Pod) []string {
	return strings.FieldsFunc(pod.Annotations[v1.AnnotationLogicalSwitch], func(r rune) bool { return r == ',' || r == ' ' })
}

// Bound are the names of the Subnets for the pods of a namespace that name none themselves, the first choice first: those
// bound to the namespace, else its Vpc's default, else the cluster's.
func (c *Chooser) Bound(ctx context.Context, namespace string) ([]string, error) {
	subnets, err := c.subnets(ctx, namespace)
	if err != nil || len(subnets) > 0 {
		return subnets, err
	}
	var vpcs v1.VpcList
	if err := c.reader.List(ctx, &vpcs, client.MatchingFields{namespaceIndex: namespace}); err != nil {
		return nil, fmt.Errorf("listing the vpcs of namespace %s: %w", namespace, err)
	}
	for i := range vpcs.Items {
		if name := vpcs.Items[i].Spec.DefaultSubnet; name != "" {
			return []string{name}, nil
		}
	}
	return []string{c.fallback}, nil
}

// subnets are those bound to a namespace, the oldest first.
func (c *Chooser) subnets(ctx context.Context, namespace string) ([]string, error) {
	var byName, bySelector v1.SubnetList
	if err := c.reader.List(ctx, &byName, client.MatchingFields{namespaceIndex: namespace}); err != nil {
		return nil, fmt.Errorf("listing the subnets of namespace %s: %w", namespace, err)
	}
	if err := c.reader.List(ctx, &bySelector, client.MatchingFields{namespaceIndex: anyNamespace}); err != nil {
		return nil, fmt.Errorf("listing the subnets with selectors: %w", err)
	}
	found := byName.Items
	if len(bySelector.Items) > 0 {
		var ns corev1.Namespace
		if err := c.reader.Get(ctx, types.NamespacedName{Name: namespace}, &ns); err != nil {
			return nil, fmt.Errorf("reading namespace %s: %w", namespace, err)
		}
		for _, s := range bySelector.Items {
			if selects(s.Spec.NamespaceSelectors, ns.Labels) {
				found = append(found, s)
			}
		}
	}
	slices.SortFunc(found, func(a, b v1.Subnet) int {
		if n := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); n != 0 {
			return n
		}
		return strings.Compare(a.Name, b.Name)
	})
	names := make([]string, len(found))
	for i := range found {
		names[i] = found[i].Name
	}
	return slices.Compact(names), nil
}

// Binds says whether a Subnet is bound to a namespace, by its name or by its labels.
func (c *Chooser) Binds(ctx context.Context, s *v1.Subnet, namespace string) bool {
	if slices.Contains(s.Spec.Namespaces, namespace) {
		return true
	}
	if len(s.Spec.NamespaceSelectors) == 0 {
		return false
	}
	var ns corev1.Namespace
	err := c.reader.Get(ctx, types.NamespacedName{Name: namespace}, &ns)
	return err == nil && selects(s.Spec.NamespaceSelectors, ns.Labels)
}

// selects says whether any of the selectors takes the labels. One that cannot be read takes nothing.
func selects(selectors []metav1.LabelSelector, of map[string]string) bool {
	return slices.ContainsFunc(selectors, func(s metav1.LabelSelector) bool {
		selector, err := metav1.LabelSelectorAsSelector(&s)
		return err == nil && selector.Matches(labels.Set(of))
	})
}
