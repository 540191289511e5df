package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/woven-cni/woven/test/e2e/bench/timing"
	"github.com/woven-cni/woven/test/e2e/framework"
)

const (
	binDir  = "/opt/cni/bin/"
	confDir = "/etc/cni/net.d/"
	// confName is before Woven's own: runtimes take the first file by name.
	confName = "00-bench.conflist"
	// pluginsVersion is the release of the plugins that Woven is measured beside.
	pluginsVersion = "v1.9.1"
)

// plugins are all that either contender's list has.
var plugins = []string{"woven-cni", "portmap", "bridge"}

// install puts the shim in front of the plugins, and the bridge plugin where a node has none.
func (b *bench) install(ctx context.Context) error {
	shim, err := framework.Build(ctx, "github.com/woven-cni/woven/test/e2e/bench/shim")
	if err != nil {
		return err
	}
	files := map[string][]byte{}
	for _, p := range plugins {
		files[timing.Prefix+p] = shim
	}
	for name, pkg := range map[string]string{"bridge": "main/bridge", "host-local": "ipam/host-local"} {
		if files[timing.Prefix+"real-"+name], err = installed(ctx, "github.com/containernetworking/plugins/plugins/"+pkg, name); err != nil {
			return err
		}
	}
	for _, node := range b.Nodes {
		for name, program := range files {
			if err := b.PutOnNode(ctx, node, binDir+name, program); err != nil {
				return err
			}
		}
		script := fmt.Sprintf(`cd /host%s; for p in bridge host-local; do [ -e $p ] || ln -s %sreal-$p $p; done; rm -f /host%s`,
			binDir, timing.Prefix, timing.Log)
		if _, err := b.OnNode(ctx, node, script); err != nil {
			return err
		}
	}
	return nil
}

// installed builds a program of another module, as `go install` pins it.
func installed(ctx context.Context, pkg, name string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "woven-bench-")
	if err != nil {
		return nil, fmt.Errorf("building %s: %w", name, err)
	}
	defer os.RemoveAll(dir)
	install := exec.CommandContext(ctx, "go", "install", "-trimpath", "-ldflags=-s -w", pkg+"@"+pluginsVersion)
	install.Env = append(os.Environ(), "CGO_ENABLED=0", "GOBIN="+dir)
	if out, err := install.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building %s: %w: %s", name, err, out)
	}
	return os.ReadFile(filepath.Join(dir, name))
}

// list is a CNI network configuration list, of which only the plugins' types are of interest.
type list struct {
	CNIVersion string           `json:"cniVersion"`
	Name       string           `json:"name"`
	Plugins    []map[string]any `json:"plugins"`
}

// shimmed is the list with the shim in front of every plugin.
func (l list) shimmed() ([]byte, error) {
	for _, p := range l.Plugins {
		p["type"] = timing.Prefix + fmt.Sprint(p["type"])
	}
	return json.Marshal(l)
}

// conflist is a contender's list on a node: Woven's own, or the bridge plugin's with a range for each node.
func (b *bench) conflist(ctx context.Context, who contender, index int) ([]byte, error) {
	if who == woven {
		text, err := b.OnNode(ctx, b.Nodes[index], "cat /host"+confDir+"*woven*.conflist")
		if err != nil {
			return nil, err
		}
		var l list
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			return nil, fmt.Errorf("reading Woven's list of node %s: %w", b.Nodes[index], err)
		}
		return l.shimmed()
	}
	return list{CNIVersion: "1.1.0", Name: "bench", Plugins: []map[string]any{
		{
			"type": "bridge", "bridge": "bench0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
			"ipam": map[string]any{
				"type": "host-local", "dataDir": "/run/bench-ipam",
				"ranges": [][]map[string]string{{{"subnet": fmt.Sprintf("10.99.%d.0/24", index)}}},
				"routes": []map[string]string{{"dst": "0.0.0.0/0"}},
			},
		},
		{"type": "portmap", "capabilities": map[string]bool{"portMappings": true}},
	}}.shimmed()
}

