package reconcile

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
)

// counting is an API server that takes every patch of a status and counts versions.
type counting struct {
	client.Client
	version int
}

func (c *counting) Status() client.SubResourceWriter { return countingStatus{counting: c} }

type countingStatus struct {
	client.SubResourceWriter
	counting *counting
}

func (c countingStatus) Patch(_ context.Context, obj client.Object, _ client.Patch, _ ...client.SubResourcePatchOption) error {
	c.counting.version++
	obj.SetResourceVersion(strconv.Itoa(c.counting.version))
	return nil
}

// TestOwnWritesAreNotWrittenTwice is a look at an object whose last version, our own, is on its way to the cache: it waits for
// that. If it never comes the next look writes.
func TestOwnWritesAreNotWrittenTwice(t *testing.T) {
	old := &v1.Vpc{ObjectMeta: metav1.ObjectMeta{Name: "tenant", ResourceVersion: "7"}}
	f := Feature[struct{}]{Record: Record[struct{}, *v1.Vpc]{
		Object: func(struct{}) (*v1.Vpc, bool) { return old, true },
		Status: func(_ struct{}, _ Outcome, vpc *v1.Vpc) { vpc.Status.Standby = true },
	}}
	c := &counting{version: 7}
	w := &writer{client: c}
	look := func() error {
		return f.tell(t.Context(), w, types.NamespacedName{Name: "tenant"}, struct{}{}, Outcome{})
	}
	if err := look(); err != nil || c.version != 8 {
		t.Fatalf("the first look ends with %v at version %d", err, c.version)
	}
	if stale := (*Stale)(nil); !errors.As(look(), &stale) || stale.Version != "7" || c.version != 8 {
		t.Errorf("a look at the old object ends with %v at version %d", stale, c.version)
	}
	if err := look(); err != nil || c.version != 9 {
		t.Errorf("the next look ends with %v at version %d", err, c.version)
	}
}

// TestEventThatDoesNotCome is a look at an object whose version seems older than our last write of that name, and stays: it has been
// deleted and created anew by an API server that counts from the beginning. The key is looked at again all the same, and once.
func TestEventThatDoesNotCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s stale
		again := func() []string {
			s.again.mu.Lock()
			defer s.again.mu.Unlock()
			return slices.Clone(s.again.early)
		}
		s.await(t.Context(), ahead{version: "1"}, &v1.Vpc{}, types.NamespacedName{Name: "tenant"}, "1")
		if len(again()) != 0 {
			t.Error("the key is looked at again at once")
		}
		<-time.After(longestLag)
		synctest.Wait()
		if !slices.Equal(again(), []string{"tenant"}) {
			t.Errorf("looked at again is %v", again())
		}
	})
}
