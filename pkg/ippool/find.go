package ippool

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/subnet"
)

// Found is an IPPool that a pod names, or that its namespace is bound to.
type Found struct {
	Name string
	// Subnet is whose the addresses are; empty when there is no such pool.
	Subnet string
	// Unfit says why the pod cannot have its addresses from there, if it cannot; it completes "IPPool <name> …".
	Unfit string
	// Unjudged says that the reason is over in a moment: it is that the controller has not looked at the spec yet.
	Unjudged bool
}

// Find looks up IPPools for a pod of a namespace.
func (f Finder) Find(ctx context.Context, namespace string, names ...string) ([]Found, error) {
	out := make([]Found, len(names))
	for i, name := range names {
		p, err := f.get(ctx, name)
		if err != nil {
			return nil, err
		}
		if p == nil {
			out[i] = Found{Name: name, Unfit: subnet.NotFound}
			continue
		}
		one := Found{Name: name, Subnet: p.Spec.Subnet}
		switch {
		case p.DeletionTimestamp != nil:
			one.Unfit = "is being deleted"
		case !open(p, namespace):
			one.Unfit = "is that of " + namespaces(p)
		case len(f.pools.IPPool(name)) > 0:
		case refused(p):
			one.Unfit = "is not valid: " + v1.FindCondition(p.Status.Conditions, v1.ConditionValidated).Message
		default:
			one.Unfit, one.Unjudged = "has not been looked at yet", true
		}
		out[i] = one
	}
	return out, nil
}

// Bound are the names of the IPPools for the pods of a namespace that name none themselves, the oldest first.
func (f Finder) Bound(ctx context.Context, namespace string) ([]string, error) {
	all, err := f.list(ctx, client.MatchingFields{namespaceIndex: namespace})
	var names []string
	for _, p := range all {
		if p.DeletionTimestamp == nil {
			names = append(names, p.Name)
		}
	}
	return names, err
}

// Barred says why a pod of a namespace may not ask for an address that is of an IPPool, if it may not: it completes "it is …".
func (f Finder) Barred(ctx context.Context, namespace, ipPool string) (why string, err error) {
	p, err := f.get(ctx, ipPool)
	if err != nil || p == nil || open(p, namespace) {
		return "", err
	}
	return "of IPPool " + ipPool + ", which is that of " + namespaces(p), nil
}

// get reads an IPPool; nil is none.
func (f Finder) get(ctx context.Context, name string) (*v1.IPPool, error) {
	var p v1.IPPool
	err := f.reader.Get(ctx, types.NamespacedName{Name: name}, &p)
	if errors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading IPPool %s: %w", name, err)
	}
	return &p, nil
}

// open says whether pods of a namespace may have addresses of a pool.
func open(p *v1.IPPool, namespace string) bool {
	return len(p.Spec.Namespaces) == 0 || slices.Contains(p.Spec.Namespaces, namespace)
}

func namespaces(p *v1.IPPool) string {
	if len(p.Spec.Namespaces) == 1 {
		return "namespace " + p.Spec.Namespaces[0]
	}
	return "namespaces " + reconcile.Few(p.Spec.Namespaces)
}
