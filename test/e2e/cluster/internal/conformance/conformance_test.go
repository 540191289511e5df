package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onsi/ginkgo/v2/types"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/spec"
)

// Every kind of spec that upstream has is in exactly one suite beside those that choose from others.
func TestSuitesAreAPartition(t *testing.T) {
	all, err := Choose("")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		labels string
		want   string
	}{
		{"sig-network", "sig-network"},
		{"sig-network,Conformance", "conformance"},
		{"sig-network,Serial", "sig-network"},
		{"sig-network,Feature:IPv6DualStack", "sig-network"},
		{"sig-network,Feature:SCTPConnectivity", "sig-network"},
		{"sig-network,Feature:NetworkPolicy", "policy"},
		{"sig-network,Feature:NetworkPolicy,Feature:SCTPConnectivity", "policy"},
		{"sig-network,Slow", "slow"},
		{"sig-network,Slow,Serial", "slow"},
		{"sig-network,Slow,Feature:NetworkPolicy", "policy"},
		{"sig-network,Slow,Feature:LoadBalancer", "slow"},
		{"sig-network,Feature:PerformanceDNS,Serial", "slow"},
		{"sig-network,Disruptive", "disruptive"},
		{"sig-network,Disruptive,Slow", "disruptive"},
		{"sig-node", ""},
	} {
		var in []string
		for _, s := range all {
			if s.policyAPI {
				continue
			}
			filter, err := types.ParseLabelFilter(s.Labels)
			if err != nil {
				t.Fatalf("suite %s: %v", s.Name, err)
			}
			if filter(strings.Split(tc.labels, ",")) {
				in = append(in, s.Name)
			}
		}
		if got := strings.Join(in, " "); got != tc.want {
			t.Errorf("specs with the labels %s are in %q, want %q", tc.labels, got, tc.want)
		}
	}
}

func TestChoose(t *testing.T) {
	for _, tc := range []struct{ names, want string }{
		{"", "conformance sig-network policy slow disruptive policy-api"},
		{"all", "conformance sig-network policy slow disruptive policy-api"},
		{"short", "short"},
		{"slow,policy", "slow policy"},
		{"kernel,kernel-policy-api", "kernel kernel-policy-api"},
		{"fast", ""},
	} {
		chosen, err := Choose(tc.names)
		var got []string
		for _, s := range chosen {
			got = append(got, s.Name)
		}
		if strings.Join(got, " ") != tc.want || (err == nil) != (tc.want != "") {
			t.Errorf("%q: got %v, %v, want %q", tc.names, got, err, tc.want)
		}
	}
}

