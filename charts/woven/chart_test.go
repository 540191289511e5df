// Package woven tests the chart with the Helm that tools/go.mod pins: what it renders is what users apply.
package woven_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
)

// values are the installs that every structural rule has to hold for.
var values = map[string][]string{
	"defaults":   nil,
	"dual stack": {"--set", `network.pods.cidr=10.16.0.0/16\,fd00:10:16::/112,network.services.cidr=10.96.0.0/12\,fd00:10:96::/112`},
	"full": {
		"--set", `network.pods.gateway=10.16.0.1,network.pods.excludeIPs={10.16.0.2,10.16.0.8..10.16.0.9},tunnel.iface=eth1,tunnel.mtu=1400`,
		"--set", "image.pullSecrets[0].name=pull,central.nodeSelector.zone=a,controller.nodeSelector.zone=a,controller.extraArgs={--zap-log-level=debug},daemon.extraArgs={--zap-log-level=debug}",
	},
	"raft":      {"--set", "central.replicas=3"},
	"userspace": {"--set", "datapath=userspace,ovs.updateStrategy.type=OnDelete,ovs.updateStrategy.rollingUpdate=null"},
}

// helmPath builds the pinned Helm, or finds it built.
var helmPath = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "tool", "-modfile=../../tools/go.mod", "-n", "helm").Output()
	return strings.TrimSpace(string(out)), err
})

// helm runs the pinned Helm.
func helm(args ...string) ([]byte, error) {
	path, err := helmPath()
	if err != nil {
		return nil, fmt.Errorf("building helm: %w", err)
	}
	cmd := exec.Command(path, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("helm %s: %w: %s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return out, nil
}

// render gives the chart's objects. A field that Kubernetes does not know fails the test.
func render(t *testing.T, args ...string) []runtime.Object {
	t.Helper()
	out, err := helm(append([]string{"template", "woven", "."}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	var objects []runtime.Object
	for docs := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(out))); ; {
		doc, err := docs.Read()
		if errors.Is(err, io.EOF) {
			return objects
		}
		if err != nil {
			t.Fatal(err)
		}
		object, _, err := decoder.Decode(doc, nil, nil)
		if err != nil {
			t.Fatalf("%v in\n%s", err, doc)
		}
		objects = append(objects, object)
	}
}

// templates are the pods of the Deployments, DaemonSets and StatefulSets, by the names of these.
func templates(objects []runtime.Object) map[string]corev1.PodTemplateSpec {
	found := map[string]corev1.PodTemplateSpec{}
	for _, object := range objects {
		switch o := object.(type) {
		case *appsv1.Deployment:
			found[o.Name] = o.Spec.Template
		case *appsv1.DaemonSet:
			found[o.Name] = o.Spec.Template
		case *appsv1.StatefulSet:
			found[o.Name] = o.Spec.Template
		}
	}
	return found
}

func TestLint(t *testing.T) {
	if _, err := helm("lint", "--strict", "."); err != nil {
		t.Fatal(err)
	}
}

func TestWorkloads(t *testing.T) {
	for name, args := range values {
		t.Run(name, func(t *testing.T) {
			found := templates(render(t, args...))
			if len(found) != 4 {
				t.Fatalf("%d workloads, want ovn-central, ovs-ovn, woven-controller and woven-daemon", len(found))
			}
			for name, template := range found {
				checkPod(t, name, template.Spec)
			}
		})
	}
}

func checkPod(t *testing.T, name string, pod corev1.PodSpec) {
	if !pod.HostNetwork {
		t.Errorf("%s stands on the network it makes", name)
	}
	if !strings.HasPrefix(pod.PriorityClassName, "system-") {
		t.Errorf("%s has priority class %q", name, pod.PriorityClassName)
	}
	if !slices.Contains(pod.Tolerations, corev1.Toleration{Operator: corev1.TolerationOpExists}) {
		t.Errorf("%s does not run on tainted nodes, and nodes without a network are tainted", name)
	}
	for _, c := range pod.Containers {
		checkProbes(t, name, c)
	}
	for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
		requests, limits := c.Resources.Requests, c.Resources.Limits
		if requests.Cpu().IsZero() || requests.Memory().IsZero() {
			t.Errorf("%s/%s requests no resources", name, c.Name)
		}
		if grows := slices.Contains(ofTheCluster, c.Name); grows != limits.Memory().IsZero() {
			t.Errorf("%s/%s has the limits %v", name, c.Name, limits)
		}
		if !limits.Cpu().IsZero() {
			t.Errorf("%s/%s is slowed down when the node has work for it", name, c.Name)
		}
		if tag := c.Image[strings.LastIndex(c.Image, ":")+1:]; tag == "latest" || strings.Contains(tag, "/") {
			t.Errorf("%s/%s runs %s", name, c.Name, c.Image)
		}
		checkSecurity(t, name, c)
	}
}

// ofTheCluster are the containers that need memory in proportion to the cluster, and that traffic or every change waits for:
// a limit would kill them again and again.
var ofTheCluster = []string{"nb-ovsdb", "sb-ovsdb", "northd", "ovsdb-server", "ovs-vswitchd", "ovn-controller"}

// patience is for how long what lives but does not answer is left alone, at the least.
const patience = 5 * time.Minute

// checkProbes holds that no probe ends what is merely busy: a command in a container takes as long as the node likes.
func checkProbes(t *testing.T, workload string, c corev1.Container) {
	if c.ReadinessProbe == nil {
		t.Errorf("%s/%s has no readiness probe", workload, c.Name)
	}
	if p := c.LivenessProbe; p != nil && (p.HTTPGet == nil || time.Duration(p.PeriodSeconds*p.FailureThreshold)*time.Second < patience) {
		t.Errorf("%s/%s is killed when it is busy, by its liveness probe: %+v", workload, c.Name, p)
	}
	if p := c.StartupProbe; p != nil && time.Duration(p.PeriodSeconds*p.FailureThreshold)*time.Second < 24*time.Hour {
		t.Errorf("%s/%s is killed when it starts slowly, by its startup probe: %+v", workload, c.Name, p)
	}
	if slices.Contains(ofTheCluster, c.Name) == (c.LivenessProbe != nil) {
		t.Errorf("%s/%s has the liveness probe %+v", workload, c.Name, c.LivenessProbe)
	}
}

// privileged are the containers that cannot do with less; their reasons stand in the templates.
var privileged = []string{"ovs-vswitchd", "woven-daemon"}

func checkSecurity(t *testing.T, workload string, c corev1.Container) {
	s := c.SecurityContext
	if s == nil {
		t.Fatalf("%s/%s has no security context", workload, c.Name)
	}
	if s.Privileged != nil && *s.Privileged {
		if !slices.Contains(privileged, c.Name) {
			t.Errorf("%s/%s is privileged", workload, c.Name)
		}
		return
	}
	if s.Capabilities == nil || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) {
		t.Errorf("%s/%s keeps capabilities", workload, c.Name)
	}
	if s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem {
		t.Errorf("%s/%s can write to its image", workload, c.Name)
	}
}

