package vpc

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/cidr"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/spec"
)

// New is the Vpc feature.
func New(env *reconcile.Env) reconcile.Feature[Input] {
	f := &feature{defaults: reconcile.Setting[spec.Defaults](env), chooser: pool.ChooserOf(env), subnets: cidr.MapOf(env)}
	return reconcile.Feature[Input]{
		Name: FeatureName,
		For:  &v1.Vpc{},
		When: predicate.Or(predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}),
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

// subnetsTogether gathers Subnets that come together: each look lists all of the Vpc, in its status too.
const subnetsTogether = 300 * time.Millisecond

type feature struct {
	defaults spec.Defaults
	// chooser knows which Vpcs name a Namespace, and subnets which Subnets a Vpc has.
	chooser *pool.Chooser
	subnets *cidr.Map
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