// A reason explains what it is for, and nothing else.
func TestExplain(t *testing.T) {
	table, err := LoadReasons()
	if err != nil {
		t.Fatal(err)
	}
	here := map[string]Fact{"no SCTP": {Holds: true}, "fewer than 6 nodes": {Holds: true}}
	for _, tc := range []struct {
		name   string
		family spec.Family
		facts  map[string]Fact
		spec   Spec
		want   string
	}{
		{
			"a kind of spec that is left out", spec.IPv4, here,
			Spec{Name: "sctp", State: LeftOut, Labels: []string{"Feature:SCTPConnectivity"}},
			"SCTP",
		},
		{
			"left out where nothing forces it", spec.IPv4,
			map[string]Fact{},
			Spec{Name: "sctp", State: LeftOut, Labels: []string{"Feature:SCTPConnectivity"}},
			"",
		},
		{
			"left out for another family", spec.Dual, here,
			Spec{Name: "dual", State: LeftOut, Labels: []string{"Feature:IPv6DualStack"}},
			"",
		},
		{
			"left out for this family", spec.IPv4, here,
			Spec{Name: "dual", State: LeftOut, Labels: []string{"Feature:IPv6DualStack"}},
			"single stack",
		},
		{
			"a label is no excuse for a spec that ran", spec.IPv4, here,
			Spec{Name: "sctp", State: Failed, Says: "timed out", Labels: []string{"Feature:SCTPConnectivity"}},
			"",
		},
		{
			"the name alone is no reason", spec.IPv4, here,
			Spec{Name: "Traffic Distribution should route", State: Failed, Says: "timed out"},
			"",
		},
		{
			"name and words", spec.IPv4, here,
			Spec{Name: "Traffic Distribution should route", State: Skipped, Says: "Requires >= 3 zones"},
			"six nodes",
		},
		{
			"name and words where the fact is otherwise", spec.IPv4,
			map[string]Fact{},
			Spec{Name: "Traffic Distribution should route", State: Skipped, Says: "Requires >= 3 zones"},
			"",
		},
		{"a test that SCTP ended", spec.IPv4, here, Spec{
			Name: "TestConformance/CNPAdminTierGress/deny", State: Failed,
			Says: "a.go:1: FAILED Command was [connect --protocol=sctp x]\na.go:2: stderr: OTHER: protocol not supported",
		}, "SCTP in network-policy-api"},
		{"another that SCTP ended", spec.IPv4, here, Spec{
			Name: "TestConformance/CNPBaselineTierEgressNodePeers/deny", State: Failed,
			Says: "a.go:1: FAILED Command was [connect --protocol=sctp x]\na.go:2: stderr: OTHER: protocol not supported",
		}, "SCTP in network-policy-api"},
		{"a test of SCTP that TCP ended", spec.IPv4, here, Spec{
			Name: "TestConformance/CNPAdminTierGress/deny", State: Failed,
			Says: "a.go:1: FAILED Command was [connect --protocol=tcp x]\na.go:2: stderr: OTHER: protocol not supported",
		}, ""},
		{
			"a connection that the kernel does not see", spec.IPv4,
			map[string]Fact{"no openvswitch": {Holds: true}},
			Spec{
				Name: "KubeProxy should set TCP CLOSE_WAIT timeout [Privileged]", State: Failed,
				Says: "no valid conntrack entry for port 11302 on node 172.31.0.1: timed out waiting for the condition",
			},
			"conntrack in userspace",
		},
		{
			"one that the kernel should see", spec.IPv4, withoutKernel(map[string]Fact{"no openvswitch": {Holds: true}}),
			Spec{
				Name: "KubeProxy should set TCP CLOSE_WAIT timeout [Privileged]", State: Failed,
				Says: "no valid conntrack entry for port 11302 on node 172.31.0.1: timed out waiting for the condition",
			},
			"",
		},
		{"a failure that nobody knows", spec.IPv4, here, Spec{Name: "Services should work", State: Failed, Says: "refused"}, ""},
		{"a failure without a word", spec.IPv4, here, Spec{Name: "Services should work", State: Failed}, ""},
	} {
		got := ""
		if r := table.Explain(Result{Family: tc.family, Facts: tc.facts}, tc.spec); r != nil {
			got = r.Name
		}
		if got != tc.want {
			t.Errorf("%s: explained by %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestParseReasonsRefuses(t *testing.T) {
	for _, tc := range []struct{ name, table string }{
		{"one that explains every failure of a spec", `[{name: x, why: y, spec: Services}]`},
		{"one that explains a message of any spec", `[{name: x, why: y, says: timed out}]`},
		{"a fact that nobody looks for", `[{name: x, why: y, spec: a, says: b, fact: full moon}]`},
		{"a misspelt field", `[{name: x, why: y, spec: a, say: b}]`},
		{"a broken pattern", `[{name: x, why: y, spec: "(", says: b}]`},
		{"a broken label filter", `[{name: x, why: y, leaveOut: "a &&"}]`},
	} {
		if _, err := parseReasons([]byte(tc.table)); err == nil {
			t.Errorf("the table takes %s", tc.name)
		}
	}
}

func TestReadReport(t *testing.T) {
	const report = `[{"SuiteSucceeded": false, "SpecReports": [
 {"LeafNodeType": "It", "ContainerHierarchyTexts": ["[sig-network]"], "ContainerHierarchyLabels": [["sig-network"]],
  "LeafNodeText": "passes", "LeafNodeLabels": ["Conformance"], "State": "passed", "RunTime": 2000000000},
 {"LeafNodeType": "It", "ContainerHierarchyTexts": ["[sig-network]"], "ContainerHierarchyLabels": [["sig-network"]],
  "LeafNodeText": "fails", "State": "failed", "Failure": {"Message": "wrong"}},
 {"LeafNodeType": "It", "ContainerHierarchyTexts": ["[sig-network]"], "ContainerHierarchyLabels": [["sig-network"]],
  "LeafNodeText": "declines", "State": "skipped", "Failure": {"Message": "not here"}},
 {"LeafNodeType": "It", "ContainerHierarchyTexts": ["[sig-network]"], "ContainerHierarchyLabels": [["sig-network"]],
  "LeafNodeText": "is left out", "State": "skipped"},
 {"LeafNodeType": "It", "ContainerHierarchyTexts": ["[sig-network]"], "ContainerHierarchyLabels": [["sig-network"]],
  "LeafNodeText": "hangs", "State": "interrupted"},
 {"LeafNodeType": "It", "ContainerHierarchyTexts": ["[sig-node]"], "ContainerHierarchyLabels": [["sig-node"]],
  "LeafNodeText": "is another's", "State": "skipped"},
 {"LeafNodeType": "SynchronizedBeforeSuite", "State": "passed"},
 {"LeafNodeType": "SynchronizedAfterSuite", "State": "panicked", "Failure": {"Message": "nil map"}}]}]`
	path := filepath.Join(t.TempDir(), "report.json")
	if err := os.WriteFile(path, []byte(report), 0o644); err != nil {
		t.Fatal(err)
	}
	specs, err := readReport(path, Suite{Labels: "sig-network"}, "")
	if err != nil {
		t.Fatal(err)
	}
	want := []Spec{
		{Name: "SynchronizedAfterSuite", State: Failed, Says: "nil map"},
		{Name: "[sig-network] declines", State: Skipped, Says: "not here"},
		{Name: "[sig-network] fails", State: Failed, Says: "wrong"},
		{Name: "[sig-network] hangs", State: Failed, Says: "interrupted"},
		{Name: "[sig-network] is left out", State: LeftOut},
		{Name: "[sig-network] passes", State: Passed, Took: 2 * time.Second},
	}
	compare(t, specs, want)
	if specs, err = readReport(path, Suite{Labels: "sig-network"}, "pass"); err != nil || len(specs) != 2 {
		t.Errorf("with a pattern: %v, %v, want the spec that matches and the suite's failure", specs, err)
	}
}

// A suite that ends badly without any spec that says so is a failure of its own.
func TestReadReportOfADeadSuite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.json")
	const report = `[{"SuiteSucceeded": false, "SuiteDescription": "e2e", "SpecialSuiteFailureReasons": ["process 3 is gone"]}]`
	if err := os.WriteFile(path, []byte(report), 0o644); err != nil {
		t.Fatal(err)
	}
	specs, err := readReport(path, Suite{Labels: "sig-network"}, "")
	if err != nil {
		t.Fatal(err)
	}
	compare(t, specs, []Spec{{Name: "e2e", State: Failed, Says: "process 3 is gone"}})
}

func TestReadGoTest(t *testing.T) {
	const output = `=== RUN   TestConformance
=== RUN   TestConformance/Egress
=== RUN   TestConformance/Egress/tcp
=== RUN   TestConformance/Egress/sctp
    helper.go:1: FAILED Command was [connect --protocol=tcp]
    helper.go:2: stderr: TIMEOUT
    helper.go:1: FAILED Command was [connect --protocol=sctp]
    helper.go:2: stderr: protocol not supported
=== RUN   TestConformance/Cleanup
=== RUN   TestConformance/Cleanup/fine
=== NAME  TestConformance/Cleanup
    apply.go:3: error deleting resource
--- FAIL: TestConformance (12.50s)
    --- FAIL: TestConformance/Egress (2.00s)
        --- PASS: TestConformance/Egress/tcp (0.50s)
        --- FAIL: TestConformance/Egress/sctp (1.50s)
    --- FAIL: TestConformance/Cleanup (1.00s)
        --- PASS: TestConformance/Cleanup/fine (0.00s)
FAIL
`
	specs, err := readGoTest(strings.NewReader(output))
	if err != nil {
		t.Fatal(err)
	}
	compare(t, specs, []Spec{
		{Name: "TestConformance/Egress/tcp", State: Passed, Took: time.Second / 2},
		{
			Name: "TestConformance/Egress/sctp", State: Failed, Took: 3 * time.Second / 2,
			Says: "helper.go:1: FAILED Command was [connect --protocol=sctp]\nhelper.go:2: stderr: protocol not supported",
		},
		{Name: "TestConformance/Cleanup", State: Failed, Took: time.Second, Says: "apply.go:3: error deleting resource"},
		{Name: "TestConformance/Cleanup/fine", State: Passed},
	})
}

func TestReport(t *testing.T) {
	table, err := parseReasons([]byte(`[{name: moon, why: It is full., spec: tide, says: high}]`))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, r := range []Result{
		{Suite: "policy", Family: spec.Dual, Specs: []Spec{{Name: "p", State: Passed, Labels: []string{"Conformance"}}}},
		{Suite: "slow", Family: spec.IPv4, Specs: []Spec{{Name: "tide", State: Failed, Says: "high"}, {Name: "new", State: Failed, Says: "huh\nmore"}}},
		{Suite: "policy", Family: spec.IPv4, Woven: "abc", Specs: []Spec{{Name: "p", State: Passed}}},
	} {
		if err := r.Save(dir); err != nil {
			t.Fatal(err)
		}
	}
	results, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	report := table.Report(results, "")
	last := 0
	for _, want := range []string{
		"SUITE=policy` | ipv4 | 1 | 0 | 0 | 0 | 0 |", "SUITE=slow` | ipv4 | 0 | 2 | 0 | 0 | 1 |", "SUITE=policy` | dual | 1 |",
		"dual, suite policy: **1 of 1** passed", "## Not passed: slow, ipv4", "### Without a reason", "- failed: new: `huh`",
		"### moon (1)", "It is full.", "- failed: tide: `high`",
	} {
		i := strings.Index(report[last:], want)
		if i < 0 {
			t.Fatalf("the report lacks %q (or has it too early):\n%s", want, report)
		}
		last += i
	}
	if strings.Contains(report, "## Not passed: policy") {
		t.Errorf("the report lists a suite that passed as not passed:\n%s", report)
	}
	if again := table.Report(nil, report); again != report {
		t.Errorf("without new results, the report became\n%s\nwant\n%s", again, report)
	}
	mended := []Result{{Suite: "slow", Family: spec.IPv4, Specs: []Spec{{Name: "tide", State: Passed}, {Name: "new", State: Passed}}}}
	after := table.Report(mended, report)
	for text, want := range map[string]bool{
		"SUITE=policy` | ipv4 | 1 |": true, "SUITE=slow` | ipv4 | 2 | 0 |": true, "SUITE=policy` | dual | 1 |": true,
		"dual, suite policy: **1 of 1** passed": true, "## Not passed": false, "SUITE=slow` | ipv4 | 0 |": false,
	} {
		if strings.Contains(after, text) != want {
			t.Errorf("with a suite run again, that the report has %q is not %t:\n%s", text, want, after)
		}
	}
}

// Who waits learns how many specs have ended and which of them failed, however the output is cut into pieces.
func TestProgress(t *testing.T) {
	var out strings.Builder
	var said []string
	p := &progress{out: &out, say: func(f string, args ...any) { said = append(said, fmt.Sprintf(f, args...)) }}
	pieces := []string{strings.Repeat("•", 9), "•\n---\n• [FAIL", "ED] [2 seconds]\n[sig-network] it ", "breaks\nmore\n", "•"}
	for _, s := range pieces {
		if _, err := p.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := strings.Join(said, "; "), "  11 specs have ended; failed: [sig-network] it breaks"; got != want {
		t.Errorf("said %q, want %q", got, want)
	}
	if got, want := out.String(), strings.Join(pieces, ""); got != want {
		t.Errorf("wrote %q, want %q", got, want)
	}
}

func compare(t *testing.T, got, want []Spec) {
	t.Helper()
	same := slices.EqualFunc(got, want, func(a, b Spec) bool {
		return a.Name == b.Name && a.State == b.State && a.Took == b.Took && a.Says == b.Says
	})
	if !same {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

// What upstream collects is published as the suite wrote it, under the names of the IP family and the suite.
func TestReportsForUpstreamArePublished(t *testing.T) {
	r := Runner{Cluster: spec.Cluster{Family: spec.Dual}, Out: t.TempDir()}
	published := filepath.Join(t.TempDir(), "docs")
	suite, err := Choose("policy-api,conformance")
	if err != nil {
		t.Fatal(err)
	}
	const text = "kind: ConformanceReport\n"
	if err := r.Publish(suite[0], published); err == nil {
		t.Error("published the report of a suite that has left none")
	}
	if err := os.MkdirAll(r.output(suite[0]), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.output(suite[0]), upstreamReport), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, s := range suite {
		if err := r.Publish(s, published); err != nil {
			t.Fatal(err)
		}
	}
	files, err := os.ReadDir(published)
	if err != nil || len(files) != 1 || files[0].Name() != "dual-policy-api.yaml" {
		t.Fatalf("published %v: %v", files, err)
	}
	if got, err := os.ReadFile(filepath.Join(published, files[0].Name())); err != nil || string(got) != text {
		t.Errorf("published %q: %v", got, err)
	}
}