func TestRBAC(t *testing.T) {
	for _, object := range render(t) {
		var rules []rbacv1.PolicyRule
		var name string
		switch o := object.(type) {
		case *rbacv1.ClusterRole:
			rules, name = o.Rules, o.Name
		case *rbacv1.Role:
			rules, name = o.Rules, o.Name
		}
		for _, rule := range rules {
			all := slices.Concat(rule.APIGroups, rule.Resources, rule.Verbs, rule.NonResourceURLs)
			if slices.Contains(all, "*") {
				t.Errorf("%s has a wildcard in %v", name, rule)
			}
			if slices.Contains(rule.Resources, "secrets") {
				t.Errorf("%s reads secrets", name)
			}
			if name == "woven-daemon" && slices.Contains(rule.Resources, "pods") &&
				!slices.Equal(rule.Verbs, []string{"get", "list", "watch"}) {
				t.Errorf("the daemon changes pods: %v", rule.Verbs)
			}
		}
	}
}

// What a rendered object selects or binds has to be rendered as well.
func TestReferences(t *testing.T) {
	objects := render(t)
	accounts := map[string]bool{}
	labels := map[string]bool{}
	for _, object := range objects {
		if o, ok := object.(*corev1.ServiceAccount); ok {
			accounts[o.Name] = true
		}
	}
	for name, template := range templates(objects) {
		labels[template.Labels["app"]] = true
		if account := template.Spec.ServiceAccountName; !accounts[account] {
			t.Errorf("%s runs as %q, which is not there", name, account)
		}
	}
	for _, object := range objects {
		if o, ok := object.(*corev1.Service); ok && !labels[o.Spec.Selector["app"]] {
			t.Errorf("service %s selects %v, which is not there", o.Name, o.Spec.Selector)
		}
		if o, ok := object.(*rbacv1.ClusterRoleBinding); ok && !accounts[o.Subjects[0].Name] {
			t.Errorf("binding %s is for %q, which is not there", o.Name, o.Subjects[0].Name)
		}
	}
}

