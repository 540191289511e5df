package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	kubeovnv1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
)

func TestFlags(t *testing.T) {
	t.Setenv("NODE_NAME", "node7")
	for text, problem := range map[string]string{
		"": "",
		"--datapath=userspace --iface=eth1 --mtu=0 --service-cluster-ip-range=10.96.0.0/16,fd00:10:96::/112": "",
		"--zap-log-level=debug --zap-encoder=console":                                                        "",
		"--closed-ports=":                    "",
		"--closed-ports=10660,65536":         "--closed-ports",
		"--closed-ports=http":                "--closed-ports",
		"--datapath=dpdk":                    "--datapath",
		"--mtu=100":                          "--mtu",
		"--service-cluster-ip-range=10.96/8": "--service-cluster-ip-range",
		"--no-such-flag":                     "no-such-flag",
		"stray":                              "stray",
	} {
		var o options
		err := o.parse(strings.Fields(text))
		if err == nil {
			err = o.complete()
		}
		if err == nil {
			err = o.validate()
		}
		if problem == "" && (err != nil || o.nodeName != "node7" || len(o.serviceCIDRs) == 0) {
			t.Errorf("%q: %v, %+v", text, err, o)
		}
		if problem != "" && (err == nil || !strings.Contains(err.Error(), problem)) {
			t.Errorf("%q: %v, want one about %s", text, err, problem)
		}
	}
}

func TestInstall(t *testing.T) {
	o := options{
		binaries: t.TempDir(), cniBinDir: t.TempDir(), cniConfDir: t.TempDir(), cniConfName: "01-woven.conflist",
		bindSocket: "/run/woven/cni.sock",
	}
	for _, name := range plugins {
		if err := os.WriteFile(filepath.Join(o.binaries, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := o.installPlugins(); err != nil {
			t.Fatal(err)
		}
		if err := o.writeConflist(); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(o.cniBinDir)
	if err != nil || len(entries) != len(plugins) {
		t.Errorf("installed %v, %v", entries, err)
	}
	for _, entry := range entries {
		if info, err := entry.Info(); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("%s has mode %v, %v", entry.Name(), info.Mode(), err)
		}
	}
	var conflist struct {
		CNIVersion string
		Plugins    []struct{ Type string }
	}
	text, err := os.ReadFile(filepath.Join(o.cniConfDir, o.cniConfName))
	if err == nil {
		err = json.Unmarshal(text, &conflist)
	}
	if err != nil || conflist.CNIVersion != "1.1.0" || len(conflist.Plugins) != 2 || conflist.Plugins[0].Type != "woven-cni" {
		t.Errorf("conflist %s, %v", text, err)
	}
	o.binaries = t.TempDir()
	if err := o.installPlugins(); err == nil {
		t.Error("missing plugins were installed")
	}
}

func TestTrimKeepsWhatIsRead(t *testing.T) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "web", UID: "u", Annotations: map[string]string{kubeovnv1.AnnotationAllocated: "true"},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "m"}},
		},
		Spec:   corev1.PodSpec{NodeName: "node1", Containers: []corev1.Container{{Name: "c"}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning},
	}
	if _, err := trim(pod); err != nil {
		t.Fatal(err)
	}
	if pod.Name != "web" || pod.UID != "u" || pod.Annotations[kubeovnv1.AnnotationAllocated] != "true" || pod.Spec.NodeName != "node1" {
		t.Errorf("lost: %+v", pod)
	}
	if pod.ManagedFields != nil || pod.Spec.Containers != nil || pod.Status.Phase != "" {
		t.Errorf("kept: %+v", pod)
	}
	node := &corev1.Node{Status: corev1.NodeStatus{
		Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "172.31.0.1"}},
		Images:    []corev1.ContainerImage{{Names: []string{"i"}}},
	}}
	if _, err := trim(node); err != nil || len(node.Status.Addresses) != 1 || node.Status.Images != nil {
		t.Errorf("node %+v, %v", node.Status, err)
	}
}

func TestRemotesOfEndpoints(t *testing.T) {
	port, no := int32(6642), false
	slice := &discoveryv1.EndpointSlice{
		Endpoints: []discoveryv1.Endpoint{
			{Addresses: []string{"172.31.0.1"}},
			{Addresses: []string{"172.31.0.2"}, Conditions: discoveryv1.EndpointConditions{Ready: &no}},
			{Addresses: []string{"fd00::1"}},
		},
		Ports: []discoveryv1.EndpointPort{{Port: &port}},
	}
	want := "tcp:172.31.0.1:6642,tcp:[fd00::1]:6642"
	if have := strings.Join(remotes([]discoveryv1.EndpointSlice{*slice, *slice}), ","); have != want {
		t.Errorf("remotes %s, want %s", have, want)
	}
}
