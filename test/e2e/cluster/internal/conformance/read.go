package conformance

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/onsi/ginkgo/v2/types"
)

// readReport reads ginkgo's report of a suite. Specs that the suite does not have are not in the result.
func readReport(path string, s Suite, focus string) ([]Spec, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading ginkgo's report: %w", err)
	}
	var reports []types.Report
	if err := json.Unmarshal(b, &reports); err != nil {
		return nil, fmt.Errorf("reading ginkgo's report: %w", err)
	}
	labels, err := types.ParseLabelFilter(s.Labels)
	if err != nil {
		return nil, fmt.Errorf("labels of suite %s: %w", s.Name, err)
	}
	pattern, err := regexp.Compile(focus)
	if err != nil {
		return nil, fmt.Errorf("pattern of suite %s: %w", s.Name, err)
	}
	var specs []Spec
	for _, report := range reports {
		for _, sr := range report.SpecReports {
			if sr.LeafNodeType == types.NodeTypeIt && (!labels(sr.Labels()) || !pattern.MatchString(sr.FullText())) {
				continue
			}
			if sr.LeafNodeType != types.NodeTypeIt && !sr.State.Is(types.SpecStateFailureStates) {
				continue // the set-up of the suite is a matter of course
			}
			specs = append(specs, specOf(sr))
		}
		specs = append(specs, suiteFailure(report, specs)...)
	}
	slices.SortFunc(specs, func(a, b Spec) int { return strings.Compare(a.Name, b.Name) })
	return specs, nil
}

func specOf(sr types.SpecReport) Spec {
	sp := Spec{Name: sr.FullText(), Labels: sr.Labels(), Took: sr.RunTime, Says: sr.Failure.Message}
	if sr.LeafNodeType != types.NodeTypeIt {
		sp.Name = sr.LeafNodeType.String()
	}
	switch {
	case sr.State == types.SpecStatePassed:
		sp.State = Passed
	case sr.State == types.SpecStateSkipped && sp.Says == "":
		sp.State = LeftOut
	case sr.State == types.SpecStateSkipped:
		sp.State = Skipped
	default:
		sp.State = Failed
		if sp.Says == "" {
			sp.Says = sr.State.String()
		}
	}
	return sp
}

// suiteFailure is a failure of the whole suite that no spec stands for, such as a process that died.
func suiteFailure(report types.Report, specs []Spec) []Spec {
	failed := func(s Spec) bool { return s.State == Failed }
	if report.SuiteSucceeded || slices.ContainsFunc(specs, failed) {
		return nil
	}
	return []Spec{{Name: report.SuiteDescription, State: Failed, Says: strings.Join(report.SpecialSuiteFailureReasons, "; ")}}
}

var (
	goTestNow = regexp.MustCompile(`^=== (?:RUN|NAME|CONT)\s+(\S+)`)
	goTestEnd = regexp.MustCompile(`^\s*--- (PASS|FAIL|SKIP): (\S+) \((\d+\.\d+)s\)`)
)

// readGoTest reads the output of a Go test program. The specs are the tests that have no tests in them, and those that
// failed outside of them.
func readGoTest(r io.Reader) ([]Spec, error) {
	const most = 40 // lines of what a test says
	said := map[string][]string{}
	var specs []Spec
	now := ""
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		line := s.Text()
		if m := goTestNow.FindStringSubmatch(line); m != nil {
			now = m[1]
			continue
		}
		m := goTestEnd.FindStringSubmatch(line)
		if m == nil {
			said[now] = append(said[now], strings.TrimSpace(line))
			if n := len(said[now]); n > most {
				said[now] = said[now][n-most:]
			}
			continue
		}
		seconds, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			return nil, fmt.Errorf("reading the time of %s: %w", m[2], err)
		}
		state := map[string]State{"PASS": Passed, "FAIL": Failed, "SKIP": Skipped}[m[1]]
		sp := Spec{Name: m[2], State: state, Took: time.Duration(seconds * float64(time.Second))}
		if state != Passed {
			sp.Says = lastWords(said[m[2]])
		}
		specs = append(specs, sp)
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("reading the output of a test: %w", err)
	}
	return leaves(specs), nil
}

// lastWords is what a test said at the end: network-policy-api's tests repeat a command that fails until time is up, and
// the last time counts.
func lastWords(said []string) string {
	for i := len(said) - 1; i > 0; i-- {
		if strings.Contains(said[i], "FAILED Command was") {
			return strings.Join(said[i:], "\n")
		}
	}
	return strings.Join(said, "\n")
}

// leaves drops tests that only say of others in them how those ended.
func leaves(specs []Spec) []Spec {
	parents := map[string]bool{}
	failedChild := map[string]bool{}
	for _, s := range specs {
		for p := parent(s.Name); p != ""; p = parent(p) {
			parents[p] = true
			failedChild[p] = failedChild[p] || s.State == Failed
		}
	}
	return slices.DeleteFunc(specs, func(s Spec) bool {
		return parents[s.Name] && (s.State != Failed || failedChild[s.Name])
	})
}

func parent(name string) string {
	i := strings.LastIndexByte(name, '/')
	return name[:max(i, 0)]
}
