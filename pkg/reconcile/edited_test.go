package reconcile

import (
	"context"
	"testing"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ovs"
	"github.com/woven-cni/woven/pkg/ovs/nb"
	"github.com/woven-cni/woven/pkg/ovs/ovstest"
)

// ahead is an API server that has a later version of an object than the one that was read.
type ahead struct {
	client.Client
	version string
}

func (a ahead) Get(_ context.Context, _ client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	obj.SetResourceVersion(a.version)
	return nil
}

func (ahead) Patch(_ context.Context, obj client.Object, _ client.Patch, _ ...client.PatchOption) error {
	return errors.NewConflict(schema.GroupResource{Resource: "subnets"}, obj.GetName(), nil)
}

// TestNoRowsOfASpecThatWasEdited is a look at an object that somebody edits before its spec is written: no row is written, the claim
// hears that nothing came of it, nobody else is told, and the key is looked at again.
func TestNoRowsOfASpecThatWasEdited(t *testing.T) {
	db := ovstest.Start(t).DB()
	<-db.Ready()
	var heard []string
	read := &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: "a", ResourceVersion: "7"}}
	api := ahead{version: "8"}
	r := &runner[int]{db: db, client: api, writer: writer{client: api}, seeds: newSeeds(db), Feature: Feature[int]{
		Name: "thing", For: &v1.Subnet{},
		Gather: func(context.Context, client.Reader, types.NamespacedName) (int, error) { return 1, nil },
		Claim: func(context.Context, types.NamespacedName, *int) (func(Outcome), error) {
			return func(out Outcome) { heard = append(heard, said(out)) }, nil
		},
		Translate: func(int) (ovs.Desired, Problems) {
			var want ovs.Desired
			want.Add("thing/a/switch", &nb.LogicalSwitch{Name: "a"})
			return want, nil
		},
		Report: func(context.Context, types.NamespacedName, int, Outcome) error {
			heard = append(heard, "report")
			return nil
		},
		Record: Record[int, *v1.Subnet]{
			Object: func(int) (*v1.Subnet, bool) { return read, true },
			Spec:   func(_ int, s *v1.Subnet) { s.Spec.Vpc = "tenant" },
		},
	}}
	close(r.seeds.done)
	if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Name: "a"}}); err != nil {
		t.Error(err)
	}
	if len(heard) != 1 || heard[0] != "unread" {
		t.Errorf("heard is %v", heard)
	}
	if rows := db.Owned(ovs.Owner{Feature: "thing", Key: "a"}); len(rows) > 0 {
		t.Errorf("there are %d rows", len(rows))
	}
	if again := r.stale.again.early; len(again) != 1 || again[0] != "a" {
		t.Errorf("looked at again is %v", again)
	}
}
