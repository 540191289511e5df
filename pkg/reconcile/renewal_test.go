package reconcile_test

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	testingclock "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/woven-cni/woven/pkg/reconcile"
	"github.com/woven-cni/woven/pkg/reconcile/reconciletest"
)

// TestEventsAreRenewedWithinTheirHour holds that a key comes back before the API server forgets an Event, once however often it
// was told, and not at once.
func TestEventsAreRenewedWithinTheirHour(t *testing.T) {
	clock := testingclock.NewFakeClock(time.Now())
	queue := workqueue.NewTypedRateLimitingQueueWithConfig(workqueue.DefaultTypedControllerRateLimiter[ctrl.Request](),
		workqueue.TypedRateLimitingQueueConfig[ctrl.Request]{Clock: clock})
	defer queue.ShutDown()
	var r reconcile.Renewal
	if err := r.Source().Start(t.Context(), queue); err != nil {
		t.Fatal(err)
	}
	key := types.NamespacedName{Namespace: "shop", Name: "web-0"}
	r.Told(key)
	r.Told(key)
	if queue.Len() != 0 {
		t.Error("it is told again at once")
	}
	begun := clock.Now()
	reconciletest.Eventually(t, "the second look", func() string {
		if queue.Len() == 1 {
			return ""
		}
		clock.Step(time.Minute) // the queue takes a delayed key in beside us
		return "the queue is empty"
	})
	if after := clock.Since(begun); after < 20*time.Minute {
		t.Errorf("it is told again after %s", after)
	}
	if got, _ := queue.Get(); got.NamespacedName != key {
		t.Errorf("%s is looked at", got)
	}
}
