package reconciletest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	v1 "github.com/woven-cni/woven/pkg/apis/kubeovn/v1"
	"github.com/woven-cni/woven/pkg/ovs/ovstest"
	"github.com/woven-cni/woven/pkg/reconcile"
)

// Page is one txtar file.
type Page struct {
	// Objects are in the cluster.
	Objects []client.Object
	// Options are the operator's settings.
	Options map[string]string

	keys []types.NamespacedName
}

// Option is the value of a setting, or the fallback.
func (p Page) Option(name, fallback string) string {
	if v, ok := p.Options[name]; ok {
		return v
	}
	return fallback
}

// Judge makes the Subnets of a page such as the controller has accepted, unless their status says something else.
func (p Page) Judge() {
	for _, obj := range p.Objects {
		if s, ok := obj.(*v1.Subnet); ok && len(s.Status.Conditions) == 0 {
			s.Status.Conditions = []v1.Condition{{
				Type: v1.ConditionValidated, Status: metav1.ConditionTrue, Reason: v1.ReasonValid, ObservedGeneration: s.Generation,
			}}
		}
	}
}

// Golden runs a feature on every page of testdata. The feature is made by build, on a cluster that is not yet loaded;
// started, which may be nil, is called when it is, before the first key is reconciled.
func Golden[In any](t *testing.T, build func(t *testing.T, c *Cluster, p Page) reconcile.Feature[In]) {
	t.Helper()
	GoldenIn(t, "testdata", build)
}

// GoldenIn is Golden for the pages of another directory: that of a package's second feature.
func GoldenIn[In any](t *testing.T, dir string, build func(t *testing.T, c *Cluster, p Page) reconcile.Feature[In]) {
	t.Helper()
	pages, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("no pages in %s (%v)", dir, err)
	}
	for _, path := range pages {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if len(bytes.TrimSpace(archive.Comment)) == 0 {
				t.Errorf("%s does not say what it proves: begin it with a sentence", path)
			}
			cluster := NewCluster(t)
			page := read(t, cluster, archive)
			feature := build(t, cluster, page)
			cluster.Load(page.Objects...)
			compare(t, path, archive, play(t, cluster, page, feature))
		})
	}
}

func read(t *testing.T, c *Cluster, archive *txtar.Archive) Page {
	t.Helper()
	page := Page{Options: map[string]string{}}
	for _, file := range archive.Files {
		switch {
		case strings.HasSuffix(file.Name, ".yaml"):
			page.Objects = append(page.Objects, Decode(t, c, file.Data)...)
		case file.Name == "options":
			for _, line := range strings.Fields(strings.ReplaceAll(string(file.Data), " ", "=")) {
				name, value, _ := strings.Cut(line, "=")
				page.Options[name] = value
			}
		case file.Name == "keys":
			for _, key := range strings.Fields(string(file.Data)) {
				page.keys = append(page.keys, reconcile.ParseKey(key))
			}
		case file.Name != "want":
			t.Fatalf("a page has files *.yaml, options, keys and want, not %s", file.Name)
		}
	}
	return page
}

// Decode reads the objects of a YAML text. A field that their types do not have is a mistake.
func Decode(t *testing.T, c *Cluster, text []byte) []client.Object {
	t.Helper()
	decoder := serializer.NewCodecFactory(c.scheme, serializer.EnableStrict).UniversalDeserializer()
	var out []client.Object
	for docs := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text))); ; {
		doc, err := docs.Read()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(bytes.TrimSpace(doc)) == 0 {
			continue
		}
		obj, _, err := decoder.Decode(doc, nil, nil)
		if err != nil {
			t.Fatalf("reading an object: %v\n%s", err, doc)
		}
		out = append(out, obj.(client.Object))
	}
}

