//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/test/e2e/framework"
)

// asController is a client that the API server takes for the controller, as a stolen token would be.
func asController(t *testing.T) client.Client {
	t.Helper()
	config := rest.CopyConfig(cluster.Config)
	config.Impersonate.UserName = "system:serviceaccount:" + framework.System + ":woven-controller"
	c, err := client.New(config, client.Options{Scheme: cluster.Scheme()})
	must(t, err)
	return c
}

// annotate merges annotations into a pod, by its status as a kubelet does if so asked.
func annotate(ctx context.Context, c client.Client, p *corev1.Pod, status bool, annotations map[string]string) error {
	next := p.DeepCopy()
	maps.Copy(next.Annotations, annotations)
	patch := client.MergeFrom(p)
	if status {
		return c.Status().Patch(ctx, next, patch)
	}
	return c.Patch(ctx, next, patch)
}

// Whoever may edit pods can neither forge what a pod is told nor, where nobody stops it, move a pod by it: the port stays
// as its row says, also when the controller starts anew, and the annotations are put right.
func TestAnnotationsRobNobody(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	db := cluster.Northbound(t)
	victim, thief := framework.Server("victim", framework.On(there)), framework.Server("thief", framework.On(here))
	ns.Start(victim, thief)
	forged := map[string]string{
		v1.AnnotationIPAddress: addresses(victim), v1.AnnotationMACAddress: victim.Annotations[v1.AnnotationMACAddress],
	}
	for _, status := range []bool{false, true} {
		err := annotate(t.Context(), cluster, thief, status, forged)
		if err == nil || !strings.Contains(err.Error(), "woven-pod-addresses") {
			t.Errorf("an edit by anybody (by the status: %v) is met with %v", status, err)
		}
		must(t, annotate(t.Context(), cluster, thief, status, map[string]string{"team": fmt.Sprint(status)}))
	}
	before := map[*corev1.Pod][]string{victim: awaitPort(t, db, victim).Addresses, thief: awaitPort(t, db, thief).Addresses}
	start := stopControllers(t)
	must(t, annotate(t.Context(), asController(t), thief, false, forged))
	start()
	got := do[*corev1.Pod](t)(framework.AwaitOne(within(t, time.Minute, "putting the annotations right"), cluster, &corev1.PodList{},
		client.ObjectKeyFromObject(thief), func(p *corev1.Pod) bool { return p.Annotations[v1.AnnotationIPAddress] == addresses(thief) }))
	if got.Annotations[v1.AnnotationAllocatedUID] != string(got.UID) {
		t.Errorf("the answer is for %s, and the pod is %s", got.Annotations[v1.AnnotationAllocatedUID], got.UID)
	}
	for p, want := range before {
		if now := db.Port(portName(p)); now == nil || fmt.Sprint(now.Addresses) != fmt.Sprint(want) {
			t.Errorf("the port of %s had %v and is %+v", p.Name, want, now)
		}
	}
	ns.FetchUntil(thief, url(victim.Status.PodIP, framework.HTTPPort, "/hostname"), "victim")
	ns.FetchUntil(victim, url(thief.Status.PodIP, framework.HTTPPort, "/hostname"), "thief")
}

// A policy of the API server that is away lets anybody forge annotations; the controller still believes the row.
func TestAnnotationsRobNobodyWithoutThePolicy(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	victim, thief := framework.Server("victim", framework.On(there)), framework.Server("thief", framework.On(here))
	ns.Start(victim, thief)
	var binding admissionregistrationv1.ValidatingAdmissionPolicyBinding
	must(t, cluster.Get(t.Context(), client.ObjectKey{Name: "woven-pod-addresses"}, &binding))
	must(t, cluster.Delete(t.Context(), &binding))
	gateway := map[string]string{v1.AnnotationIPAddress: thief.Annotations[v1.AnnotationGateway]}
	t.Cleanup(func() {
		again := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
			ObjectMeta: metav1.ObjectMeta{Name: binding.Name, Labels: binding.Labels, Annotations: binding.Annotations}, Spec: binding.Spec,
		}
		must(t, cluster.Create(context.Background(), again))
		must(t, framework.Until(background(t, time.Minute, "the policy's return"), func(ctx context.Context) error {
			if err := annotate(ctx, client.NewDryRunClient(cluster), thief, false, gateway); err == nil {
				return errors.New("an edit of the annotations is let through")
			}
			return nil
		}))
	})
	// The API server forgets a binding in its own time.
	must(t, framework.Until(within(t, time.Minute, "an edit of the annotations"), func(ctx context.Context) error {
		return annotate(ctx, cluster, thief, false, gateway)
	}))
	message := do[string](t)(ns.AwaitEvent(within(t, time.Minute, "the event"), "thief", "AddressKept"))
	if !strings.Contains(message, addresses(thief)) {
		t.Errorf("the event says %s", message)
	}
	_ = do[*corev1.Pod](t)(framework.AwaitOne(within(t, time.Minute, "putting the annotations right"), cluster, &corev1.PodList{},
		client.ObjectKeyFromObject(thief), func(p *corev1.Pod) bool { return p.Annotations[v1.AnnotationIPAddress] == addresses(thief) }))
	ns.FetchUntil(thief, url(victim.Status.PodIP, framework.HTTPPort, "/hostname"), "victim")
}

