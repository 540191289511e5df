package conformance

import (
	_ "embed"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"

	"github.com/onsi/ginkgo/v2/types"
	"golang.org/x/sys/unix"
	"sigs.k8s.io/yaml"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/spec"
)

//go:embed reasons.yaml
var reasonsFile []byte

// Reason is why specs do not pass on this machine, whatever the network plugin.
type Reason struct {
	Name string `json:"name"`
	// Why is for the reader of the report.
	Why string `json:"why"`
	// LeaveOut is a ginkgo label filter: specs that are not even started, because all they could do is to wait in vain.
	LeaveOut string `json:"leaveOut"`
	// Spec and Says are patterns on the name of a spec and on what it says. Both must match to explain a spec that ran.
	Spec string `json:"spec"`
	Says string `json:"says"`
	// Families are the IP families of clusters for which the reason holds; none means all.
	Families []spec.Family `json:"families"`
	// Fact names a probe. The reason holds only while the probe finds it so.
	Fact string `json:"fact"`

	spec, says *regexp.Regexp
	leaveOut   types.LabelFilter
}

// Reasons is the table.
type Reasons []Reason

// LoadReasons reads the table that is part of this program.
func LoadReasons() (Reasons, error) { return parseReasons(reasonsFile) }

func parseReasons(b []byte) (Reasons, error) {
	var all Reasons
	if err := yaml.UnmarshalStrict(b, &all); err != nil {
		return nil, fmt.Errorf("reading the table of reasons: %w", err)
	}
	for i := range all {
		if err := all[i].compile(); err != nil {
			return nil, fmt.Errorf("reason %s: %w", all[i].Name, err)
		}
	}
	return all, nil
}

func (r *Reason) compile() error {
	var err error
	if _, known := probes[r.Fact]; r.Fact != "" && !known {
		return fmt.Errorf("there is no probe for %q", r.Fact)
	}
	if r.LeaveOut != "" {
		r.leaveOut, err = types.ParseLabelFilter(r.LeaveOut)
		return err
	}
	if r.Spec == "" || r.Says == "" {
		return fmt.Errorf("it needs a pattern for the spec and one for what the spec says, or leaveOut")
	}
	if r.spec, err = regexp.Compile(r.Spec); err != nil {
		return fmt.Errorf("its pattern of specs: %w", err)
	}
	if r.says, err = regexp.Compile(r.Says); err != nil {
		return fmt.Errorf("its pattern of messages: %w", err)
	}
	return nil
}

// holds says whether a reason counts on a cluster where the probes found these facts.
func (r *Reason) holds(f spec.Family, facts map[string]Fact) bool {
	return (len(r.Families) == 0 || slices.Contains(r.Families, f)) && (r.Fact == "" || facts[r.Fact].Holds)
}

// leftOut is the label filter of all that is not started on such a cluster; empty if everything is.
func (all Reasons) leftOut(f spec.Family, facts map[string]Fact) string {
	filter := ""
	for _, r := range all {
		if r.leaveOut != nil && r.holds(f, facts) {
			filter += " && !(" + r.LeaveOut + ")"
		}
	}
	return filter
}

// Explain finds the reason why a spec did not pass. Nil means that there is none: somebody has to look.
func (all Reasons) Explain(r Result, s Spec) *Reason {
	for i := range all {
		reason := &all[i]
		if !reason.holds(r.Family, r.Facts) {
			continue
		}
		if s.State == LeftOut {
			if reason.leaveOut != nil && reason.leaveOut(s.Labels) {
				return reason
			}
			continue
		}
		if reason.spec != nil && reason.spec.MatchString(s.Name) && reason.says.MatchString(s.Says) {
			return reason
		}
	}
	return nil
}

// Unexplained are the specs of a result that neither passed nor have a reason.
func (all Reasons) Unexplained(r Result) []Spec {
	var out []Spec
	for _, s := range r.Specs {
		if s.State != Passed && all.Explain(r, s) == nil {
			out = append(out, s)
		}
	}
	return out
}

// Fact is what a probe found.
type Fact struct {
	Holds bool   `json:"holds"`
	Found string `json:"found"`
}

// probes look at the machine and the cluster for what reasons claim.
var probes = map[string]func(spec.Cluster) Fact{
	"no SCTP": func(spec.Cluster) Fact {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_SCTP)
		if err == nil {
			unix.Close(fd)
			return Fact{Found: "`socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP)` succeeds"}
		}
		return Fact{Holds: true, Found: fmt.Sprintf("`socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP)`: %v", err)}
	},
	"no openvswitch": func(spec.Cluster) Fact {
		const module = "/sys/module/openvswitch"
		_, err := os.Stat(module)
		return Fact{Holds: err != nil, Found: fmt.Sprintf("`stat(%s)`: %v", module, err)}
	},
	"fewer than 6 nodes": func(c spec.Cluster) Fact {
		return Fact{Holds: c.All() < 6, Found: fmt.Sprintf("the cluster has %d nodes", c.All())}
	},
}

// ofKernel are the facts about the kernel that nodes share with this machine.
var ofKernel = []string{"no SCTP", "no openvswitch"}

// withoutKernel are the facts for nodes that have a kernel of their own: nothing is excused by this machine's.
func withoutKernel(facts map[string]Fact) map[string]Fact {
	facts = maps.Clone(facts)
	for _, name := range ofKernel {
		delete(facts, name)
	}
	return facts
}

// Facts asks all probes.
func Facts(c spec.Cluster) map[string]Fact {
	facts := map[string]Fact{}
	for name, probe := range probes {
		facts[name] = probe(c)
	}
	return facts
}