// enter makes all nodes use a contender's list. While the bridge plugin is measured there is no controller: its work for
// pods that are not Woven's would slow the bridge plugin down.
func (b *bench) enter(ctx context.Context, who contender) error {
	ctx, cancel := context.WithTimeoutCause(ctx, turnTime, fmt.Errorf("changing to %s took more than %s", who, turnTime))
	defer cancel()
	if err := b.setControllers(ctx, who == woven); err != nil {
		return err
	}
	for i, node := range b.Nodes {
		conf, err := b.conflist(ctx, who, i)
		if err != nil {
			return err
		}
		if err := b.PutOnNode(ctx, node, confDir+"."+confName, conf); err != nil {
			return err
		}
		if _, err := b.OnNode(ctx, node, fmt.Sprintf("cd /host%[1]s && mv .%[2]s %[2]s", confDir, confName)); err != nil {
			return err
		}
	}
	for _, node := range b.Nodes {
		if err := framework.Until(ctx, func(ctx context.Context) error { return b.tryOut(ctx, who, node) }); err != nil {
			return fmt.Errorf("changing node %s to %s: %w", node, who, err)
		}
	}
	return nil
}

// tryOut starts a pod on a node, which also warms its caches, and checks who attached it.
func (b *bench) tryOut(parent context.Context, who contender, node string) error {
	ctx, cancel := context.WithTimeout(parent, time.Minute)
	defer cancel()
	p := framework.Idle("", framework.On(node))
	p.Namespace, p.GenerateName, p.Labels = b.namespace, string(warmup)+"-", nil
	if _, err := b.startAndStop(ctx, p); err != nil {
		// What was attached under one list is not to be met under the other.
		if b.Delete(parent, p) == nil {
			err = errors.Join(err, b.awaitNone(parent))
		}
		return err
	}
	calls, err := b.logOf(ctx, node)
	if err != nil {
		return err
	}
	expected := map[contender]string{woven: "woven-cni", bridge: "bridge"}[who]
	for _, c := range calls {
		if c.Pod == p.Name && c.Plugin == expected && c.Command == "ADD" {
			return nil
		}
	}
	return fmt.Errorf("pod %s was not attached by %s", p.Name, expected)
}

func (b *bench) setControllers(ctx context.Context, running bool) error {
	switch {
	case running && b.controllers > 0:
		_, err := b.Scale(ctx, b.controllers)
		b.controllers = 0
		return err
	case !running && b.controllers == 0:
		before, err := b.Scale(ctx, 0)
		b.controllers = before
		return err
	}
	return nil
}

// readLogs takes what the shims noted since the last time.
func (b *bench) readLogs(ctx context.Context) ([]timing.Call, error) {
	var all []timing.Call
	for _, node := range b.Nodes {
		calls, err := b.logOf(ctx, node)
		if err != nil {
			return nil, err
		}
		all = append(all, calls...)
		if _, err := b.OnNode(ctx, node, "rm -f /host"+timing.Log); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (b *bench) logOf(ctx context.Context, node string) ([]timing.Call, error) {
	text, err := b.OnNode(ctx, node, "cat /host"+timing.Log+" 2>/dev/null || true")
	if err != nil {
		return nil, err
	}
	if text == "" {
		return nil, nil
	}
	return timing.Parse(text + "\n")
}

// restore leaves the cluster as it was found.
func (b *bench) restore(ctx context.Context) error {
	var errs []error
	if b.namespace != "" {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: b.namespace}}
		errs = append(errs, client.IgnoreNotFound(b.Delete(ctx, ns)), b.awaitNone(ctx))
	}
	remove := []string{"/host" + confDir + "*" + confName, "/host" + timing.Log, "/host/run/bench-ipam"}
	for _, p := range plugins {
		remove = append(remove, "/host"+binDir+timing.Prefix+p)
	}
	script := fmt.Sprintf(`cd /host%[1]s; for p in bridge host-local; do [ "$(readlink $p)" = %[2]sreal-$p ] && rm -f $p; rm -f %[2]sreal-$p; done
rm -rf %[3]s; ip link del bench0 2>/dev/null; true`, binDir, timing.Prefix, strings.Join(remove, " "))
	for _, node := range b.Nodes {
		_, err := b.OnNode(ctx, node, script)
		errs = append(errs, err)
	}
	return errors.Join(append(errs, b.setControllers(ctx, true))...)
}

func deployment(namespace, name string, replicas int32) *appsv1.Deployment {
	p := framework.Idle(name)
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: ptr.To(replicas),
			Selector: &metav1.LabelSelector{MatchLabels: p.Labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: p.Labels}, Spec: p.Spec},
		},
	}
}
