package woven_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// places are the files that the parts of a feature stand in, by the field of reconcile.Feature that has them.
var places = map[string]string{
	"Seed": "seed.go", "Gather": "gather.go", "Claim": "claim.go", "Translate": "translate.go", "Report": "report.go", "Record": "report.go",
}

// TestFeaturesHaveOneShape lets whoever knows one feature find everything in all others: the folder's purpose in doc.go, how it is
// registered and what wakes it in feature.go, its input beside Translate, and each part in the file that is called like it. A function of
// a line or two may stand in feature.go without a name.
func TestFeaturesHaveOneShape(t *testing.T) {
	features := 0
	for _, p := range packages(t) {
		dir := p.rel()
		if !strings.HasPrefix(dir, "pkg/") || forTests(dir) {
			continue
		}
		files := parse(t, p)
		declared := declarations(files)
		for file, syntax := range files {
			for _, feature := range featuresOf(syntax) {
				features++
				if file != "feature.go" || files["doc.go"] == nil {
					t.Errorf("%s makes a reconcile.Feature in %s: it belongs into feature.go, beside a doc.go that says what the package makes", dir, file)
				}
				for name, place := range parts(feature) {
					for _, at := range declared[name] {
						if at != place {
							t.Errorf("%s has %s in %s: it belongs into %s, where all features have it", dir, name, at, place)
						}
					}
				}
			}
		}
	}
	if features == 0 {
		t.Error("no feature was found: how they are made has changed, and this test has to follow")
	}
}

// parse reads the files of a package, by name.
func parse(t *testing.T, p listed) map[string]*ast.File {
	t.Helper()
	files := map[string]*ast.File{}
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(filepath.FromSlash(p.rel()), name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = f
	}
	return files
}

// declarations are the files that functions, methods and types of a name stand in.
func declarations(files map[string]*ast.File) map[string][]string {
	out := map[string][]string{}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		for _, d := range files[file].Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				out[d.Name.Name] = append(out[d.Name.Name], file)
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if spec, is := s.(*ast.TypeSpec); is {
						out[spec.Name.Name] = append(out[spec.Name.Name], file)
					}
				}
			}
		}
	}
	return out
}

// featuresOf are the values of reconcile.Feature in a file.
func featuresOf(file *ast.File) []*ast.CompositeLit {
	var out []*ast.CompositeLit
	ast.Inspect(file, func(n ast.Node) bool {
		literal, is := n.(*ast.CompositeLit)
		if !is {
			return true
		}
		if generic, is := literal.Type.(*ast.IndexExpr); is {
			if of, is := generic.X.(*ast.SelectorExpr); is && nameOf(of.X) == "reconcile" && of.Sel.Name == "Feature" {
				out = append(out, literal)
			}
		}
		return true
	})
	return out
}

// parts are the names of a feature's parts and of its input, and where each belongs.
func parts(feature *ast.CompositeLit) map[string]string {
	out := map[string]string{nameOf(feature.Type.(*ast.IndexExpr).Index): "translate.go"}
	for _, e := range feature.Elts {
		field, is := e.(*ast.KeyValueExpr)
		if !is {
			continue
		}
		if place, known := places[nameOf(field.Key)]; known && nameOf(field.Value) != "" {
			out[nameOf(field.Value)] = place
		}
	}
	return out
}

// nameOf is the last name in an expression that names something; none for a function without a name.
func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.CallExpr:
		return nameOf(e.Fun)
	}
	return ""
}
