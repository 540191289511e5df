package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/woven-cni/woven/test/e2e/cluster/internal/spec"
)

// State is how a spec ended.
type State string

// The states. A spec that was LeftOut was not started, because the table says that the machine cannot run it; one that
// was Skipped looked around and declined by itself.
const (
	Passed  State = "passed"
	Failed  State = "failed"
	Skipped State = "skipped"
	LeftOut State = "left out"
)

// Spec is one test of a suite and how it went.
type Spec struct {
	Name   string        `json:"name"`
	Labels []string      `json:"labels,omitempty"`
	State  State         `json:"state"`
	Took   time.Duration `json:"took"`
	// Says is what the spec itself said when it failed or skipped.
	Says string `json:"says,omitempty"`
}

// Result is one run of one suite.
type Result struct {
	Suite   string        `json:"suite"`
	Family  spec.Family   `json:"family"`
	Nodes   string        `json:"nodes"`
	Started time.Time     `json:"started"`
	Took    time.Duration `json:"took"`
	Specs   []Spec        `json:"specs"`
	// Woven, Machine and Cluster are what was tested and where.
	Woven   string `json:"woven"`
	Machine string `json:"machine"`
	Cluster string `json:"cluster"`
	// Facts are what the probes found, by name.
	Facts map[string]Fact `json:"facts"`
}

// Count is how many specs ended in a state.
func (r Result) Count(s State) int {
	n := 0
	for _, sp := range r.Specs {
		if sp.State == s {
			n++
		}
	}
	return n
}

// Conformance counts the specs of Kubernetes' [Conformance], and those of them that passed.
func (r Result) Conformance() (passed, all int) {
	for _, sp := range r.Specs {
		if !slices.Contains(sp.Labels, "Conformance") {
			continue
		}
		all++
		if sp.State == Passed {
			passed++
		}
	}
	return passed, all
}

// Save keeps a result in a directory, in place of the former one of the same suite and IP family.
func (r Result) Save(dir string) error {
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return fmt.Errorf("encoding a result: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making the directory of results: %w", err)
	}
	return os.WriteFile(filepath.Join(dir, string(r.Family)+"-"+r.Suite+".json"), b, 0o644)
}

// Load reads all results of a directory.
func Load(dir string) ([]Result, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("listing results: %w", err)
	}
	var all []Result
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return nil, fmt.Errorf("reading a result: %w", err)
		}
		var r Result
		if err := json.Unmarshal(b, &r); err != nil {
			return nil, fmt.Errorf("reading %s: %w", f, err)
		}
		all = append(all, r)
	}
	return all, nil
}
