package cni

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/spec"
)

// kustomize refuses a patch that replaces or removes what the manifest does not have. Those of clusters with virtual machines are
// seen by nobody else for weeks.
func TestPatchesFitTheManifest(t *testing.T) {
	manifest, err := os.ReadFile("../../../../../yamls/woven.yaml")
	if err != nil {
		t.Fatal(err)
	}
	objects := map[string]any{}
	for _, document := range strings.Split(string(manifest), "\n---\n") {
		var object map[string]any
		if err := yaml.Unmarshal([]byte(document), &object); err != nil {
			t.Fatal(err)
		}
		if meta, ok := object["metadata"].(map[string]any); ok {
			objects[object["kind"].(string)+"/"+meta["name"].(string)] = object
		}
	}
	var all struct {
		Patches []struct {
			Target struct{ Kind, Name string }
			Patch  string
		}
	}
	if err := yaml.Unmarshal([]byte(kustomization(spec.Cluster{Nodes: 1, VMNodes: 1})), &all); err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, p := range all.Patches {
		var operations []struct{ Op, Path string }
		if err := yaml.Unmarshal([]byte(p.Patch), &operations); err != nil {
			t.Fatal(err)
		}
		for _, o := range operations {
			path, _ := strings.CutSuffix(o.Path, "/-")
			if !has(objects[p.Target.Kind+"/"+p.Target.Name], strings.Split(strings.TrimPrefix(path, "/"), "/")) {
				t.Errorf("%s/%s has no %s to %s", p.Target.Kind, p.Target.Name, o.Path, o.Op)
			}
			checked++
		}
	}
	if checked < 8 {
		t.Errorf("only %d patches were read", checked)
	}
}

// has says whether an object has something at a path of keys and indexes.
func has(object any, path []string) bool {
	if len(path) == 0 {
		return object != nil
	}
	switch in := object.(type) {
	case map[string]any:
		return has(in[path[0]], path[1:])
	case []any:
		i, err := strconv.Atoi(path[0])
		return err == nil && i < len(in) && has(in[i], path[1:])
	}
	return false
}
