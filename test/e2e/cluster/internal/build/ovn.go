package build

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/spec"
)

// OVNPackages are OVN and Open vSwitch as Debian has them: the release of Debian, and the packages with their versions.
type OVNPackages struct {
	Suite    string
	Packages []string // "ovn-host=26.03.1-1"
}

// ReadOVN finds the packages of a release of OVN in dist/images/ovn-versions, which the Dockerfile of the images reads too.
func ReadOVN(checkout, release string) (OVNPackages, error) {
	b, err := os.ReadFile(filepath.Join(checkout, "dist/images/ovn-versions"))
	if err != nil {
		return OVNPackages{}, fmt.Errorf("reading the versions of OVN: %w", err)
	}
	var out OVNPackages
	for line := range strings.Lines(string(b)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == release {
			out.Suite = fields[1]
			out.Packages = append(out.Packages, fields[2])
		}
	}
	if len(out.Packages) == 0 {
		return out, fmt.Errorf("dist/images/ovn-versions has no packages of OVN %s", release)
	}
	return out, nil
}

// sources are where mmdebstrap finds the packages beside the archive of the nodes' release. The Dockerfile tells why an index
// of unstable may be past its date, and why nothing else is taken of it.
func (p OVNPackages) sources() []string {
	if p.Suite == spec.Suite {
		return nil
	}
	return []string{"--setup-hook=" + onlyNamed, "deb [check-valid-until=no] " + Mirror() + " " + p.Suite + " main"}
}

const onlyNamed = `printf '%s\n' 'Package: *' 'Pin: release n=sid' 'Pin-Priority: -1' >"$1/etc/apt/preferences.d/ovn"`

// OVNTools are OVN's and Open vSwitch's programs, those of the images, for tests on this machine: in root, and in bin a
// wrapper for each that runs it with the root's own C library.
func OVNTools(p OVNPackages) Artefact {
	packages := append([]string{"libc6"}, p.Packages...)
	return Artefact{
		Name:   "ovn-tools",
		Recipe: append([]string{spec.Suite, p.Suite, onlyNamed, wrapper}, packages...),
		Slow:   "unpacking Debian's OVN for tests (about 1 minute)",
		Make: func(ctx context.Context, dir string) error {
			root := filepath.Join(dir, "root")
			// "extract" unpacks packages and runs nothing of them: no service starts, and this machine's own Open
			// vSwitch, if it has one, stays as it is.
			if err := debian(ctx, spec.Suite, root, "extract", packages, p.sources()...); err != nil {
				return err
			}
			return wrap(dir, root, "usr/bin/ov*", "usr/sbin/ov*", "usr/lib/openvswitch-switch/ovs-vswitchd")
		},
	}
}
