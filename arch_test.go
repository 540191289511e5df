// Package woven_test holds the rules that no single package can hold: who may import whom, and what every package and
// file of the repository has in common. A failure names the rule, the culprit and the ways out.
package woven_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/woven-cni/woven"

// ladder is the order of the packages of the control plane: each may import those of the rungs above its own line, and
// none of its own line. A package belongs below those whose rows its rows refer to. A new feature is one more name on
// the last rung.
var ladder = [][]string{
	{
		"pkg/apis/kubeovn/v1", "pkg/ipam", "pkg/ovs/nb", "pkg/ovs/vswitch",
		"pkg/ovs/internal/schema", "pkg/ovs/internal/session",
	},
	{"pkg/ovs", "pkg/spec"},
	{"pkg/ovs/internal/record"},
	{"pkg/ovs/internal/cache"},
	{"pkg/ovs/internal/plan"},
	{"pkg/ovs/engine"},
	{"pkg/reconcile"},
	{"pkg/meter", "pkg/port"},
	{"pkg/pool"},
	{"pkg/cidr"},
	{"pkg/nodeaddr", "pkg/vpc"},
	{"pkg/group", "pkg/subnet"},
	{"pkg/ippool"},
	{"pkg/namespace", "pkg/node", "pkg/pod", "pkg/policy/rules"},
	{"pkg/central", "pkg/ip", "pkg/policy", "pkg/service"},
}

// nodeSide are the trees that run on the nodes. They stand beside the ladder: they may import each other and the first
// nodeSideRungs rungs of it.
var nodeSide = []string{"pkg/host", "pkg/cni"}

const nodeSideRungs = 6

// notNames are names of packages that say nothing of what is in them.
var notNames = []string{"util", "utils", "common", "types", "helpers", "helper", "manager", "misc", "base", "shared"}

// listed is what `go list` tells of a package.
type listed struct {
	ImportPath, Name, Doc  string
	GoFiles, Imports, Deps []string
}

// rel is the package's directory from the root of the repository.
func (p listed) rel() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
}

// ours are the directories of the packages of this module that p imports, its tests aside.
func (p listed) ours() []string {
	var out []string
	for _, i := range p.Imports {
		if strings.HasPrefix(i, module+"/") {
			out = append(out, strings.TrimPrefix(i, module+"/"))
		}
	}
	return out
}

// packages are those of the module that have code beside their tests. They are listed once: it takes seconds.
func packages(t *testing.T) []listed {
	t.Helper()
	all, err := listPackages()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var listPackages = sync.OnceValues(func() ([]listed, error) {
	out, err := run("go", "list", "-json=ImportPath,Name,Doc,GoFiles,Imports,Deps", "./...")
	if err != nil {
		return nil, err
	}
	var all []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("reading what go list says: %w", err)
		}
		if len(p.GoFiles) > 0 {
			all = append(all, p)
		}
	}
})

func run(name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", cmd, err, stderr.String())
	}
	return out, nil
}

// forTests says whether the package exists for tests only: its name, or that of a directory it is in, ends so, and only
// tests may import it.
func forTests(dir string) bool {
	return strings.HasPrefix(dir, "test/") || slices.ContainsFunc(strings.Split(dir, "/"), func(part string) bool {
		return strings.HasSuffix(part, "test")
	})
}

func rungOf(dir string) (int, bool) {
	i := slices.IndexFunc(ladder, func(rung []string) bool { return slices.Contains(rung, dir) })
	return i, i >= 0
}

func onNodeSide(dir string) bool {
	return slices.ContainsFunc(nodeSide, func(tree string) bool { return dir == tree || strings.HasPrefix(dir, tree+"/") })
}

