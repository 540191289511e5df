package reconcile_test

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/woven-cni/woven/pkg/reconcile"
)

// TestReaders is who hears of news: the keys whose last look has read what they are about.
func TestReaders(t *testing.T) {
	var readers reconcile.Readers
	one, other := types.NamespacedName{Namespace: "shop", Name: "one"}, types.NamespacedName{Name: "other"}
	for _, step := range []struct {
		key   types.NamespacedName
		reads bool
		want  []ctrl.Request
	}{
		{one, false, nil},
		{one, true, []ctrl.Request{{NamespacedName: one}}},
		{one, true, []ctrl.Request{{NamespacedName: one}}},
		{other, false, []ctrl.Request{{NamespacedName: one}}},
		{one, false, nil},
	} {
		readers.Note(step.key, step.reads)
		if got := readers.Requests(); !slices.Equal(got, step.want) {
			t.Errorf("after %s reads it: %t, the readers are %v, want %v", step.key, step.reads, got, step.want)
		}
	}
}
