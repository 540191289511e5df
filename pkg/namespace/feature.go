package namespace

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/pool"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/subnet"
)

// FeatureName is the feature's name in logs and metrics.
const FeatureName = "namespace"

// Input is a namespace and the subnets that a pod of it may have its address from, the first choice first.
type Input struct {
	Namespace *corev1.Namespace // nil: there is none
	Subnets   []subnet.Subnet
}

// New is the Namespace feature.
func New(env *reconcile.Env) reconcile.Feature[Input] {
	f := &feature{client: env.Client, chooser: pool.ChooserOf(env), subnets: subnet.FinderOf(env)}
	return reconcile.Feature[Input]{
		Name: FeatureName,
		For:  &corev1.Namespace{},
		When: predicate.Or(predicate.LabelChangedPredicate{}, predicate.AnnotationChangedPredicate{}),
		Watches: []reconcile.Watch{
			{Kind: &v1.Subnet{}, Map: f.all, When: []predicate.Predicate{subnet.FitsOtherwise}},
			{Kind: &v1.Vpc{}, Map: f.all, When: []predicate.Predicate{predicate.GenerationChangedPredicate{}}},
		},
		Gather:    f.gather,
		Translate: Translate,
		Record:    record(),
	}
}

type feature struct {
	client  client.Client
	chooser *pool.Chooser
	subnets subnet.Finder
}

// all are the keys of all namespaces: a subnet may have stopped being anyone's, and has any number of selectors.
func (f *feature) all(ctx context.Context, _ client.Object) []ctrl.Request {
	var list corev1.NamespaceList
	if f.client.List(ctx, &list) != nil {
		return nil // the cache only fails to list while the manager stops
	}
	out := make([]ctrl.Request, len(list.Items))
	for i := range list.Items {
		out[i].Name = list.Items[i].Name
	}
	return out
}

func (f *feature) gather(ctx context.Context, r client.Reader, key types.NamespacedName) (Input, error) {
	var ns corev1.Namespace
	if err := r.Get(ctx, key, &ns); err != nil {
		return Input{}, client.IgnoreNotFound(err)
	}
	names, err := f.chooser.Bound(ctx, ns.Name)
	if err != nil {
		return Input{}, err //nolint:wrapcheck // it says what could not be read
	}
	chosen, unfit, err := f.subnets.Fit(ctx, names...)
	if err != nil {
		return Input{}, err //nolint:wrapcheck // it says what could not be read
	}
	for _, u := range unfit {
		if u.Unjudged {
			return Input{}, &reconcile.Wait{For: "the first look at subnet " + u.Name}
		}
	}
	return Input{Namespace: &ns, Subnets: chosen}, nil
}

// Translate wants no rows: what concerns a namespace's pods is on their ports.
func Translate(Input) (ovs.Desired, reconcile.Problems) { return ovs.Desired{}, nil }

// record writes the annotations. With no subnet at all they are taken away.
func record() reconcile.Record[Input, *corev1.Namespace] {
	return reconcile.Record[Input, *corev1.Namespace]{
		Object: func(in Input) (*corev1.Namespace, bool) {
			return in.Namespace, in.Namespace != nil && in.Namespace.DeletionTimestamp == nil
		},
		Fill: func(in Input, _ reconcile.Outcome, ns *corev1.Namespace) {
			for name, value := range in.annotations() {
				if value == "" {
					delete(ns.Annotations, name)
					continue
				}
				if ns.Annotations == nil {
					ns.Annotations = map[string]string{}
				}
				ns.Annotations[name] = value
			}
		},
	}
}

// annotations have the separators that Kube-OVN has: a comma inside what is one subnet's, a semicolon between subnets.
func (in Input) annotations() map[string]string {
	var names, cidrs, excluded []string
	for _, s := range in.Subnets {
		names = append(names, s.Name)
		cidrs = append(cidrs, s.CIDRs.String())
		excluded = append(excluded, strings.Join(s.ExcludeTexts, ","))
	}
	return map[string]string{
		v1.AnnotationLogicalSwitch: strings.Join(names, ","),
		v1.AnnotationCIDR:          strings.Join(cidrs, ";"),
		v1.AnnotationExcludeIPs:    strings.Join(excluded, ";"),
	}
}