// A copy of a pod has its annotations too, as kubectl debug --copy-to makes it. It runs beside the pod with an address of
// its own.
func TestCopiedPodRuns(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	original := framework.Server("original", framework.On(here))
	ns.Start(original)
	twin := framework.Server("copy", framework.On(there), framework.Annotated(original.Annotations))
	ns.Start(twin)
	if addresses(twin) == addresses(original) {
		t.Fatalf("both pods have %s", addresses(twin))
	}
	ns.FetchUntil(twin, url(original.Status.PodIP, framework.HTTPPort, "/hostname"), "original")
	ns.FetchUntil(original, url(twin.Status.PodIP, framework.HTTPPort, "/hostname"), "copy")
}

// A pod that ignores its end and is deleted by force goes on to run for a while, and its interface has the name of the next
// pod's. That one, on another node, answers every call.
func TestZombieInterface(t *testing.T) {
	ns := cluster.Namespace(t, nil)
	caller := framework.Server("caller", framework.On(here))
	ns.Start(caller)
	stubborn := func(node string) *corev1.Pod {
		p := framework.Server("w-0", framework.On(node))
		p.Spec.TerminationGracePeriodSeconds, p.Spec.RestartPolicy = ptr.To[int64](60), corev1.RestartPolicyNever
		p.Spec.Containers[0].Command = []string{"sh", "-c", "trap '' TERM; /agnhost netexec --http-port=8080 & while :; do wait; sleep 1; done"}
		p.Spec.Containers[0].Args = nil
		return p
	}
	old := stubborn(here)
	ns.Start(old)
	must(t, cluster.Delete(t.Context(), old, client.GracePeriodSeconds(0)))
	next := stubborn(there)
	t.Cleanup(func() { end(t, old, next) })
	ns.Start(next)
	ready := time.Now()
	const calls = 20
	for i := range calls {
		after := time.Since(ready).Round(time.Millisecond)
		got, err := cluster.Fetch(t.Context(), caller, url(next.Status.PodIP, framework.HTTPPort, "/hostname"))
		if err != nil || !strings.Contains(got, "w-0") {
			t.Errorf("call %d of %d, %s after the pod was ready, got %q, %v", i+1, calls, after, got, err)
		}
	}
	binding := do[string](t)(cluster.NBCtl(t.Context(), "get", "Logical_Switch_Port", portName(next), "options:requested-chassis"))
	if strings.Trim(binding, `"`) != there {
		t.Errorf("the port is bound to %s, and the pod is on %s", binding, there)
	}
}

// end ends pods that ignore their end, and waits until their interfaces are gone too, so that none goes in the middle of
// another test. The API server may have forgotten them.
func end(t *testing.T, pods ...*corev1.Pod) {
	t.Helper()
	for _, p := range pods {
		ctx := background(t, time.Minute, "the end of "+p.Name+" on "+p.Spec.NodeName)
		must(t, client.IgnoreNotFound(cluster.Delete(ctx, p)))
		_ = cluster.Kill(ctx, p, "agnhost") // it may have ended by itself
		must(t, framework.Until(ctx, func(ctx context.Context) error {
			ids, err := cluster.Attachments(ctx, p.Spec.NodeName)
			if err == nil && slices.Contains(ids, portName(p)) {
				err = fmt.Errorf("the node's switch has %v", ids)
			}
			return err
		}))
	}
}
