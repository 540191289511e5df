package reconcile

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/engine"
)

// Planned is what one feature would do for an object.
type Planned struct {
	// Owner is whose the rows are.
	Owner ovs.Owner
	// Desired are all the rows, and Plan is how they differ from those in the database.
	Desired ovs.Desired
	Plan    engine.Plan
	// Problems are the author's to mend, and Waiting is what would have to come first.
	Problems Problems
	Waiting  error
}

// Plan is what the features would do if an object read as it does here, whether it exists or not, without doing any of it:
// the features are made anew on a copy of what they share, and read the object as if it were in the cache. Nothing is
// written, and no address, group or memory is taken.
func Plan(ctx context.Context, env *Env, features []Adder, object client.Object) ([]Planned, error) {
	var out []Planned
	for _, f := range features {
		one, err := f.plan(ctx, env.fork(&supposing{Client: env.Client, object: object, indexes: env.indexes}), object)
		if err != nil {
			return nil, err
		}
		if one != nil {
			out = append(out, *one)
		}
	}
	return out, nil
}

func (c constructed[Input]) plan(ctx context.Context, fork *Env, object client.Object) (*Planned, error) {
	f := c(fork)
	if fork.err != nil {
		return nil, fork.err
	}
	if reflect.TypeOf(f.For) != reflect.TypeOf(object) {
		return nil, nil
	}
	key := client.ObjectKeyFromObject(object)
	out := &Planned{Owner: ovs.Owner{Feature: f.Name, Key: Key(key)}}
	in, err := f.Gather(ctx, fork.Client, key)
	if err == nil && f.Claim != nil {
		_, err = f.Claim(ctx, key, &in) // of a copy that goes with the fork: nobody has to hear how it ends
	}
	if wait := (*Wait)(nil); errors.As(err, &wait) {
		out.Waiting = wait
		return out, nil
	}
	if err != nil {
		return nil, fmt.Errorf("planning %s: %w", out.Owner, err)
	}
	out.Desired, out.Problems = f.translate(in)
	if len(out.Problems.Blocking()) > 0 && len(out.Desired.Rows) == 0 || f.Translate == nil {
		return out, nil
	}
	out.Plan, err = fork.DB.Plan(out.Owner, out.Desired)
	if waiting := (*ovs.ErrWaiting)(nil); errors.As(err, &waiting) || errors.Is(err, ovs.ErrOffline) {
		out.Waiting, err = err, nil
	}
	if err != nil {
		return nil, fmt.Errorf("planning %s: %w", out.Owner, err)
	}
	return out, nil
}

// supposing reads an object as if the cache had it.
type supposing struct {
	client.Client
	object  client.Object
	indexes map[index]client.IndexerFunc
}

// Get implements client.Reader.
func (s *supposing) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	if reflect.TypeOf(obj) == reflect.TypeOf(s.object) && key == client.ObjectKeyFromObject(s.object) {
		reflect.ValueOf(obj).Elem().Set(reflect.ValueOf(s.object.DeepCopyObject()).Elem())
		return nil
	}
	return s.Client.Get(ctx, key, obj, opts...) //nolint:wrapcheck // it stands for the client
}

// List implements client.Reader.
func (s *supposing) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	if err := s.Client.List(ctx, list, opts...); err != nil {
		return err //nolint:wrapcheck // it stands for the client
	}
	of, err := s.GroupVersionKindFor(s.object)
	if err != nil {
		return fmt.Errorf("looking for the kind of %T: %w", s.object, err)
	}
	if kind, err := s.GroupVersionKindFor(list); err != nil || kind.Kind != of.Kind+"List" || kind.Group != of.Group {
		return err //nolint:wrapcheck // it stands for the client
	}
	items, err := meta.ExtractList(list)
	if err != nil {
		return fmt.Errorf("reading %T: %w", list, err)
	}
	items = slices.DeleteFunc(items, func(item runtime.Object) bool {
		return client.ObjectKeyFromObject(item.(client.Object)) == client.ObjectKeyFromObject(s.object)
	})
	if s.listed(opts) {
		items = append(items, s.object.DeepCopyObject())
	}
	if err := meta.SetList(list, items); err != nil {
		return fmt.Errorf("writing %T: %w", list, err)
	}
	return nil
}

// listed says whether a list with such options has the object.
func (s *supposing) listed(opts []client.ListOption) bool {
	o := (&client.ListOptions{}).ApplyOptions(opts)
	if o.Namespace != "" && o.Namespace != s.object.GetNamespace() {
		return false
	}
	if o.LabelSelector != nil && !o.LabelSelector.Matches(labels.Set(s.object.GetLabels())) {
		return false
	}
	if o.FieldSelector == nil {
		return true
	}
	for _, r := range o.FieldSelector.Requirements() {
		keys := s.indexes[index{reflect.TypeOf(s.object), r.Field}]
		if keys == nil || !slices.Contains(keys(s.object), r.Value) {
			return false
		}
	}
	return true
}
