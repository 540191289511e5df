package ippool

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ipam"
)

// seed sets aside what was in force before this process, before anybody is given an address.
func (f *feature) seed(ctx context.Context) error {
	all, err := f.finder.list(ctx)
	if err != nil {
		return err
	}
	accepted := func(p *v1.IPPool) int {
		if verdictOn(p) == metav1.ConditionTrue {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(all, func(a, b *v1.IPPool) int { return cmp.Compare(accepted(a), accepted(b)) })
	for _, p := range all {
		s, is, err := f.subnets.Home(ctx, p.Spec.Subnet)
		if err != nil {
			return fmt.Errorf("seeding IPPool %s: %w", p.Name, err)
		}
		if ranges := inForce(p); is && len(within(s, ranges)) > 0 {
			f.pools.SetIPPool(s.Pool(), p.Name, within(s, ranges))
		}
	}
	return nil
}

// inForce is what the object says that is in force of it: its spec as it reads now, if that was accepted, else the last one that
// was. The verdict on the very spec comes first, so that a status which somebody has edited decides nothing as long as the spec
// makes sense.
func inForce(p *v1.IPPool) ipam.Ranges {
	if verdictOn(p) == metav1.ConditionTrue {
		if ranges, err := ipam.ParsePart(p.Spec.IPs); err == nil {
			return ranges
		}
	}
	if p.Status.InForce == nil {
		return nil
	}
	ranges, err := ipam.ParsePart(p.Status.InForce.IPs)
	if err != nil {
		return nil
	}
	return ranges
}