// TestImportLadder keeps features from knowing each other. What two features share belongs to the one whose rows the
// other's refer to; what neither owns belongs to pkg/reconcile or pkg/ovs.
func TestImportLadder(t *testing.T) {
	for _, p := range packages(t) {
		dir := p.rel()
		if !strings.HasPrefix(dir, "pkg/") || forTests(dir) {
			continue
		}
		rung, onLadder := rungOf(dir)
		if !onLadder && !onNodeSide(dir) {
			t.Errorf("%s has no place: add it to the ladder in arch_test.go, below the packages whose rows its rows refer to", dir)
			continue
		}
		for _, other := range p.ours() {
			otherRung, otherOnLadder := rungOf(other)
			switch {
			case onLadder && onNodeSide(other):
				t.Errorf("%s imports %s: the control plane must not depend on what runs on nodes; "+
					"move what both need to the first rungs of the ladder in arch_test.go", dir, other)
			case onLadder && otherOnLadder && otherRung == rung:
				t.Errorf("%s imports %s, its sibling: move what both need up the ladder in arch_test.go, or join the two", dir, other)
			case onLadder && otherOnLadder && otherRung > rung:
				t.Errorf("%s imports %s, which is below it on the ladder in arch_test.go: turn the dependency round; "+
					"the package whose rows are referred to exports the name of the row", dir, other)
			case !onLadder && otherOnLadder && otherRung >= nodeSideRungs:
				t.Errorf("%s imports %s: the node's side may use the first %d rungs of the ladder in arch_test.go only",
					dir, other, nodeSideRungs)
			case strings.HasPrefix(other, "cmd/"):
				t.Errorf("%s imports the command %s", dir, other)
			}
		}
	}
}

// TestForTestsOnly keeps test servers and golden runners out of the binaries.
func TestForTestsOnly(t *testing.T) {
	for _, p := range packages(t) {
		for _, other := range p.ours() {
			if forTests(other) && !forTests(p.rel()) {
				t.Errorf("%s imports %s in code that ships: only _test.go files may", p.rel(), other)
			}
		}
	}
}

// TestFarDependencies keeps libraries behind the package that is there to hide them.
func TestFarDependencies(t *testing.T) {
	all := packages(t)
	for _, rule := range []struct {
		dir string
		// not are prefixes of import paths that must not be anywhere in the package's import graph.
		not []string
		why string
	}{
		{
			"cmd/cni",
			[]string{"k8s.io/", "sigs.k8s.io/", "github.com/ovn-kubernetes/libovsdb", "github.com/vishvananda/netlink"},
			"the runtime starts this binary for every pod: it hands the request to the daemon and knows nothing",
		},
		{"pkg/ovs/engine", []string{"k8s.io/", "sigs.k8s.io/"}, "the row engine knows rows and owners, not Kubernetes"},
		{"pkg/ovs/nb", []string{"k8s.io/", "sigs.k8s.io/"}, "models are generated from the schema alone"},
		{"pkg/ipam", []string{"k8s.io/", "sigs.k8s.io/", "github.com/"}, "addresses are values: netip in, netip out"},
		{
			"pkg/apis/kubeovn/v1",
			[]string{"k8s.io/client-go/", "k8s.io/api/", "sigs.k8s.io/controller-runtime/"},
			"users import the API types and should get apimachinery with them and nothing more",
		},
		{"pkg/cni", []string{"k8s.io/", "sigs.k8s.io/", "github.com/ovn-kubernetes/libovsdb"}, "cmd/cni imports it"},
	} {
		i := slices.IndexFunc(all, func(p listed) bool { return p.rel() == rule.dir })
		if i < 0 {
			t.Errorf("there is no package %s; if it has moved, move its rule in arch_test.go with it", rule.dir)
			continue
		}
		for _, dep := range all[i].Deps {
			if slices.ContainsFunc(rule.not, func(prefix string) bool { return strings.HasPrefix(dep, prefix) }) {
				t.Errorf("%s depends on %s, but %s (`go list -deps ./%s` and `go mod why` tell by which way)",
					rule.dir, dep, rule.why, rule.dir)
			}
		}
	}
}