func TestArguments(t *testing.T) {
	for name, template := range templates(render(t, values["full"]...)) {
		args := template.Spec.Containers[0].Args
		var want []string
		switch name {
		case "woven-controller":
			want = []string{
				"--default-cidr=10.16.0.0/16", "--default-gateway=10.16.0.1", "--default-exclude-ips=10.16.0.2,10.16.0.8..10.16.0.9",
				"--node-switch-cidr=100.64.0.0/16", "--service-cluster-ip-range=10.96.0.0/12", "--enable-lb=true", "--zap-log-level=debug",
			}
		case "woven-daemon":
			want = []string{"--iface=eth1", "--datapath=auto", "--mtu=1400", "--zap-log-level=debug"}
		}
		for _, arg := range want {
			if !slices.Contains(args, arg) {
				t.Errorf("%s lacks %s in %s", name, arg, args)
			}
		}
	}
}

// Metrics and probes are the node's own, unless somebody wants them exposed.
func TestMetrics(t *testing.T) {
	for exposed, want := range map[string][]string{"false": nil, "true": {"--metrics-bind-address=:10660", "--metrics-bind-address=:10665", "--closed-ports="}} {
		var have []string
		for name, template := range templates(render(t, "--set", "metrics.exposed="+exposed)) {
			container := template.Spec.Containers[0]
			for _, arg := range container.Args {
				if strings.Contains(arg, "metrics") || strings.Contains(arg, "ports") {
					have = append(have, arg)
				}
			}
			if !strings.HasPrefix(name, "woven-") {
				continue
			}
			if scraped := template.Annotations["prometheus.io/scrape"] == "true"; fmt.Sprint(scraped) != exposed {
				t.Errorf("exposed %s: Prometheus is sent to %s: %t", exposed, name, scraped)
			}
			for _, probe := range []*corev1.Probe{container.LivenessProbe, container.ReadinessProbe} {
				if probe.HTTPGet.Host != "127.0.0.1" {
					t.Errorf("exposed %s: %s is probed at %q", exposed, name, probe.HTTPGet.Host)
				}
			}
		}
		slices.Sort(have)
		slices.Sort(want)
		if !slices.Equal(have, want) {
			t.Errorf("exposed %s: arguments %v, want %v", exposed, have, want)
		}
	}
}

// A new release of Woven leaves the switches and the databases alone.
func TestUpgradeKeepsOVN(t *testing.T) {
	before, after := templates(render(t)), templates(render(t, "--set", "image.tag=v9"))
	for name, template := range before {
		ovn := name == "ovs-ovn" || name == "ovn-central"
		if same := equality.Semantic.DeepEqual(template, after[name]); same != ovn {
			t.Errorf("%s restarts: %t", name, !same)
		}
		if version := template.Labels["app.kubernetes.io/version"]; version != "" {
			t.Errorf("%s restarts with every release for its label of version %s", name, version)
		}
	}
}

// Three members run with quorum or not at all, and only what decides about them speaks to the API server.
func TestRaft(t *testing.T) {
	objects := render(t, values["raft"]...)
	for _, object := range objects {
		if set, ok := object.(*appsv1.StatefulSet); ok && (*set.Spec.Replicas != 3 || set.Spec.PodManagementPolicy != appsv1.ParallelPodManagement) {
			t.Errorf("%d members, managed %s", *set.Spec.Replicas, set.Spec.PodManagementPolicy)
		}
	}
	pod := templates(objects)["ovn-central"].Spec
	if pod.Affinity.PodAntiAffinity == nil || len(pod.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution) != 1 {
		t.Error("two members may run on one node")
	}
	for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
		decides := slices.Contains(c.Command, "central")
		token := slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == "token" })
		if token != decides {
			t.Errorf("%s has a token: %t", c.Name, token)
		}
		if strings.HasSuffix(c.Name, "-ovsdb") && c.ReadinessProbe.Exec == nil {
			t.Errorf("%s is ready before it is part of the cluster", c.Name)
		}
	}
	if len(pod.InitContainers) != 2 {
		t.Errorf("%d init containers, want begin and tend", len(pod.InitContainers))
	}
}

func TestRefusedValues(t *testing.T) {
	for set, message := range map[string]string{
		"central.replicas=2":      "value must be one of 1, 3",
		"image.tag=latest":        "/image/tag",
		"network.pods.cidr=10.16": "/network/pods/cidr",
		"datapath=dpdk":           "/datapath",
		"datapaht=kernel":         "datapaht",
		"metrics.podMonitor=true": "metrics.exposed",
	} {
		t.Run(set, func(t *testing.T) {
			_, err := helm("template", "woven", ".", "--set", set)
			if err == nil || !strings.Contains(err.Error(), message) {
				t.Errorf("got %v, want an error about %q", err, message)
			}
		})
	}
}

// TestManifest holds yamls/woven.yaml against the chart it is generated from.
func TestManifest(t *testing.T) {
	want, err := helm("template", "woven", ".", "--namespace", "kube-system", "--include-crds")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../yamls/woven.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("yamls/woven.yaml is not what the chart renders: run make generate")
	}
}