// play reconciles the keys of a page, one after the other, and writes down what comes out.
func play[In any](t *testing.T, c *Cluster, page Page, f reconcile.Feature[In]) string {
	t.Helper()
	keys := page.keys
	if keys == nil {
		for _, obj := range page.Objects {
			if reflect.TypeOf(obj) == reflect.TypeOf(f.For) {
				keys = append(keys, client.ObjectKeyFromObject(obj))
			}
		}
	}
	var b strings.Builder
	for _, key := range keys {
		before := snap(t, c, f.For, key)
		in, err := f.Gather(t.Context(), c, key)
		if err != nil {
			t.Fatalf("gathering %s: %v", key, err)
		}
		done := func(reconcile.Outcome) {}
		if f.Claim != nil {
			told, err := f.Claim(t.Context(), key, &in)
			if err != nil {
				t.Fatalf("claiming for %s: %v", key, err)
			}
			if told != nil {
				done = told
			}
		}
		want, problems := f.Translate(in)
		if again, same := f.Translate(in); !reflect.DeepEqual(want, again) || !reflect.DeepEqual(problems, same) {
			t.Errorf("translating %s twice makes two different answers", key)
		}
		fmt.Fprintf(&b, "== %s %s\n", f.Name, reconcile.Key(key))
		switch {
		case len(problems.Blocking()) > 0 && len(want.Rows) == 0:
			b.WriteString("nothing is sent\n")
		case len(want.Rows) == 0:
			b.WriteString("no rows\n")
		default:
			b.WriteString(dump(t, want))
		}
		for _, p := range problems {
			verb := "refused"
			if p.Advisory {
				verb = "advice"
			}
			fmt.Fprintf(&b, "%s: %s (%s)\n", verb, p, p.Reason)
		}
		out := reconcile.Outcome{Problems: problems}
		done(out)
		if err := f.Tell(t.Context(), c, key, in, out); err != nil {
			t.Fatalf("telling %s: %v", key, err)
		}
		b.WriteString(changes(t, before, snap(t, c, f.For, key)))
		for _, event := range c.Events.Take() {
			fmt.Fprintf(&b, "event: %s\n", event)
		}
	}
	return b.String()
}

func compare(t *testing.T, path string, archive *txtar.Archive, got string) {
	t.Helper()
	for i := range archive.Files {
		file := &archive.Files[i]
		if file.Name != "want" {
			continue
		}
		if want := string(file.Data); got != want && !ovstest.Updating() {
			t.Errorf("%s: `go test -update` would change it\n%s", path, diff(want, got))
		}
		file.Data = []byte(got)
	}
	if !ovstest.Updating() {
		if !slices.ContainsFunc(archive.Files, func(f txtar.File) bool { return f.Name == "want" }) {
			t.Errorf("%s wants nothing: `go test -update` writes what comes out", path)
		}
		return
	}
	if n := len(archive.Files); archive.Files[n-1].Name != "want" {
		archive.Files = append(archive.Files, txtar.File{Name: "want", Data: []byte(got)})
	}
	if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
		t.Fatal(err)
	}
}

// diff marks the lines that only one of the texts has.
func diff(want, got string) string {
	in := func(text string) map[string]bool {
		set := map[string]bool{}
		for line := range strings.Lines(text) {
			set[line] = true
		}
		return set
	}
	wanted, have := in(want), in(got)
	var b strings.Builder
	for line := range strings.Lines(want) {
		if !have[line] {
			b.WriteString("- " + line)
		}
	}
	for line := range strings.Lines(got) {
		mark := "  "
		if !wanted[line] {
			mark = "+ "
		}
		b.WriteString(mark + line)
	}
	return b.String()
}

// newLike is an empty object of the same kind.
func newLike(t *testing.T, c *Cluster, like client.Object) client.Object {
	t.Helper()
	gvk, err := apiutil.GVKForObject(like, c.scheme)
	if err != nil {
		t.Fatal(err)
	}
	obj, err := c.scheme.New(gvk)
	if err != nil {
		t.Fatal(err)
	}
	return obj.(client.Object)
}
