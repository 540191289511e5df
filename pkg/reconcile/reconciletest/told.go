package reconciletest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// snapshot is an object as JSON without what changes at every write, or nil when there is none.
func snapshot(t *testing.T, c *Cluster, like client.Object, key types.NamespacedName) []byte {
	t.Helper()
	obj := newLike(t, c, like)
	if err := c.Get(t.Context(), key, obj); errors.IsNotFound(err) {
		return nil
	} else if err != nil {
		t.Fatal(err)
	}
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		t.Fatal(err)
	}
	if meta, ok := fields["metadata"].(map[string]any); ok {
		delete(meta, "resourceVersion")
	}
	if status, ok := fields["status"].(map[string]any); ok {
		if conditions, ok := status["conditions"].([]any); ok {
			status["conditions"] = oneLine(conditions)
		}
	}
	text, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// oneLine writes each condition as kubectl describe's reader takes it in: type, status, reason, message.
func oneLine(conditions []any) []any {
	out := make([]any, len(conditions))
	for i, c := range conditions {
		m, ok := c.(map[string]any)
		if !ok {
			out[i] = c
			continue
		}
		text := fmt.Sprintf("%v %v %v", m["type"], m["status"], m["reason"])
		if message := m["message"]; message != nil {
			text += fmt.Sprintf(": %v", message)
		}
		out[i] = text
	}
	return out
}

// changes are the fields that differ between two snapshots, as YAML.
func changes(t *testing.T, before, after []byte) string {
	t.Helper()
	switch {
	case before == nil:
		return ""
	case after == nil:
		return "the object goes\n"
	}
	patch, err := jsonpatch.CreateMergePatch(before, after)
	if err != nil {
		t.Fatal(err)
	}
	text, err := yaml.JSONToYAML(patch)
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(string(text)) == "{}" {
		return ""
	}
	return "written:\n  " + strings.ReplaceAll(strings.TrimRight(string(text), "\n"), "\n", "\n  ") + "\n"
}
