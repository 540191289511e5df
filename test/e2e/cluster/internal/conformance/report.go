package conformance

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/build"
	"github.com/woven-cni/woven/test/e2e/cluster/internal/spec"
)

// head is what the report says of itself and of how the suites are run, before any number.
const head = "# Conformance\n\n" +
	"This file is written by `make conformance`, which runs the suites that no one here wrote: Kubernetes' end-to-end\n" +
	"tests of [sig-network] and the conformance suite of sigs.k8s.io/network-policy-api. Each line is the last run of that\n" +
	"suite. Specs are not repeated when they fail.\n\n" +
	"- The cluster is the local one of [test/e2e/cluster](../test/e2e/cluster/README.md): its nodes are namespaces of one\n" +
	"  machine, and kube-proxy runs with nftables.\n" +
	"- There is no registry. The tests' images are made by hand of the same programs (`agnhost` is compiled from\n" +
	"  Kubernetes " + build.KubernetesVersion + ") and of Debian's packages, under the names that the tests ask for.\n" +
	"- **The Internet is a stand-in**: a host beyond the nodes answers at 8.8.8.8 and 2001:4860:4860::8888, and google.com\n" +
	"  resolves to these. The three specs that reach for the Internet show that pods get out through their nodes, and no more.\n\n"

// entry is what the report says of one run: its line in the table and what is below.
type entry struct {
	suite, family     string
	row, passed, tail string
}

const (
	rowStart    = "| `make conformance SUITE="
	rowFormat   = rowStart + "%s` | %s | %d | %d | %d | %d | %d | %s | %s | %s |\n"
	passedStart = "- `[sig-network].*[Conformance]`, "
	tailStart   = "\n## Not passed: "
	legend      = "\n“Skipped” specs looked around and declined; “left out” ones were not started. Both have their reason below.\n\n"
)

// Report writes results in Markdown. What a former report says of runs that are not among them stays.
func (all Reasons) Report(results []Result, former string) string {
	var entries []entry
	for _, r := range results {
		entries = append(entries, all.entry(r))
	}
	for _, e := range parseReport(former) {
		if !slices.ContainsFunc(entries, e.same) {
			entries = append(entries, e)
		}
	}
	slices.SortStableFunc(entries, entry.compare)
	var b strings.Builder
	b.WriteString(head)
	b.WriteString("| suite | IP family | passed | failed | skipped | left out | without a reason | time | of | Woven |\n" +
		"|---|---|---|---|---|---|---|---|---|---|\n")
	for _, e := range entries {
		b.WriteString(e.row)
	}
	b.WriteString(legend)
	for _, e := range entries {
		b.WriteString(e.passed)
	}
	b.WriteString(where(results, former))
	for _, e := range entries {
		b.WriteString(e.tail)
	}
	return b.String()
}

func (all Reasons) entry(r Result) entry {
	e := entry{suite: r.Suite, family: string(r.Family), tail: all.notPassed(r)}
	e.row = fmt.Sprintf(rowFormat, r.Suite, r.Family, r.Count(Passed), r.Count(Failed), r.Count(Skipped), r.Count(LeftOut),
		len(all.Unexplained(r)), span(r.Took), r.Started.Format("2006-01-02 15:04"), r.Woven)
	if passed, of := r.Conformance(); of > 0 {
		e.passed = fmt.Sprintf(passedStart+"%s, suite %s: **%d of %d** passed.\n", r.Family, r.Suite, passed, of)
	}
	return e
}

func (e entry) same(other entry) bool { return e.suite == other.suite && e.family == other.family }

// compare sorts by family, IPv4 first, and in a family by the order of suites.
func (e entry) compare(other entry) int {
	families := []string{string(spec.IPv4), string(spec.IPv6), string(spec.Dual)}
	names := suiteNames()
	return cmp.Or(slices.Index(families, e.family)-slices.Index(families, other.family),
		slices.Index(names, e.suite)-slices.Index(names, other.suite))
}

// parseReport takes a report apart.
func parseReport(text string) []entry {
	var entries []entry
	parts := strings.Split(text, tailStart)
	for line := range strings.Lines(parts[0]) {
		if rest, is := strings.CutPrefix(line, rowStart); is {
			suite, rest, _ := strings.Cut(rest, "` | ")
			family, _, _ := strings.Cut(rest, " ")
			entries = append(entries, entry{suite: suite, family: family, row: line})
		}
	}
	for i := range entries {
		e := &entries[i]
		for line := range strings.Lines(parts[0]) {
			if strings.HasPrefix(line, passedStart+e.family+", suite "+e.suite+":") {
				e.passed = line
			}
		}
		for _, tail := range parts[1:] {
			if strings.HasPrefix(tail, e.suite+", "+e.family+"\n") {
				e.tail = tailStart + strings.TrimRight(tail, "\n") + "\n"
			}
		}
	}
	return entries
}

// where says on what the results were got; runs on one machine say the same.
func where(results []Result, former string) string {
	var lines []string
	for _, r := range results {
		lines = append(lines, fmt.Sprintf("- %s; %s; %s.\n", r.Machine, r.Nodes, r.Cluster))
	}
	body, _, _ := strings.Cut(former, tailStart)
	_, body, _ = strings.Cut(body, legend)
	for line := range strings.Lines(body) {
		if !strings.HasPrefix(line, passedStart) {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return strings.Join(slices.Compact(lines), "")
}

// notPassed lists the specs of a result that did not pass, by reason.
func (all Reasons) notPassed(r Result) string {
	var b strings.Builder
	if r.Count(Passed) == len(r.Specs) {
		return ""
	}
	fmt.Fprintf(&b, tailStart+"%s, %s\n", r.Suite, r.Family)
	if specs := all.Unexplained(r); len(specs) > 0 {
		b.WriteString("\n### Without a reason\n\nThe machine cannot be blamed for these.\n\n")
		for _, s := range specs {
			b.WriteString(line(s))
		}
	}
	for i := range all {
		reason := &all[i]
		var specs []string
		for _, s := range r.Specs {
			if s.State != Passed && all.Explain(r, s) == reason {
				specs = append(specs, line(s))
			}
		}
		if len(specs) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n### %s (%d)\n\n%s\n", reason.Name, len(specs), reason.Why)
		if reason.Fact != "" {
			fmt.Fprintf(&b, "Evidence: %s.\n", r.Facts[reason.Fact].Found)
		}
		b.WriteString("\n" + strings.Join(specs, ""))
	}
	return b.String()
}

// line is one spec that did not pass, with the first of its own words.
func line(s Spec) string {
	says, _, _ := strings.Cut(strings.TrimSpace(s.Says), "\n")
	const most = 200
	if len(says) > most {
		says = says[:most] + " …"
	}
	if says != "" {
		says = ": `" + strings.ReplaceAll(says, "`", "'") + "`"
	}
	return fmt.Sprintf("- %s: %s%s\n", s.State, s.Name, says)
}

// Summary is one line about a result, for who waits for it.
func (all Reasons) Summary(r Result) string {
	return fmt.Sprintf("%s, %s: %d passed, %d failed, %d skipped, %d left out; %d of these without a reason; %s",
		r.Suite, r.Family, r.Count(Passed), r.Count(Failed), r.Count(Skipped), r.Count(LeftOut), len(all.Unexplained(r)), span(r.Took))
}

func span(d time.Duration) string {
	d = d.Round(time.Second)
	return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
}
