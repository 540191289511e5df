package subnet

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ipam"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// rangesShown bounds the text of addresses in the status: a /16 with every other address in use would not fit an object.
const rangesShown = 256

func (f *feature) report(ctx context.Context, key types.NamespacedName, in In, out reconcile.Outcome) error {
	if in.Subnet == nil {
		if out.Programmed() {
			f.pools.Delete(key.Name)
			f.ranges.settle(key.Name, "", nil)
		}
		return nil
	}
	if in.gone() {
		if !out.Programmed() {
			return f.writeStatus(ctx, in, out)
		}
		f.pools.Delete(key.Name)
		f.ranges.settle(key.Name, "", nil)
		return f.release(ctx, in.Subnet)
	}
	if len(out.Problems.Blocking()) > 0 {
		f.ranges.lose(in.Subnet)
		return f.writeStatus(ctx, in, out)
	}
	s, _ := Parse(in.Subnet, in.DefaultVpc)
	if out.Programmed() {
		f.ranges.settle(s.Name, s.VPC, s.prefixes())
	}
	f.pools.Set(s.Pool())
	var err error
	if in.Subnet, err = f.normalise(ctx, in.Subnet, s); err != nil {
		return err
	}
	return f.writeStatus(ctx, in, out)
}

// normalise writes the spec back as it is understood, as users of Kube-OVN expect to read it: defaults filled in, CIDRs
// without host bits, IPv6 in lower case, the gateway among the excluded addresses. The result is the object as it reads
// then: the status speaks of that, so that it need not be written again when the edit comes back as an event. If somebody
// has edited the spec meanwhile, it is the object that was read.
func (f *feature) normalise(ctx context.Context, was *v1.Subnet, s Subnet) (*v1.Subnet, error) {
	subnet := was.DeepCopy()
	spec := &subnet.Spec
	spec.CIDRBlock, spec.Gateway, spec.Protocol, spec.Vpc = s.CIDRs.String(), s.Gateways.String(), s.protocol(), s.VPC
	spec.ExcludeIps = s.excludeTexts(spec.ExcludeIps)
	if spec.Provider == "" {
		spec.Provider = v1.Provider
	}
	if spec.GatewayType == "" {
		spec.GatewayType = v1.GatewayDistributed
	}
	controllerutil.RemoveFinalizer(subnet, v1.FinalizerKubeOVNOld)
	if subnet.DeletionTimestamp == nil {
		controllerutil.AddFinalizer(subnet, v1.FinalizerKubeOVN)
	}
	if equality.Semantic.DeepEqual(spec, &was.Spec) && slices.Equal(subnet.Finalizers, was.Finalizers) {
		return was, nil
	}
	wrote := spec.DeepCopy()
	if err := f.client.Patch(ctx, subnet, client.MergeFrom(was)); client.IgnoreNotFound(err) != nil {
		return was, fmt.Errorf("normalising Subnet %s: %w", subnet.Name, err)
	}
	if !equality.Semantic.DeepEqual(&subnet.Spec, wrote) || subnet.Generation > was.Generation+1 {
		return was, nil
	}
	return subnet, nil
}

// release lets the object go. The finalizer stands for the pods that have addresses of the subnet, not for its rows.
func (f *feature) release(ctx context.Context, was *v1.Subnet) error {
	subnet := was.DeepCopy()
	if !controllerutil.RemoveFinalizer(subnet, v1.FinalizerKubeOVN) {
		return nil
	}
	if err := f.client.Patch(ctx, subnet, client.MergeFrom(was)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("releasing Subnet %s: %w", subnet.Name, err)
	}
	return nil
}

func (f *feature) writeStatus(ctx context.Context, in In, out reconcile.Outcome) error {
	was, subnet := in.Subnet, in.Subnet.DeepCopy()
	st := &subnet.Status
	if was.DeletionTimestamp != nil {
		out.InUse = fmt.Sprintf("%d addresses are in use", in.InUse)
	}
	reconcile.SetConditions(&st.Conditions, subnet.Generation, out)
	if pool := f.pools.Get(subnet.Name); pool != nil {
		setUsage(st, pool)
	}
	if equality.Semantic.DeepEqual(st, &was.Status) {
		return nil
	}
	if err := f.client.Status().Patch(ctx, subnet, client.MergeFrom(was)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("writing the status of Subnet %s: %w", subnet.Name, err)
	}
	return nil
}

func setUsage(st *v1.SubnetStatus, pool *ipam.Subnet) {
	v4, v6 := pool.Usage()
	ranges4, ranges6 := pool.UsageRanges()
	st.V4AvailableIPs, st.V4UsingIPs = v1.Count(v4.Available), v1.Count(v4.Using)
	st.V6AvailableIPs, st.V6UsingIPs = v1.Count(v6.Available), v1.Count(v6.Using)
	st.V4AvailableIPRange, st.V4UsingIPRange = ranges4.Available.Text(rangesShown), ranges4.Using.Text(rangesShown)
	st.V6AvailableIPRange, st.V6UsingIPRange = ranges6.Available.Text(rangesShown), ranges6.Using.Text(rangesShown)
}
