package reconcile_test

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// sent keeps the patches that would have gone to the API server.
type sent struct {
	client.Client
	patches []string
}

func (s *sent) note(obj client.Object, patch client.Patch) error {
	text, err := patch.Data(obj)
	s.patches = append(s.patches, string(text))
	return err
}

// Patch implements client.Writer.
func (s *sent) Patch(_ context.Context, obj client.Object, patch client.Patch, _ ...client.PatchOption) error {
	return s.note(obj, patch)
}

// Status implements client.StatusClient.
func (s *sent) Status() client.SubResourceWriter { return &sentStatus{sent: s} }

type sentStatus struct {
	client.SubResourceWriter
	sent *sent
}

// Patch implements client.SubResourceWriter.
func (s *sentStatus) Patch(_ context.Context, obj client.Object, patch client.Patch, _ ...client.SubResourcePatchOption) error {
	return s.sent.note(obj, patch)
}

// TestPatchIsForTheVersionThatWasRead holds which patches the API server refuses when somebody has edited the object since:
// those that could undo the edit, and no others.
func TestPatchIsForTheVersionThatWasRead(t *testing.T) {
	was := &v1.Subnet{
		ObjectMeta: metav1.ObjectMeta{
			Name: "web", UID: "u", ResourceVersion: "7", Finalizers: []string{"a"}, Annotations: map[string]string{"note": "x"},
		},
		Spec:   v1.SubnetSpec{ExcludeIps: []string{"10.0.0.1"}},
		Status: v1.SubnetStatus{Conditions: []v1.Condition{{Type: "Ready"}}},
	}
	for name, tc := range map[string]struct {
		change func(*v1.Subnet)
		locked bool
	}{
		"another finalizer":      {func(s *v1.Subnet) { s.Finalizers = append(s.Finalizers, "b") }, true},
		"no finalizer":           {func(s *v1.Subnet) { s.Finalizers = nil }, true},
		"an exclusion":           {func(s *v1.Subnet) { s.Spec.ExcludeIps = append(s.Spec.ExcludeIps, "10.0.0.2") }, true},
		"a default":              {func(s *v1.Subnet) { s.Spec.Gateway = "10.0.0.1" }, true},
		"a condition":            {func(s *v1.Subnet) { s.Status.Conditions[0].Reason = "x" }, true},
		"no condition":           {func(s *v1.Subnet) { s.Status.Conditions = nil }, true},
		"a number in the status": {func(s *v1.Subnet) { s.Status.V4UsingIPs = 3 }, false},
		"an annotation":          {func(s *v1.Subnet) { s.Annotations["note"] = "y" }, false},
		"no annotation":          {func(s *v1.Subnet) { s.Annotations = nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			c, now := &sent{}, was.DeepCopy()
			tc.change(now)
			if err := reconcile.Patch(t.Context(), c, was, now); err != nil {
				t.Fatal(err)
			}
			if len(c.patches) != 1 || !strings.Contains(c.patches[0], `"uid":"u"`) {
				t.Fatalf("sent %v, which is not for this object only", c.patches)
			}
			if locked := strings.Contains(c.patches[0], `"resourceVersion":"7"`); locked != tc.locked {
				t.Errorf("for one version only: %t, want %t; sent %v", locked, tc.locked, c.patches)
			}
		})
	}
}

// TestNothingNewIsNotSent is a look that finds all as it should be.
func TestNothingNewIsNotSent(t *testing.T) {
	c, was := &sent{}, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", UID: "u", ResourceVersion: "7"}}
	if err := reconcile.Patch(t.Context(), c, was, was.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	if err := reconcile.PatchStatus(t.Context(), c, was, was.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	if len(c.patches) > 0 {
		t.Errorf("sent %v", c.patches)
	}
}