// TestAPITypesImportApimachineryOnly is about direct imports; what apimachinery itself needs is its own affair.
func TestAPITypesImportApimachineryOnly(t *testing.T) {
	for _, p := range packages(t) {
		if !strings.HasPrefix(p.rel(), "pkg/apis/") {
			continue
		}
		for _, i := range p.Imports {
			host, _, _ := strings.Cut(i, "/")
			fine := strings.HasPrefix(i, "k8s.io/apimachinery/") || strings.HasPrefix(i, module+"/pkg/apis/")
			if strings.Contains(host, ".") && !fine {
				t.Errorf("%s imports %s: API types import apimachinery only; move the code to the package that acts on the type", p.rel(), i)
			}
		}
	}
}

// TestPackagesSayWhatTheyAre asks for a name that means something and a first sentence that explains it.
func TestPackagesSayWhatTheyAre(t *testing.T) {
	for _, p := range packages(t) {
		if p.Doc == "" {
			t.Errorf("%s has no package comment: open doc.go or main.go with a sentence that says what the package makes", p.rel())
		}
		for _, name := range []string{p.Name, path.Base(p.ImportPath)} {
			if slices.Contains(notNames, name) {
				t.Errorf("%s: %q says nothing; name the package for what it makes, or put the code where it is used", p.rel(), name)
			}
		}
	}
}

// TestSmallFiles bounds what must stay small enough to be read in one go.
func TestSmallFiles(t *testing.T) {
	const mainLines, shellLines = 60, 150
	if n := lines(t, "cmd/cni/main.go"); n > mainLines {
		t.Errorf("cmd/cni/main.go has %d lines, more than %d: move what it does to the daemon's side, pkg/cni/server", n, mainLines)
	}
	total := 0
	for _, file := range tracked(t) {
		if strings.HasPrefix(file, "dist/") && strings.HasSuffix(file, ".sh") {
			total += lines(t, file)
		}
	}
	if total > shellLines {
		t.Errorf("the images hold %d lines of shell, more than %d: start-up logic is a subcommand in Go", total, shellLines)
	}
}

// placesOfOneMachine are directories that exist where somebody works and nowhere else.
var placesOfOneMachine = regexp.MustCompile(
	`(?:^|[^\w./$}-])/(?:home|Users|work|farm|builds|workspace)/\w|/root/(?:go|src|\.cache)\b|\.librar[y]/`)

// TestNothingOfOneMachine keeps the tree free of where it was written: a path or a proxy that only its author has.
func TestNothingOfOneMachine(t *testing.T) {
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	private := [][]byte{[]byte(root)}
	proxies, err := run("go", "env", "GOPROXY")
	if err != nil {
		t.Fatal(err)
	}
	separator := func(r rune) bool { return strings.ContainsRune(",|\n", r) }
	for proxy := range strings.FieldsFuncSeq(string(proxies), separator) {
		if u, err := url.Parse(proxy); err == nil && u.Host != "" && u.Host != "proxy.golang.org" {
			private = append(private, []byte(u.Host))
		}
	}
	for _, file := range tracked(t) {
		text, err := os.ReadFile(filepath.FromSlash(file))
		if errors.Is(err, os.ErrNotExist) {
			continue // deleted and not yet committed
		}
		if err != nil {
			t.Fatal(err)
		}
		if bytes.IndexByte(text, 0) >= 0 {
			t.Errorf("%s is a binary of %d bytes: remove it from the tree, and build it where it is needed", file, len(text))
			continue
		}
		for i, line := range bytes.Split(text, []byte("\n")) {
			found := placesOfOneMachine.Match(line)
			for _, p := range private {
				found = found || bytes.Contains(line, p)
			}
			if found {
				t.Errorf("%s:%d names a place of one machine: %q; use a path in the repository, a flag, or an environment variable",
					file, i+1, bytes.TrimSpace(line))
			}
		}
	}
}

// tracked are the files that git knows or is about to know.
func tracked(t *testing.T) []string {
	t.Helper()
	if _, err := os.Stat(".git"); err != nil {
		t.Skip("not a checkout: no list of files")
	}
	files, err := run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		t.Fatal(err)
	}
	return strings.FieldsFunc(string(files), func(r rune) bool { return r == 0 })
}

func lines(t *testing.T, file string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(file))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(text, []byte("\n"))
}
