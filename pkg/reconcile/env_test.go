package reconcile_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/woven-cni/woven/pkg/reconcile"
)

type (
	rate   int
	memory struct{ made int }
)

// indexer counts the indexes that are made, and makes none of a field "bad".
type indexer map[string]int

func (i indexer) IndexField(_ context.Context, _ client.Object, field string, _ client.IndexerFunc) error {
	if i[field]++; field == "bad" {
		return errors.New("no such field")
	}
	return nil
}

// TestEnv is what features find in it: settings by type, one thing of a type however many share it, and an index once.
func TestEnv(t *testing.T) {
	indexes := indexer{}
	env := &reconcile.Env{Indexer: indexes}
	if got := reconcile.Setting[rate](env); got != 0 {
		t.Errorf("what nobody has decided is %d", got)
	}
	env.Set(rate(7))
	if got := reconcile.Setting[rate](env); got != 7 {
		t.Errorf("the rate is %d", got)
	}
	made := 0
	make := func(*reconcile.Env) *memory { made++; return &memory{made} }
	if a, b := reconcile.Shared(env, make), reconcile.Shared(env, make); a != b || made != 1 {
		t.Errorf("two features share %p and %p; %d were made", a, b, made)
	}
	for range 2 {
		env.Index(&corev1.Pod{}, "node", nil)
		env.Index(&corev1.Node{}, "node", nil)
	}
	if indexes["node"] != 2 || env.Err() != nil {
		t.Errorf("two kinds have %d indexes (%v)", indexes["node"], env.Err())
	}
}

// TestFeatureThatCannotBeMade holds that its error stops the controller, and that it is the first.
func TestFeatureThatCannotBeMade(t *testing.T) {
	env := &reconcile.Env{Indexer: indexer{}}
	err := reconcile.Add(func(env *reconcile.Env) reconcile.Feature[rate] {
		env.Index(&corev1.Pod{}, "bad", nil)
		env.Fail(errors.New("later"))
		return reconcile.Feature[rate]{}
	}).Add(env)
	if err == nil || !strings.Contains(err.Error(), "indexing *v1.Pod by bad: no such field") {
		t.Errorf("adding it ends with %v", err)
	}
}
