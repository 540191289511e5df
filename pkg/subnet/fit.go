package subnet

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/spec"
)

// Finder reads Subnets for those who want addresses of them.
type Finder struct {
	Reader client.Reader
	Names  spec.Defaults
}

// FinderOf is the Finder of an environment.
func FinderOf(env *reconcile.Env) Finder {
	return Finder{Reader: env.Client, Names: reconcile.Setting[spec.Defaults](env)}
}

// NotFound is why a subnet is unfit that does not exist.
const NotFound = "does not exist"

// Unfit is a subnet that a pod cannot have its addresses from.
type Unfit struct {
	// Name is the subnet's.
	Name string
	// Why completes "subnet <name> …".
	Why string
	// Unjudged says that the reason is over in a moment: it is that the controller has not looked at the spec yet.
	Unjudged bool
}

// FitsOtherwise lets Subnets through that come, go, or may be fit for others than before: by their spec, by the verdict on it,
// or by what is in force. The news of their usage is dropped.
var FitsOtherwise = predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
	before, after := e.ObjectOld.(*v1.Subnet), e.ObjectNew.(*v1.Subnet)
	return before.Generation != after.Generation || judged(before) != judged(after) ||
		!equality.Semantic.DeepEqual(before.Status.InForce, after.Status.InForce)
}}

// judgement is what the controller says of a spec, and of which.
type judgement struct {
	status     metav1.ConditionStatus
	generation int64
}

func judged(s *v1.Subnet) judgement {
	c := v1.FindCondition(s.Status.Conditions, v1.ConditionValidated)
	if c == nil {
		return judgement{}
	}
	return judgement{c.Status, c.ObservedGeneration}
}

// Fit sorts the subnets that a pod may be in, by name, into candidates and the unfit, each in the order of the names. A
// subnet that is missing, going or the nodes' own, or of which nothing is in force, is unfit, with the reason for a person
// to read. So is one that nobody has judged yet: were it refused a moment later, its pods would wait for its switch.
func (f Finder) Fit(ctx context.Context, names ...string) (candidates []Subnet, unfit []Unfit, err error) {
	for _, name := range names {
		s, obj, why, err := f.read(ctx, name)
		if err != nil {
			return nil, nil, err
		}
		switch {
		case name == f.Names.Join:
			why = "is the nodes' own"
		case why == "" && obj.DeletionTimestamp != nil:
			why = "is being deleted"
		}
		u := Unfit{Name: name, Why: why}
		if _, inForce := spec.InForce(obj, f.Names.Vpc); why == "" && !inForce {
			u.Why, u.Unjudged = "has not been looked at yet", true
		}
		if u.Why != "" {
			unfit = append(unfit, u)
			continue
		}
		candidates = append(candidates, s)
	}
	return candidates, unfit, nil
}

// Home reads the subnet that a pod has its addresses of. It is in force also while it is being deleted; when it is not, its
// spec says nothing that the pod could be told.
func (f Finder) Home(ctx context.Context, name string) (s Subnet, inForce bool, err error) {
	s, _, why, err := f.read(ctx, name)
	return s, why == "", err
}

// read gets a subnet, and says why its spec is not in force, if it is not.
func (f Finder) read(ctx context.Context, name string) (s Subnet, obj *v1.Subnet, why string, err error) {
	obj = &v1.Subnet{}
	err = f.Reader.Get(ctx, types.NamespacedName{Name: name}, obj)
	if errors.IsNotFound(err) {
		return s, obj, NotFound, nil
	}
	if err != nil {
		return s, obj, "", fmt.Errorf("reading subnet %s: %w", name, err)
	}
	s, why = Read(obj, f.Names.Vpc)
	return s, obj, why, nil
}

// Read is what is in force of a Subnet, or what it asks for while nobody has judged it; why completes "subnet <name> …" when
// it is neither.
func Read(obj *v1.Subnet, defaultVpc string) (s Subnet, why string) {
	if inForce, ok := spec.InForce(obj, defaultVpc); ok {
		return Subnet(inForce), ""
	}
	s, problems := Parse(obj, defaultVpc)
	refused := v1.FindCondition(obj.Status.Conditions, v1.ConditionValidated)
	switch wrong := problems.Blocking(); {
	case len(wrong) > 0:
		why = "is not valid: " + wrong.String()
	case refused != nil && refused.Status == metav1.ConditionFalse && refused.ObservedGeneration == obj.Generation:
		why = "is not valid: " + refused.Message
	}
	return s, why
}
