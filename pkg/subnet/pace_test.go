package subnet

import (
	"fmt"
	"maps"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
)

// TestUsageOfManySubnetsIsWrittenLessOften has the usage of Subnets change for a minute, all the time, and counts the writes
// that every node would be sent.
func TestUsageOfManySubnetsIsWrittenLessOften(t *testing.T) {
	const minute, step = time.Minute, 10 * time.Millisecond
	for _, c := range []struct {
		subnets, most int
		late          time.Duration
	}{
		{subnets: 1, most: 60, late: time.Second},
		{subnets: 10, most: 600, late: 2 * time.Second},
		{subnets: 300, most: 600, late: 31 * time.Second},
	} {
		t.Run(fmt.Sprint(c.subnets), func(t *testing.T) {
			p := newPace()
			began := time.Unix(0, 0)
			writes, latest := map[string]time.Duration{}, time.Duration(0)
			for at := time.Duration(0); at < minute; at += step {
				for i := range c.subnets {
					wait := p.wait(fmt.Sprint("web-", i), began.Add(at))
					writes[fmt.Sprint(i, at+wait)], latest = at+wait, max(latest, wait)
				}
			}
			maps.DeleteFunc(writes, func(_ string, at time.Duration) bool { return at > minute })
			if n := len(writes); n < c.most/2 || n > c.most || latest > c.late {
				t.Errorf("%d writes in a minute, each at most %s late; want %d and %s", n, latest, c.most, c.late)
			}
			if p.wait("another", began.Add(2*minute)); len(p.due) != 1 {
				t.Errorf("%d Subnets are remembered when all is written but one", len(p.due))
			}
		})
	}
}

// waits are how long keys wait in a queue.
type waits struct {
	workqueue.TypedRateLimitingInterface[ctrl.Request]
	of map[string]time.Duration
}

// AddAfter implements workqueue.TypedDelayingInterface.
func (w *waits) AddAfter(request ctrl.Request, wait time.Duration) { w.of[request.Name] = wait }

// TestSubnetThatGoesHasNoTurnToWaitFor: beside 300 Subnets in use, one that is being deleted goes a second after its last user, and
// not when all the others are written.
func TestSubnetThatGoesHasNoTurnToWaitFor(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	now := metav1.Now()
	goes := &v1.Subnet{ObjectMeta: metav1.ObjectMeta{Name: "goes", DeletionTimestamp: &now, Finalizers: []string{"test/user"}}}
	f := &feature{client: fake.NewClientBuilder().WithScheme(scheme).WithObjects(goes).Build(), usage: newPace()}
	queue := &waits{of: map[string]time.Duration{}}
	for i := range 300 {
		f.whenUsage(queue, fmt.Sprint("web-", i))
	}
	f.whenUsage(queue, "goes")
	f.whenUsage(queue, "stays")
	delete(queue.of, "stays") // as when the queue had a look at it for something else
	f.whenUsage(queue, "stays")
	if queue.of["goes"] != usageDelay || queue.of["stays"] < 20*time.Second {
		t.Errorf("the one that goes waits for %s, and the one that stays for %s", queue.of["goes"], queue.of["stays"])
	}
}
