package ippool

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// Finder reads IPPools for those who want addresses of them.
type Finder struct {
	reader client.Reader
	pools  *pool.Pools
}

// FinderOf is the Finder of an environment, with its indexes.
func FinderOf(env *reconcile.Env) Finder {
	env.Index(&v1.IPPool{}, subnetIndex, func(obj client.Object) []string { return []string{obj.(*v1.IPPool).Spec.Subnet} })
	env.Index(&v1.IPPool{}, namespaceIndex, func(obj client.Object) []string { return obj.(*v1.IPPool).Spec.Namespaces })
	return Finder{reader: env.Client, pools: pool.PoolsOf(env)}
}

// list are IPPools, the oldest first. They are the cache's own: read them only.
func (f Finder) list(ctx context.Context, of ...client.ListOption) ([]*v1.IPPool, error) {
	var list v1.IPPoolList
	if err := f.reader.List(ctx, &list, append(of, client.UnsafeDisableDeepCopy)...); err != nil {
		return nil, fmt.Errorf("listing IPPools: %w", err)
	}
	out := make([]*v1.IPPool, len(list.Items))
	for i := range list.Items {
		out[i] = &list.Items[i]
	}
	slices.SortFunc(out, byAge)
	return out, nil
}

// byAge sorts IPPools, the oldest first.
func byAge(a, b *v1.IPPool) int {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
}

// verdictOn says what the controller has said of the spec of an IPPool as it reads now; Unknown is nothing yet.
func verdictOn(p *v1.IPPool) metav1.ConditionStatus {
	c := v1.FindCondition(p.Status.Conditions, v1.ConditionValidated)
	if c == nil || c.ObservedGeneration != p.Generation {
		return metav1.ConditionUnknown
	}
	return c.Status
}

func refused(p *v1.IPPool) bool { return verdictOn(p) == metav1.ConditionFalse }
