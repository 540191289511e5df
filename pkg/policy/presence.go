package policy

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/woven-cni/woven/pkg/reconcile"
)

// presence says whether the cluster has a kind. The custom resources of administrators' policies may be installed when
// the controller runs already: a policy that nobody looks at would be a hole that nobody is told of.
type presence struct {
	gvk  schema.GroupVersionKind
	once sync.Once
	here chan struct{} // closed as soon as the cluster has the kind
}

func newPresence(gvk schema.GroupVersionKind) *presence {
	return &presence{gvk: gvk, here: make(chan struct{})}
}

// served says whether the cluster has the kind. Policies of a kind that the cluster had once may have left rows.
func (p *presence) served() bool {
	select {
	case <-p.here:
		return true
	default:
		return false
	}
}

// look asks the API server.
func (p *presence) look(mapper meta.RESTMapper) error {
	_, err := mapper.RESTMapping(p.gvk.GroupKind(), p.gvk.Version)
	switch {
	case err == nil:
		p.once.Do(func() { close(p.here) })
	case !meta.IsNoMatchError(err):
		return fmt.Errorf("asking the API server for %s: %w", p.gvk, err)
	}
	return nil
}

// resource is the name of the custom resource that brings the kind.
func (p *presence) resource() string {
	plural, _ := meta.UnsafeGuessKindToResource(p.gvk)
	return plural.GroupResource().String()
}

// defines says whether a custom resource has come so far that the API server has the kind, or will in a moment.
func (p *presence) defines(crd *apiextensionsv1.CustomResourceDefinition) bool {
	return slices.ContainsFunc(crd.Status.Conditions, func(c apiextensionsv1.CustomResourceDefinitionCondition) bool {
		return c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue
	}) && slices.ContainsFunc(crd.Spec.Versions, func(v apiextensionsv1.CustomResourceDefinitionVersion) bool {
		return v.Name == p.gvk.Version && v.Served
	})
}

// AwaitKinds looks out for the kinds that the cluster lacks. When it lacks none, nothing is watched.
func AwaitKinds(env *reconcile.Env) error {
	lacks := map[string]*presence{}
	for _, k := range kindsOf(env) {
		if !k.served() {
			lacks[k.resource()] = k.presence
			env.Log.Info("the cluster does not have this kind of policy", "kind", k.gvk.String())
		}
	}
	if len(lacks) == 0 {
		return nil
	}
	always := false // a standby is to know as well
	c, err := controller.New("policykinds", env.Manager, controller.Options{
		Reconciler: &arrivals{env.Client, env.Client.RESTMapper(), lacks}, NeedLeaderElection: &always,
	})
	if err != nil {
		return fmt.Errorf("making the controller of kinds: %w", err)
	}
	err = c.Watch(source.Kind(env.Cache, client.Object(&apiextensionsv1.CustomResourceDefinition{}), &handler.EnqueueRequestForObject{}))
	if err != nil {
		return fmt.Errorf("watching custom resources: %w", err)
	}
	return nil
}

// arrivals looks at custom resources, by name.
type arrivals struct {
	client.Reader
	mapper meta.RESTMapper
	lacks  map[string]*presence
}

// discoveryDelay is how long the API server may take from a custom resource that is established to saying so.
const discoveryDelay = time.Second

// Reconcile implements reconcile.Reconciler.
func (a *arrivals) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	p := a.lacks[req.Name]
	if p == nil || p.served() {
		return ctrl.Result{}, nil
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := a.Get(ctx, req.NamespacedName, &crd); err != nil || !p.defines(&crd) {
		return ctrl.Result{}, client.IgnoreNotFound(err) // there is an event when that changes
	}
	if err := p.look(a.mapper); err != nil || !p.served() {
		return ctrl.Result{RequeueAfter: discoveryDelay}, err
	}
	log.FromContext(ctx).Info("the cluster has a new kind of policy", "kind", p.gvk.String())
	return ctrl.Result{}, nil
}

// onArrival are sources that begin when the cluster has the kind that they are about.
type onArrival struct {
	*presence
	sources []source.Source
}

// Start implements source.Source.
func (s *onArrival) Start(ctx context.Context, queue workqueue.TypedRateLimitingInterface[ctrl.Request]) error {
	go func() {
		select {
		case <-s.here:
		case <-ctx.Done():
			return
		}
		for _, src := range s.sources {
			if err := src.Start(ctx, queue); err != nil {
				log.FromContext(ctx).Error(err, "a new kind of policy cannot be watched", "kind", s.gvk.String())
			}
		}
	}()
	return nil
}
