package framework

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// cleanupTime bounds how long a namespace may take to go.
const cleanupTime = 2 * time.Minute

// Namespace is a test's own namespace. Its methods fail the test when what they do fails.
type Namespace struct {
	*Cluster
	// Name is unique to the test run, and the prefix of names of the test's objects that are in no namespace.
	Name string

	t       testing.TB
	objects *[]client.Object // what is in no namespace, to be deleted with it
}

// Namespace creates a namespace for a test. It goes with the test; a failed test leaves its events in the log.
func (c *Cluster) Namespace(t testing.TB, labels map[string]string) *Namespace {
	t.Helper()
	obj := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-", Labels: labels}}
	if err := c.Create(t.Context(), obj); err != nil {
		t.Fatalf("creating a namespace: %v", err)
	}
	n := &Namespace{Cluster: c, Name: obj.Name, t: t, objects: &[]client.Object{}}
	t.Cleanup(n.remove)
	if err := c.AwaitAccount(t.Context(), obj.Name); err != nil {
		t.Fatal(err)
	}
	return n
}

// AwaitAccount waits for what every pod of a namespace needs before it can be created.
func (c *Cluster) AwaitAccount(ctx context.Context, namespace string) error {
	ctx, cancel := context.WithTimeout(ctx, c.Patience(podTime))
	defer cancel()
	key := client.ObjectKey{Namespace: namespace, Name: "default"}
	_, err := AwaitOne(ctx, c, &corev1.ServiceAccountList{}, key, func(*corev1.ServiceAccount) bool { return true })
	if err != nil {
		return fmt.Errorf("awaiting the service account of namespace %s: %w", namespace, err)
	}
	return nil
}

// For is the same namespace as a subtest sees it: what fails, fails the subtest.
func (n *Namespace) For(t testing.TB) *Namespace {
	view := *n
	view.t = t
	return &view
}

// remove takes the namespace away, and when its pods are gone, the objects outside that they stood on.
func (n *Namespace) remove() {
	ctx, cancel := context.WithTimeout(context.Background(), n.Patience(cleanupTime))
	defer cancel()
	if n.t.Failed() {
		n.tell(ctx)
	}
	obj := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: n.Name}}
	if err := n.Cluster.Delete(ctx, obj); err != nil {
		n.t.Errorf("deleting namespace %s: %v", n.Name, err)
	}
	none := func(pods []*corev1.Pod) bool { return len(pods) == 0 }
	if _, err := Await(ctx, n.Cluster, &corev1.PodList{}, none, client.InNamespace(n.Name)); err != nil {
		n.t.Errorf("awaiting the end of the pods of %s: %v", n.Name, err)
	}
	slices.Reverse(*n.objects)
	for _, obj := range *n.objects {
		if err := n.Cluster.Delete(ctx, obj); client.IgnoreNotFound(err) != nil {
			n.t.Errorf("deleting %s: %v", obj.GetName(), err)
		}
	}
}

// tell logs the namespace's events: most often they say what went wrong.
func (n *Namespace) tell(ctx context.Context) {
	var events corev1.EventList
	if err := n.List(ctx, &events, client.InNamespace(n.Name)); err != nil {
		n.t.Logf("listing events: %v", err)
		return
	}
	routine := []string{"Scheduled", "Pulled", "Created", "Started", "Killing", "SuccessfulCreate", "ScalingReplicaSet", "SuccessfulDelete"}
	for _, e := range events.Items {
		if !slices.Contains(routine, e.Reason) {
			n.t.Logf("event on %s: %s %s", e.InvolvedObject.Name, e.Reason, e.Message)
		}
	}
}

// Add creates objects. Those that belong in a namespace get into this one; the others are deleted with it.
func (n *Namespace) Add(objects ...client.Object) {
	n.t.Helper()
	for _, obj := range objects {
		if err := n.TryAdd(obj); err != nil {
			n.t.Fatal(err)
		}
	}
}

// TryAdd is Add of what the API server may refuse.
func (n *Namespace) TryAdd(obj client.Object) error {
	namespaced, err := n.IsObjectNamespaced(obj)
	if err != nil {
		return fmt.Errorf("looking up the kind of %s: %w", obj.GetName(), err)
	}
	if namespaced {
		obj.SetNamespace(n.Name)
	}
	if err := n.Create(n.t.Context(), obj); err != nil {
		return fmt.Errorf("creating %s: %w", obj.GetName(), err)
	}
	if !namespaced {
		*n.objects = append(*n.objects, obj)
	}
	return nil
}

