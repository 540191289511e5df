package reconciletest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// snapshot is what a reader of an object sees: its fields without the empty ones and without what changes at every
// write, and its conditions, a line each.
type snapshot struct {
	exists     bool
	fields     []byte
	conditions []string
}

func snap(t *testing.T, c *Cluster, like client.Object, key types.NamespacedName) snapshot {
	t.Helper()
	obj := newLike(t, c, like)
	if err := c.Get(t.Context(), key, obj); errors.IsNotFound(err) {
		return snapshot{}
	} else if err != nil {
		t.Fatal(err)
	}
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		t.Fatal(err)
	}
	field, _, err := unstructured.NestedFieldNoCopy(fields, "status", "conditions")
	if err != nil {
		t.Fatal(err)
	}
	conditions, _ := field.([]any) // null where the type writes an empty list so
	unstructured.RemoveNestedField(fields, "status", "conditions")
	unstructured.RemoveNestedField(fields, "metadata", "resourceVersion")
	unstructured.RemoveNestedField(fields, "metadata", "generation")
	dropEmpty(fields)
	text, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return snapshot{exists: true, fields: text, conditions: lines(conditions)}
}

// lines writes each condition as the reader of kubectl describe takes it in: type, status, reason, message.
func lines(conditions []any) []string {
	var out []string
	for _, c := range conditions {
		m := c.(map[string]any)
		text := fmt.Sprintf("%v %v %v", m["type"], m["status"], m["reason"])
		if message := m["message"]; message != nil {
			text += fmt.Sprintf(": %v", message)
		}
		out = append(out, text)
	}
	return out
}

// dropEmpty removes empty texts, zeros and false, so that a page shows what an object says.
func dropEmpty(fields map[string]any) {
	for key, value := range fields {
		switch v := value.(type) {
		case map[string]any:
			dropEmpty(v)
			if len(v) == 0 {
				delete(fields, key)
			}
		case nil:
			delete(fields, key)
		case string, bool, int64, float64:
			if v == "" || v == false || v == int64(0) || v == float64(0) {
				delete(fields, key)
			}
		}
	}
}

// changes are what became of an object: the conditions that are new, and the other fields that differ, as YAML.
func changes(t *testing.T, before, after snapshot) string {
	t.Helper()
	switch {
	case !before.exists:
		return ""
	case !after.exists:
		return "the object goes\n"
	}
	var b strings.Builder
	for _, c := range after.conditions {
		if !slices.Contains(before.conditions, c) {
			fmt.Fprintf(&b, "condition: %s\n", c)
		}
	}
	patch, err := jsonpatch.CreateMergePatch(before.fields, after.fields)
	if err != nil {
		t.Fatal(err)
	}
	text, err := yaml.JSONToYAML(patch)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != "{}\n" {
		b.WriteString("written:\n")
		for line := range strings.Lines(string(text)) {
			b.WriteString("  " + line)
		}
	}
	return b.String()
}
