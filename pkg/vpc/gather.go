package vpc

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
)

func (f *feature) gather(ctx context.Context, r client.Reader, key types.NamespacedName) (Input, error) {
	in := Input{Default: key.Name == f.defaults.Vpc}
	var vpc v1.Vpc
	if err := r.Get(ctx, key, &vpc); err != nil {
		return in, client.IgnoreNotFound(err)
	}
	in.Vpc = &vpc
	subnets, err := f.subnets.In(ctx, key.Name)
	if err != nil {
		return in, err //nolint:wrapcheck // it says what could not be read
	}
	for _, s := range subnets {
		if !awaitsAnother(s) {
			in.Subnets = append(in.Subnets, s.Name)
		}
	}
	slices.Sort(in.Subnets)
	return in, f.namespaces(ctx, &in)
}

// awaitsAnother says whether a Subnet came when its Vpc was being deleted already: it waits for the next one of the name.
func awaitsAnother(s *v1.Subnet) bool {
	c := v1.FindCondition(s.Status.Conditions, v1.ConditionValidated)
	return c != nil && c.Reason == v1.ReasonVpcTerminating
}

// namespaces finds those of the spec that do not exist, and those whose pods are elsewhere.
func (f *feature) namespaces(ctx context.Context, in *Input) (err error) {
	if in.NoNamespaces, err = f.chooser.Missing(ctx, in.Vpc.Spec.Namespaces); err != nil {
		return err //nolint:wrapcheck // it says what could not be read
	}
	for _, namespace := range in.Vpc.Spec.Namespaces {
		if slices.Contains(in.NoNamespaces, namespace) {
			continue
		}
		subnets, err := f.chooser.Bound(ctx, namespace)
		if err != nil {
			return err //nolint:wrapcheck // it says what could not be read
		}
		if first := subnets[0]; !slices.Contains(in.Subnets, first) {
			in.Elsewhere = append(in.Elsewhere, fmt.Sprintf("pods of namespace %s are in Subnet %s", namespace, first))
		}
	}
	return nil
}
