//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/woven-cni/woven/test/e2e/framework"
)

// A life of an installation in Helm's hands: adopted from the manifest, uninstalled, installed, upgraded, rolled back.
// A pod that is there all the time keeps its address, and is reached again after each step. The network is away in
// between, so that `make helm` runs this alone.
func TestHelm(t *testing.T) {
	if os.Getenv("WOVEN_E2E_HELM") == "" {
		t.Skip("make helm runs it alone")
	}
	h := newHelm(t)
	ns := cluster.Namespace(t, nil)
	old := framework.Server("old", framework.On(here))
	ns.Start(old)
	address := old.Status.PodIP
	works := func(after string) {
		t.Helper()
		fresh := framework.Server("fresh", framework.On(there))
		ns.Start(fresh)
		ns.FetchUntil(fresh, served(old, "/hostname"), "old")
		ns.FetchUntil(old, served(fresh, "/hostname"), "fresh")
		ns.Stop(fresh)
		if now := do[*corev1.Pod](t)(pod(t, old)); now.Status.PodIP != address {
			t.Errorf("after %s, the address of a pod that was there is %s, not %s", after, now.Status.PodIP, address)
		}
	}
	h.run("install", "woven", h.chart, h.values, "--take-ownership", "--force-conflicts")
	works("the adoption")

	h.run("uninstall", "woven")
	nothingLeft(t)
	h.run("install", "woven", h.chart, h.values)
	works("the installation")

	h.run("upgrade", "woven", h.chart, h.values, "--set=daemon.extraArgs={--zap-log-level=debug}")
	if args := daemonArgs(t); !slices.Contains(args, "--zap-log-level=debug") {
		t.Errorf("after the upgrade, the daemon's arguments are %v", args)
	}
	works("the upgrade")

	h.run("rollback", "woven", "1")
	if args := daemonArgs(t); slices.Contains(args, "--zap-log-level=debug") {
		t.Errorf("after the rollback, the daemon's arguments are %v", args)
	}
	works("the rollback")
}

// helmRunner runs the Helm that tools/go.mod pins.
type helmRunner struct {
	t                   *testing.T
	path, chart, values string
}

func newHelm(t *testing.T) *helmRunner {
	t.Helper()
	out := do[[]byte](t)(exec.Command("go", "tool", "-modfile=../../tools/go.mod", "-n", "helm").Output())
	h := &helmRunner{t: t, path: strings.TrimSpace(string(out)), chart: "../../charts/woven"}
	// The settings that this cluster runs with.
	controller, daemon := controllerArgs(t), daemonArgs(t)
	var set appsv1.StatefulSet
	must(t, cluster.Get(t.Context(), client.ObjectKey{Namespace: framework.System, Name: string(framework.Central)}, &set))
	comma := func(s string) string { return strings.ReplaceAll(s, ",", `\,`) }
	h.values = "--set=" + strings.Join([]string{
		"network.pods.cidr=" + comma(last(controller, "--default-cidr")),
		"network.join.cidr=" + comma(last(controller, "--node-switch-cidr")),
		"network.services.cidr=" + comma(last(controller, "--service-cluster-ip-range")),
		"tunnel.iface=" + last(daemon, "--iface"),
		fmt.Sprintf("central.replicas=%d", *set.Spec.Replicas),
	}, ",")
	return h
}

func (h *helmRunner) run(args ...string) {
	h.t.Helper()
	began := time.Now()
	cmd := exec.CommandContext(h.t.Context(), h.path, append(args, "--namespace="+framework.System, "--wait", "--timeout=4m")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		h.t.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	h.t.Logf("helm %s took %s", args[0], time.Since(began).Round(time.Second))
}

// last is the value of the last flag of a name: the one that counts.
func last(args []string, name string) string {
	value := ""
	for _, arg := range args {
		if v, ok := strings.CutPrefix(arg, name+"="); ok {
			value = v
		}
	}
	return value
}

func controllerArgs(t *testing.T) []string {
	t.Helper()
	var d appsv1.Deployment
	must(t, cluster.Get(t.Context(), client.ObjectKey{Namespace: framework.System, Name: string(framework.Controller)}, &d))
	return d.Spec.Template.Spec.Containers[0].Args
}

func daemonArgs(t *testing.T) []string {
	t.Helper()
	var d appsv1.DaemonSet
	must(t, cluster.Get(t.Context(), client.ObjectKey{Namespace: framework.System, Name: string(framework.Daemon)}, &d))
	return d.Spec.Template.Spec.Containers[0].Args
}

func pod(t *testing.T, p *corev1.Pod) (*corev1.Pod, error) {
	var now corev1.Pod
	err := cluster.Get(t.Context(), client.ObjectKeyFromObject(p), &now)
	return &now, err
}

// nothingLeft looks through all kinds of objects there are for those of Woven. What users made of its kinds stays, and
// with it the kinds.
func nothingLeft(t *testing.T) {
	t.Helper()
	lists, err := discovery.NewDiscoveryClientForConfigOrDie(cluster.Config).ServerPreferredResources()
	must(t, err)
	for _, kind := range listable(t, lists) {
		_, err := framework.Await(within(t, time.Minute, "the end of what is left of "+kind.Kind), cluster, kindList(kind),
			func(left []*metav1.PartialObjectMetadata) bool { return len(left) == 0 },
			client.MatchingLabels{"app.kubernetes.io/part-of": "woven"})
		if err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	var lease metav1.PartialObjectMetadata
	lease.SetGroupVersionKind(schema.GroupVersionKind{Group: "coordination.k8s.io", Version: "v1", Kind: "Lease"})
	err = cluster.Get(t.Context(), client.ObjectKey{Namespace: framework.System, Name: string(framework.Controller)}, &lease)
	if !errors.IsNotFound(err) {
		t.Errorf("the controller's lease is left: %v", err)
	}
}

func kindList(kind schema.GroupVersionKind) *metav1.PartialObjectMetadataList {
	list := &metav1.PartialObjectMetadataList{}
	kind.Kind += "List"
	list.SetGroupVersionKind(kind)
	return list
}

// listable are the kinds that can be listed and watched, but for CustomResourceDefinitions.
func listable(t *testing.T, lists []*metav1.APIResourceList) []schema.GroupVersionKind {
	t.Helper()
	var kinds []schema.GroupVersionKind
	for _, list := range lists {
		gv := do[schema.GroupVersion](t)(schema.ParseGroupVersion(list.GroupVersion))
		for _, r := range list.APIResources {
			if slices.Contains(r.Verbs, "list") && slices.Contains(r.Verbs, "watch") && r.Kind != "CustomResourceDefinition" {
				kinds = append(kinds, gv.WithKind(r.Kind))
			}
		}
	}
	if len(kinds) < 20 {
		t.Fatalf("only %d kinds: %v", len(kinds), kinds)
	}
	return kinds
}
