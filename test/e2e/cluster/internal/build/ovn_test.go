package build

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/spec"
)

const checkout = "../../../../.."

// Every release that can be asked for has its packages, each with a version, and the Dockerfile's default is ours.
func TestReadOVN(t *testing.T) {
	want := []string{"openvswitch-common", "openvswitch-switch", "ovn-common", "ovn-central", "ovn-host"}
	for _, release := range spec.Releases {
		p, err := ReadOVN(checkout, release)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, pkg := range p.Packages {
			name, version, ok := strings.Cut(pkg, "=")
			names = append(names, name)
			if !ok || strings.HasPrefix(name, "ovn-") && !strings.HasPrefix(version, release+".") {
				t.Errorf("OVN %s has the package %s", release, pkg)
			}
		}
		if !slices.Equal(names, want) {
			t.Errorf("OVN %s has the packages %v, want %v", release, names, want)
		}
	}
	if _, err := ReadOVN(checkout, "20.03"); err == nil {
		t.Error("there are packages of OVN 20.03")
	}
	b, err := os.ReadFile(filepath.Join(checkout, "dist/images/ovn.Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, arg := range []string{"OVN=" + regexp.QuoteMeta(spec.Releases[0]), "BASE=.*:" + spec.Suite + "-slim"} {
		if !regexp.MustCompile(`(?m)^ARG ` + arg + `$`).Match(b) {
			t.Errorf("ovn.Dockerfile has another default than ARG %s", arg)
		}
	}
}
