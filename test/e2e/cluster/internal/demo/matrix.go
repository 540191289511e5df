package demo

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// tries is how often each cell is measured.
const tries = 3

// Matrix is who reaches whom.
type Matrix struct {
	columns []string
	rows    []string

	mu    sync.Mutex // protects cells; sources fill them side by side
	cells map[[2]string]cell
}

// cell is one answer: how long it took, or why there was none.
type cell struct {
	took time.Duration
	err  error
}

// NewMatrix makes an empty matrix.
func NewMatrix(columns []string) *Matrix {
	return &Matrix{columns: columns, cells: map[[2]string]cell{}}
}

// AddRow adds a source.
func (m *Matrix) AddRow(name string) { m.rows = append(m.rows, name) }

// Set fills a cell.
func (m *Matrix) Set(row, column string, took time.Duration, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cells[[2]string{row, column}] = cell{took, err}
}

// Failures counts the cells that failed.
func (m *Matrix) Failures() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, c := range m.cells {
		if c.err != nil {
			n++
		}
	}
	return n
}

// Print writes the matrix as a table, and below it why cells failed.
func (m *Matrix) Print(out io.Writer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "from\t%s\n", strings.Join(m.columns, "\t"))
	var why []string
	for _, row := range m.rows {
		line := []string{row}
		for _, column := range m.columns {
			c, asked := m.cells[[2]string{row, column}]
			switch {
			case !asked:
				line = append(line, "-")
			case c.err != nil:
				line = append(line, "FAILED")
				why = append(why, fmt.Sprintf("FAILED %s -> %s: %v", row, column, c.err))
			default:
				line = append(line, fmt.Sprintf("%.1f ms", float64(c.took.Microseconds())/1000))
			}
		}
		fmt.Fprintln(w, strings.Join(line, "\t"))
	}
	w.Flush()
	for _, s := range why {
		fmt.Fprintln(out, s)
	}
}

// separator begins what curl prints after each answer.
const separator = "\x1e"

// command is one curl for all URLs, each several times: starting a process in a pod costs more than the answer.
func command(targets []target, limit time.Duration) []string {
	argv := []string{
		"curl", "--silent", "--max-time", fmt.Sprintf("%.0f", limit.Seconds()), "--header", "Connection: close",
		"--write-out", separator + "%{http_code} %{time_total} %{errormsg}" + separator + "\n",
	}
	for _, t := range targets {
		for range tries {
			argv = append(argv, t.url)
		}
	}
	return argv
}

// row measures all cells of a source with one command.
func (s *scene) row(m *Matrix, name string, targets []target, run func([]string) (string, error)) {
	out, err := run(command(targets, s.limit))
	answers := parse(out)
	for i, t := range targets {
		if len(answers) < (i+1)*tries {
			m.Set(name, t.column, 0, fmt.Errorf("no answer from the source: %w", err))
			continue
		}
		took, err := judge(answers[i*tries:(i+1)*tries], t.check)
		m.Set(name, t.column, took, err)
	}
}

// answer is what curl got for one URL.
type answer struct {
	body string
	code int
	took time.Duration
	err  string
}

// parse reads what the command printed.
func parse(out string) []answer {
	var all []answer
	fields := strings.Split(out, separator)
	for i := 0; i+1 < len(fields); i += 2 {
		a := answer{body: strings.TrimSpace(fields[i])}
		stats := strings.SplitN(fields[i+1], " ", 3)
		if len(stats) < 3 {
			return all
		}
		a.code, _ = strconv.Atoi(stats[0]) // curl prints 000 where there was no answer
		seconds, _ := strconv.ParseFloat(stats[1], 64)
		a.took, a.err = time.Duration(seconds*float64(time.Second)), stats[2]
		all = append(all, a)
	}
	return all
}

// judge is the slowest time of a cell's answers, since only the first pays for ARP and DNS; all have to be right.
func judge(answers []answer, check func(string) error) (time.Duration, error) {
	var times []time.Duration
	for _, a := range answers {
		if a.err != "" {
			return 0, fmt.Errorf("%s", a.err)
		}
		if a.code != 200 {
			return 0, fmt.Errorf("HTTP status %d", a.code)
		}
		if check != nil {
			if err := check(a.body); err != nil {
				return 0, err
			}
		}
		times = append(times, a.took)
	}
	return slices.Max(times), nil
}
