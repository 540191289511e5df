package vpc

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/spec"
)

// New is the Vpc feature.
func New(env *reconcile.Env) reconcile.Feature[Input] {
	f := &feature{defaults: reconcile.Setting[spec.Defaults](env), chooser: pool.ChooserOf(env)}
	return reconcile.Feature[Input]{
		Name: FeatureName,
		For:  &v1.Vpc{},
		When: predicate.GenerationChangedPredicate{},
		Watches: []reconcile.Watch{
			{Kind: &v1.Subnet{}, Map: f.vpcOf, When: []predicate.Predicate{subnetsChanged}, Delay: subnetsTogether},
			f.chooser.VpcsNaming(),
		},
		Workers:   workers,
		Gather:    f.gather,
		Translate: Translate,
		Record:    f.record(),
	}
}

// workers wait for the database nearly all the time; so many Vpcs can go in one transaction.
const workers = 64

// subnetsTogether gathers Subnets that come together: each look lists them all, in the Vpc's status too.
const subnetsTogether = 300 * time.Millisecond

type feature struct {
	defaults spec.Defaults
	// chooser knows which Vpcs name a Namespace.
	chooser *pool.Chooser
}

// subnetsChanged lets Subnets through that come, go or are edited, and drops the news of their usage: with pods coming and
// going there is one a second from each.
var subnetsChanged = predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
	before, after := e.ObjectOld.(*v1.Subnet), e.ObjectNew.(*v1.Subnet)
	return before.Spec.Vpc != after.Spec.Vpc || awaitsAnother(before) != awaitsAnother(after) || before.Generation != after.Generation ||
		!equality.Semantic.DeepEqual(before.Status.InForce, after.Status.InForce)
}}

// vpcOf is the Vpc that a Subnet is in, whose status lists the Subnet, and those of the namespaces that the Subnet is bound to.
func (f *feature) vpcOf(ctx context.Context, obj client.Object) []ctrl.Request {
	spec := &obj.(*v1.Subnet).Spec
	name := spec.Vpc
	if name == "" {
		name = f.defaults.Vpc
	}
	out := []ctrl.Request{reconcile.Request(name)}
	for _, name := range f.chooser.VpcsOf(ctx, spec.Namespaces) {
		out = append(out, reconcile.Request(name))
	}
	return out
}

func (f *feature) gather(ctx context.Context, r client.Reader, key types.NamespacedName) (Input, error) {
	in := Input{Default: key.Name == f.defaults.Vpc}
	var vpc v1.Vpc
	if err := r.Get(ctx, key, &vpc); err != nil {
		return in, client.IgnoreNotFound(err)
	}
	in.Vpc = &vpc
	var subnets v1.SubnetList
	if err := r.List(ctx, &subnets, client.UnsafeDisableDeepCopy); err != nil {
		return in, fmt.Errorf("listing subnets: %w", err)
	}
	for i := range subnets.Items {
		s := &subnets.Items[i]
		if (s.Spec.Vpc == key.Name || s.Spec.Vpc == "" && in.Default) && !awaitsAnother(s) {
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

// record is how the Vpc itself should read.
func (f *feature) record() reconcile.Record[Input, *v1.Vpc] {
	return reconcile.Record[Input, *v1.Vpc]{
		Object: func(in Input) (*v1.Vpc, bool) { return in.Vpc, in.Vpc != nil },
		Held:   func(in Input, out reconcile.Outcome) bool { return !in.gone() || !out.Programmed() },
		Status: f.status,
	}
}

func (f *feature) status(in Input, out reconcile.Outcome, vpc *v1.Vpc) {
	if vpc.DeletionTimestamp != nil {
		out.InUse = "subnets " + strings.Join(in.Subnets, ", ")
	}
	st := &vpc.Status
	reconcile.SetConditions(&st.Conditions, vpc.Generation, out)
	st.Standby, st.Default, st.Router, st.Subnets = out.Programmed(), in.Default, vpc.Name, in.Subnets
	st.DefaultLogicalSwitch = vpc.Spec.DefaultSubnet
	if in.Default && st.DefaultLogicalSwitch == "" {
		st.DefaultLogicalSwitch = f.defaults.Subnet
	}
}
