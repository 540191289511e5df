package v1_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	crdvalidation "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	schemavalidation "k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/common"
	"sigs.k8s.io/yaml"

	kubeovnv1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
)

var update = flag.Bool("update", false, "write what is seen into the goldens")

const crdDir = "../../../../charts/woven/crds"

// server does with an object of one kind what the API server does.
type server struct {
	structural *structuralschema.Structural
	schema     schemavalidation.SchemaValidator
	rules      *cel.Validator
}

// load reads a generated CRD and checks it as the API server would when it is
// created, which includes the cost of its rules.
func load(t *testing.T, kind string) server {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(crdDir, "kubeovn.io_"+kind+"s.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var v1 apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(text, &v1); err != nil {
		t.Fatal(err)
	}
	apiextensionsv1.SetDefaults_CustomResourceDefinition(&v1)
	apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&v1.Spec)
	v1.Status.StoredVersions = []string{"v1"}
	var crd apiextensions.CustomResourceDefinition
	if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(&v1, &crd, nil); err != nil {
		t.Fatal(err)
	}
	if errs := crdvalidation.ValidateCustomResourceDefinition(t.Context(), &crd); len(errs) > 0 {
		t.Fatalf("the API server would refuse the CRD: %v", errs.ToAggregate())
	}
	var schema apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(v1.Spec.Versions[0].Schema.OpenAPIV3Schema, &schema, nil); err != nil {
		t.Fatal(err)
	}
	structural, err := structuralschema.NewStructural(&schema)
	if err != nil {
		t.Fatal(err)
	}
	validator, _, err := schemavalidation.NewSchemaValidator(&schema)
	if err != nil {
		t.Fatal(err)
	}
	return server{structural, validator, cel.NewValidator(structural, true, celconfig.PerCallLimit)}
}

// answer is what the API server says to an object, or to the change from old.
func (s server) answer(ctx context.Context, object, old map[string]any) string {
	unknown := pruning.PruneWithOptions(object, s.structural, true, structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	var said []string
	for _, path := range unknown {
		said = append(said, path+": unknown field")
	}
	defaulting.Default(object, s.structural)
	for _, err := range s.validate(ctx, object, old) {
		said = append(said, err.Error())
	}
	slices.Sort(said)
	if len(said) == 0 {
		return "accepted\n"
	}
	return strings.Join(said, "\n") + "\n"
}

// validate is the schema and then the rules. What a change leaves as it was is not
// held against it.
func (s server) validate(ctx context.Context, object, old map[string]any) field.ErrorList {
	if old == nil {
		if errs := schemavalidation.ValidateCustomResource(nil, object, s.schema); len(errs) > 0 {
			return errs
		}
		errs, _ := s.rules.Validate(ctx, nil, s.structural, object, nil, celconfig.RuntimeCELCostBudget)
		return errs
	}
	defaulting.Default(old, s.structural)
	both := common.NewCorrelatedObject(object, old, &model.Structural{Structural: s.structural})
	errs := schemavalidation.ValidateCustomResourceUpdate(nil, object, old, s.schema, schemavalidation.WithRatcheting(both))
	if len(errs) > 0 {
		return errs
	}
	errs, _ = s.rules.Validate(ctx, nil, s.structural, object, old, celconfig.RuntimeCELCostBudget, cel.WithRatcheting(both))
	return errs
}

// Each page of testdata/crd has an object, maybe the one it replaces, and the
// answer of the API server.
func TestCRDs(t *testing.T) {
	servers := map[string]server{}
	for kind := range kinds(t) {
		servers[kind] = load(t, kind)
	}
	pages, err := filepath.Glob("testdata/crd/*.txtar")
	if err != nil || len(pages) == 0 {
		t.Fatal("no pages", err)
	}
	for _, path := range pages {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			page, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var object, old map[string]any
			var want *txtar.File
			for i, file := range page.Files {
				switch file.Name {
				case "object":
					object = decode(t, file.Data)
				case "old":
					old = decode(t, file.Data)
				case "want":
					want = &page.Files[i]
				}
			}
			got := servers[strings.ToLower(object["kind"].(string))].answer(t.Context(), object, old)
			if *update {
				want.Data = []byte(got)
				if err := os.WriteFile(path, txtar.Format(page), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got != string(want.Data) {
				t.Errorf("got\n%swant\n%s", got, want.Data)
			}
		})
	}
}

// What the CRDs accept survives a trip through the Go types: no field is lost.
func TestTypesHaveAllFields(t *testing.T) {
	for kind, into := range kinds(t) {
		page, err := txtar.ParseFile("testdata/crd/" + kind + "-everything.txtar")
		if err != nil {
			t.Fatal(err)
		}
		want := decode(t, page.Files[0].Data)
		if err := yaml.UnmarshalStrict(page.Files[0].Data, into); err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		text, err := json.Marshal(into)
		if err != nil {
			t.Fatal(err)
		}
		wantText, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		gotText, err := json.Marshal(decode(t, text))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(gotText, wantText) {
			t.Errorf("%s: got\n%s\nwant\n%s", kind, gotText, wantText)
		}
	}
}

// kinds are an empty object of each kind, by its name in lower case.
func kinds(t *testing.T) map[string]runtime.Object {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := kubeovnv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	out := map[string]runtime.Object{}
	for kind, of := range scheme.KnownTypes(kubeovnv1.GroupVersion) {
		if obj, is := reflect.New(of).Interface().(metav1.Object); is {
			out[strings.ToLower(kind)] = obj.(runtime.Object)
		}
	}
	return out
}

func decode(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var object map[string]any
	if err := yaml.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	return integers(object).(map[string]any)
}

// integers makes int64 of whole numbers, as the API server's decoder does.
func integers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key := range v {
			v[key] = integers(v[key])
		}
	case []any:
		for i := range v {
			v[i] = integers(v[i])
		}
	case float64:
		if v == float64(int64(v)) && v < 1<<63 {
			return int64(v)
		}
	}
	return v
}
