package subnet

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
)

// namespaceIndex finds the Subnets and Vpcs that are bound to a namespace. Subnets that select namespaces by label are
// found under anyNamespace, which is no namespace's name.
const (
	namespaceIndex = "namespace"
	anyNamespace   = "*"
)

// Names are those of the objects that every cluster has.
type Names struct {
	// DefaultVpc is the Vpc of subnets that name none, and DefaultSubnet the subnet of pods that nothing binds to another.
	DefaultVpc, DefaultSubnet string
	// Join is the subnet of the nodes.
	Join string
}

// Chooser tells which subnets a pod may have its addresses from.
type Chooser struct {
	reader client.Reader
	names  Names
}

// Unfit is a subnet that a pod cannot have its addresses from.
type Unfit struct {
	// Name is the subnet's.
	Name string
	// Why completes "subnet <name> …".
	Why string
}

// NewChooser makes a Chooser and the indexes that keep its cost independent of the number of subnets.
func NewChooser(ctx context.Context, r client.Reader, indexer client.FieldIndexer, names Names) (*Chooser, error) {
	err := indexer.IndexField(ctx, &v1.Subnet{}, namespaceIndex, func(obj client.Object) []string {
		spec := &obj.(*v1.Subnet).Spec
		keys := slices.Clone(spec.Namespaces)
		if len(spec.NamespaceSelectors) > 0 {
			keys = append(keys, anyNamespace)
		}
		return keys
	})
	if err != nil {
		return nil, fmt.Errorf("indexing subnets by namespace: %w", err)
	}
	err = indexer.IndexField(ctx, &v1.Vpc{}, namespaceIndex, func(obj client.Object) []string { return obj.(*v1.Vpc).Spec.Namespaces })
	if err != nil {
		return nil, fmt.Errorf("indexing vpcs by namespace: %w", err)
	}
	return &Chooser{reader: r, names: names}, nil
}

// Choose returns the candidates for a pod, the first choice first: the subnet it names, else those bound to its
// namespace, else its Vpc's default, else the cluster's. A subnet that is missing, refused, going or the nodes' own is
// none: it is among the unfit, with the reason for a person to read.
func (c *Chooser) Choose(ctx context.Context, pod *corev1.Pod) (candidates []Subnet, unfit []Unfit, err error) {
	names, err := c.named(ctx, pod)
	if err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		s, obj, why, err := c.read(ctx, name)
		if err != nil {
			return nil, nil, err
		}
		switch {
		case name == c.names.Join:
			why = "is the nodes' own"
		case why == "" && obj.DeletionTimestamp != nil:
			why = "is being deleted"
		}
		if why != "" {
			unfit = append(unfit, Unfit{name, why})
			continue
		}
		candidates = append(candidates, s)
	}
	return candidates, unfit, nil
}

// Home reads the subnet that a pod has its addresses of. It is in force also while it is being deleted; when it is not, its
// spec says nothing that the pod could be told.
func (c *Chooser) Home(ctx context.Context, name string) (s Subnet, inForce bool, err error) {
	s, _, why, err := c.read(ctx, name)
	return s, why == "", err
}

// read gets a subnet, and says why its spec is not in force, if it is not.
func (c *Chooser) read(ctx context.Context, name string) (s Subnet, obj *v1.Subnet, why string, err error) {
	obj = &v1.Subnet{}
	err = c.reader.Get(ctx, types.NamespacedName{Name: name}, obj)
	if errors.IsNotFound(err) {
		return s, obj, "does not exist", nil
	}
	if err != nil {
		return s, obj, "", fmt.Errorf("reading subnet %s: %w", name, err)
	}
	s, problems := Parse(obj, c.names.DefaultVpc)
	refused := v1.FindCondition(obj.Status.Conditions, v1.ConditionValidated)
	switch wrong := problems.Blocking(); {
	case len(wrong) > 0:
		why = "is not valid: " + wrong.String()
	case refused != nil && refused.Status == metav1.ConditionFalse && refused.ObservedGeneration == obj.Generation:
		why = "is not valid: " + refused.Message
	}
	return s, obj, why, nil
}

// Named are the subnets that a pod's annotation names.
func Named(pod *corev1.Pod) []string {
	return strings.FieldsFunc(pod.Annotations[v1.AnnotationLogicalSwitch], func(r rune) bool { return r == ',' || r == ' ' })
}

// named are the names of the subnets for a pod, the first choice first.
func (c *Chooser) named(ctx context.Context, pod *corev1.Pod) ([]string, error) {
	if names := Named(pod); len(names) > 0 {
		return names, nil
	}
	bound, err := c.bound(ctx, pod.Namespace)
	if err != nil || len(bound) > 0 {
		return bound, err
	}
	var vpcs v1.VpcList
	if err := c.reader.List(ctx, &vpcs, client.MatchingFields{namespaceIndex: pod.Namespace}); err != nil {
		return nil, fmt.Errorf("listing the vpcs of namespace %s: %w", pod.Namespace, err)
	}
	for i := range vpcs.Items {
		if name := vpcs.Items[i].Spec.DefaultSubnet; name != "" {
			return []string{name}, nil
		}
	}
	return []string{c.names.DefaultSubnet}, nil
}

// bound are the subnets bound to a namespace, the oldest first.
func (c *Chooser) bound(ctx context.Context, namespace string) ([]string, error) {
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

// selects says whether any of the selectors takes the labels. One that cannot be read takes nothing.
func selects(selectors []metav1.LabelSelector, of map[string]string) bool {
	return slices.ContainsFunc(selectors, func(s metav1.LabelSelector) bool {
		selector, err := metav1.LabelSelectorAsSelector(&s)
		return err == nil && selector.Matches(labels.Set(of))
	})
}
