package woven_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/cel-go/cel"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/apiserver/pkg/cel/environment"
	"sigs.k8s.io/yaml"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
)

// policy is one of the chart's ValidatingAdmissionPolicies, and judges as the API server does.
type policy struct {
	t    *testing.T
	spec admissionregistrationv1.ValidatingAdmissionPolicySpec
	env  *cel.Env
}

// newPolicy finds a policy in the manifest, which TestManifest holds against the chart.
func newPolicy(t *testing.T, name string) *policy {
	t.Helper()
	manifest, err := os.ReadFile("../../yamls/woven.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p := &policy{t: t}
	for doc := range strings.SplitSeq(string(manifest), "\n---\n") {
		var found admissionregistrationv1.ValidatingAdmissionPolicy
		if !strings.Contains(doc, "\nkind: ValidatingAdmissionPolicy\n") || !strings.Contains(doc, "\n  name: "+name+"\n") {
			continue
		}
		if err := yaml.UnmarshalStrict([]byte(doc), &found); err != nil {
			t.Fatal(err)
		}
		p.spec = found.Spec
	}
	if len(p.spec.Validations) == 0 {
		t.Fatalf("the chart has no policy %s", name)
	}
	set, err := environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()).Extend(environment.VersionedOptions{
		IntroducedVersion: version.MajorMinor(1, 0),
		EnvOptions: []cel.EnvOption{
			cel.Variable("object", cel.DynType), cel.Variable("oldObject", cel.DynType), cel.Variable("request", cel.DynType),
			cel.Variable("variables", cel.DynType),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if p.env, err = set.Env(environment.NewExpressions); err != nil {
		t.Fatal(err)
	}
	return p
}

// evaluate is the value of an expression.
func (p *policy) evaluate(expression string, about map[string]any) any {
	p.t.Helper()
	ast, issues := p.env.Compile(expression)
	if issues.Err() != nil {
		p.t.Fatal(issues.Err())
	}
	program, err := p.env.Program(ast)
	if err != nil {
		p.t.Fatal(err)
	}
	value, _, err := program.Eval(about)
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return value.Value()
}

// admits says whether a request passes.
func (p *policy) admits(user string, before, after map[string]any) bool {
	p.t.Helper()
	variables := map[string]any{}
	about := map[string]any{
		"object": after, "oldObject": nil, "variables": variables,
		"request": map[string]any{"userInfo": map[string]any{"username": user}},
	}
	if before != nil {
		about["oldObject"] = before
	}
	for _, c := range p.spec.MatchConditions {
		if p.evaluate(c.Expression, about) != true {
			return true
		}
	}
	for _, v := range p.spec.Variables {
		variables[v.Name] = p.evaluate(v.Expression, about)
	}
	return !slices.ContainsFunc(p.spec.Validations, func(v admissionregistrationv1.Validation) bool {
		return p.evaluate(v.Expression, about) != true
	})
}

// podWith is a pod of the UID "u" with annotations, or a Binding, which has no UID that counts.
func podWith(annotations map[string]string) map[string]any {
	meta := map[string]any{"name": "web", "uid": "u"}
	if annotations != nil {
		meta["annotations"] = annotations
	}
	return map[string]any{"metadata": meta}
}

func TestPodAddressesAreTheControllers(t *testing.T) {
	p := newPolicy(t, "woven-pod-addresses")
	answer := map[string]string{}
	for _, key := range v1.AnswerAnnotations() {
		answer[key] = "value of " + key
	}
	answer[v1.AnnotationAllocatedUID] = "u"
	changed := func(from map[string]string, key, value string) map[string]any {
		next := map[string]string{key: value}
		for k, v := range from {
			if k != key {
				next[k] = v
			}
		}
		return podWith(next)
	}
	for _, key := range v1.AnswerAnnotations() {
		if p.admits("eve", podWith(answer), changed(answer, key, "mine")) {
			t.Errorf("anybody may edit %s of a pod that has its addresses", key)
		}
		if p.admits("eve", nil, changed(nil, key, "mine")) {
			t.Errorf("a Binding may bring %s", key)
		}
		marks := slices.Contains(v1.MarkAnnotations(), key)
		if p.admits("eve", podWith(nil), changed(nil, key, "mine")) == marks {
			t.Errorf("on a pod that waits, %s can be set: %v", key, !marks)
		}
	}
	for name, r := range map[string]struct {
		user          string
		before, after map[string]any
		admitted      bool
	}{
		"the controller tells":         {"system:serviceaccount:kube-system:woven-controller", podWith(nil), podWith(answer), true},
		"another namespace's":          {"system:serviceaccount:shop:woven-controller", podWith(nil), podWith(answer), false},
		"all removed":                  {"eve", podWith(answer), podWith(nil), false},
		"a kubelet writes the status":  {"system:node:n1", podWith(answer), podWith(answer), true},
		"a pod without annotations":    {"system:node:n1", podWith(nil), podWith(nil), true},
		"another annotation":           {"eve", podWith(answer), changed(answer, "team", "red"), true},
		"a copied answer is a request": {"eve", podWith(map[string]string{v1.AnnotationAllocatedUID: "other"}), podWith(map[string]string{v1.AnnotationAllocatedUID: "other", v1.AnnotationIPAddress: "10.16.0.9"}), true},
		"the scheduler binds":          {"system:kube-scheduler", nil, podWith(nil), true},
		"a binding with an annotation": {"eve", nil, podWith(map[string]string{"team": "red"}), true},
	} {
		if got := p.admits(r.user, r.before, r.after); got != r.admitted {
			t.Errorf("%s: admitted is %v", name, got)
		}
	}
}

// TestPodAddressesAreListed holds the chart's lists against Go's.
func TestPodAddressesAreListed(t *testing.T) {
	p := newPolicy(t, "woven-pod-addresses")
	var listed []string
	for _, v := range p.spec.Validations {
		listed = append(listed, regexp.MustCompile(`"ovn\.kubernetes\.io/[a-z_]+"`).FindAllString(v.Expression, -1)...)
	}
	for i := range listed {
		listed[i] = strings.Trim(listed[i], `"`)
	}
	slices.Sort(listed)
	if want := slices.Sorted(slices.Values(v1.AnswerAnnotations())); !slices.Equal(listed, want) {
		t.Errorf("the policy guards %v, and the controller writes %v", listed, want)
	}
}
