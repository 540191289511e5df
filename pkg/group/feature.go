package group

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/woven-cni/woven/pkg/ovs/engine"
	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// FeatureName is the Owner.Feature of the groups' rows. The key is the name.
const FeatureName = "group"

const (
	// patience is how long a group without a row is left to the policy that uses it, which brings the row along with its own.
	patience = time.Second
	// linger is how long a group without users keeps its row at least, and twice of it at most. Policies that are edited
	// or made anew often want it again, and would have to wait for its removal.
	linger = time.Minute
)

// New is the feature of the groups' rows.
func New(env *reconcile.Env) reconcile.Feature[Input] {
	r := RegistryOf(env)
	return reconcile.Feature[Input]{
		Name: FeatureName,
		Sources: []source.Source{
			&reconcile.FeedSource{Feed: &r.groupFeed, Enqueue: reconcile.Queue},
			&reconcile.FeedSource{Feed: &r.newFeed, Enqueue: reconcile.QueueAfter(patience)},
			&reconcile.FeedSource{Feed: &r.idleFeed, Enqueue: queueTogether},
		},
		Workers: 8,
		Seed: func(context.Context) error {
			for name := range Committed(env.DB) {
				r.HasRow(name, true)
			}
			return nil
		},
		Gather: func(_ context.Context, _ client.Reader, key types.NamespacedName) (Input, error) {
			return Input{Name: key.Name}, nil
		},
		Claim: func(_ context.Context, _ types.NamespacedName, in *Input) (func(reconcile.Outcome), error) {
			in.Selector, in.Used = r.Review(in.Name)
			return func(out reconcile.Outcome) {
				if out.Programmed() {
					r.HasRow(in.Name, in.Used)
				}
			}, nil
		},
		Translate: Translate,
	}
}

// Committed are the groups that have rows.
func Committed(db *engine.DB) map[string]Selector {
	out := map[string]Selector{}
	for _, owner := range db.Owners(FeatureName) {
		for _, row := range db.Owned(owner) {
			g, ok := row.Model.(*nb.PortGroup)
			if !ok {
				continue
			}
			selector, err := ParseIDs(g.ExternalIDs)
			if err != nil || selector.Name() != g.Name {
				continue // edited by hand, or of another version: it is made anew or removed
			}
			out[g.Name] = selector
		}
	}
	return out
}

// queueTogether has groups without users looked at in common, once in each span of linger: where northd knows no better
// than to compute all flows for the end of a group, it does so once for all of them.
func queueTogether(queue workqueue.TypedRateLimitingInterface[ctrl.Request], name string) {
	now := time.Now()
	queue.AddAfter(reconcile.Request(name), now.Truncate(linger).Add(2*linger).Sub(now))
}
