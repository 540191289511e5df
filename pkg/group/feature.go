package group

import (
	"context"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// FeatureName is the Owner.Feature of the groups' rows. The key is the name.
const FeatureName = "group"

// In is all that a group's row depends on.
type In struct {
	// Name is the row's.
	Name string
	// Used is false when no policy selects like this any more.
	Used bool
	// Selector says which pods belong to it.
	Selector Selector
}

// Feature makes the rows of the groups that a registry has.
func Feature(r *Registry) reconcile.Feature[In] {
	return reconcile.Feature[In]{
		Name:    FeatureName,
		Sources: []source.Source{&reconcile.FeedSource{Feed: &r.groupFeed, Enqueue: reconcile.Queue}},
		Workers: 8,
		Gather: func(ctx context.Context, _ client.Reader, key types.NamespacedName) (In, error) {
			in := In{Name: key.Name}
			if err := r.AwaitSeed(ctx); err != nil {
				return in, err
			}
			in.Selector, in.Used = r.Lookup(in.Name)
			return in, nil
		},
		Translate: Translate,
		Report: func(_ context.Context, _ types.NamespacedName, in In, out reconcile.Outcome) error {
			switch {
			case !out.Programmed():
			case in.Used:
				r.Made(in.Name)
			default:
				r.Gone(in.Name)
			}
			return nil
		},
	}
}

// Translate makes the row of one group. Its ports are the pods' to write, its ACLs the policies'.
func Translate(in In) (ovs.Desired, reconcile.Problems) {
	var want ovs.Desired
	if in.Used {
		want.Add(Sym(in.Name), &nb.PortGroup{Name: in.Name, ExternalIDs: in.Selector.ids()})
	}
	return want, nil
}