// Start creates pods and waits until all of them are ready, and servers listen. Afterwards they are as the API server has them.
func (n *Namespace) Start(pods ...*corev1.Pod) {
	n.t.Helper()
	for _, p := range pods {
		n.Add(p)
	}
	for _, p := range pods {
		n.AwaitReady(p)
	}
}

// podTime bounds how long a pod may take to start in a healthy cluster of a busy machine.
const podTime = 90 * time.Second

// AwaitReady waits until a pod is ready, and listens if it is a server: to be ready is only to have a process that runs.
func (n *Namespace) AwaitReady(p *corev1.Pod) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), n.Patience(podTime))
	defer cancel()
	found, err := AwaitOne(ctx, n.Cluster, &corev1.PodList{}, client.ObjectKeyFromObject(p), Ready)
	if err != nil {
		n.t.Fatalf("awaiting pod %s: %v", p.Name, err)
	}
	found.DeepCopyInto(p)
	if err := n.awaitListening(ctx, p); err != nil {
		n.t.Fatalf("awaiting the server of pod %s: %v", p.Name, err)
	}
}

// Stop deletes pods and waits until they are gone.
func (n *Namespace) Stop(pods ...*corev1.Pod) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), n.Patience(podTime))
	defer cancel()
	for _, p := range pods {
		if err := n.Delete(ctx, p); client.IgnoreNotFound(err) != nil {
			n.t.Fatalf("deleting pod %s: %v", p.Name, err)
		}
	}
	for _, p := range pods {
		gone := func(all []*corev1.Pod) bool {
			return !slices.ContainsFunc(all, func(o *corev1.Pod) bool { return o.UID == p.UID })
		}
		if _, err := Await(ctx, n.Cluster, &corev1.PodList{}, gone, client.InNamespace(p.Namespace)); err != nil {
			n.t.Fatalf("awaiting the end of pod %s: %v", p.Name, err)
		}
	}
}

// Run runs a command in a pod and returns what it prints.
func (n *Namespace) Run(p *corev1.Pod, command ...string) string {
	n.t.Helper()
	out, err := n.Exec(n.t.Context(), p, command...)
	if err != nil {
		n.t.Fatal(err)
	}
	return out
}

// AwaitEvent waits for an event on an object of this namespace, and returns its message.
func (n *Namespace) AwaitEvent(ctx context.Context, object, reason string) (string, error) {
	matches := func(e *corev1.Event) bool { return e.InvolvedObject.Name == object && e.Reason == reason }
	events, err := Await(ctx, n.Cluster, &corev1.EventList{}, func(all []*corev1.Event) bool {
		return slices.ContainsFunc(all, matches)
	}, client.InNamespace(n.Name))
	if err != nil {
		return "", fmt.Errorf("awaiting event %s on %s: %w", reason, object, err)
	}
	return events[slices.IndexFunc(events, matches)].Message, nil
}

// fetchTime is how long an answer may take on a busy machine. TCP sends its first packet three times in it.
const fetchTime = 5 * time.Second

// Fetch gets a URL from within a pod, with curl, which gives up in time.
func (c *Cluster) Fetch(ctx context.Context, from *corev1.Pod, url string) (string, error) {
	return c.FetchWithin(ctx, fetchTime, from, url)
}

// FetchWithin is Fetch with a limit, in whole seconds, of a cluster that is not slow.
func (c *Cluster) FetchWithin(ctx context.Context, limit time.Duration, from *corev1.Pod, url string) (string, error) {
	seconds := fmt.Sprintf("%.0f", c.Patience(limit).Seconds())
	return c.Exec(ctx, from, "curl", "-sSgf", "--connect-timeout", seconds, "--max-time", seconds, url)
}

// FetchUntil gets a URL from within a pod, again and again until it is served as want says; "" is any way.
func (n *Namespace) FetchUntil(from *corev1.Pod, url, want string) string {
	n.t.Helper()
	limit := n.Patience(podTime)
	ctx, cancel := context.WithTimeoutCause(n.t.Context(), limit, fmt.Errorf("%s was not served in %s", url, limit))
	defer cancel()
	var got string
	err := Until(ctx, func(ctx context.Context) (err error) {
		got, err = n.Fetch(ctx, from, url)
		if err == nil && !strings.Contains(got, want) {
			err = fmt.Errorf("%s serves %q, not %q", url, got, want)
		}
		return err
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return got
}
