package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// report is the result of a run. Its JSON contains the raw figures.
type report struct {
	Time       time.Time
	CPUs       int
	CPU        string
	Go         string
	GOMAXPROCS int // of the proxies
	Clients    int // number of connections

	// CPU time in seconds per 10,000 requests.
	Load []figures
	// Bytes per open stream.
	Memory *figures `json:",omitempty"`
}

// figures are the raw figures of one scenario.
type figures struct {
	Scenario    string
	Description string
	Requests    int                     // per round and proxy
	Rounds      []map[proxyMode]float64 // by proxy

	budgets map[proxyMode]budget
}

func newReport(o *options) *report {
	return &report{
		Time: time.Now().UTC().Truncate(time.Second), CPUs: runtime.NumCPU(), CPU: cpuName(), Go: runtime.Version(),
		GOMAXPROCS: o.procs, Clients: o.connections,
	}
}

// cpuName returns the model of the processor according to /proc; empty if unknown.
func cpuName() string {
	text, _ := os.ReadFile("/proc/cpuinfo") // missing on other systems
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// save writes load.json.
func (r *report) save(dir string) error { return saveJSON(r, dir, "load.json") }

// saveJSON writes raw figures to a file.
func saveJSON(figures any, dir, name string) error {
	text, err := json.MarshalIndent(figures, "", "\t")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, append(text, '\n'), 0o600); err != nil {
		return err
	}
	progress("raw figures: %s", path)
	return nil
}

// summary is the median, minimum and maximum of some numbers.
type summary struct{ median, low, high float64 }

func summarize(numbers []float64) summary {
	s := slices.Sorted(slices.Values(numbers))
	n := len(s)
	return summary{(s[(n-1)/2] + s[n/2]) / 2, s[0], s[n-1]}
}

// ratios returns the ratios of a proxy to plain Caddy in all rounds.
func (f *figures) ratios(p proxyMode) summary {
	all := make([]float64, len(f.Rounds))
	for i, round := range f.Rounds {
		all[i] = round[p] / round[plain]
	}
	return summarize(all)
}

func (f *figures) values(p proxyMode) summary {
	all := make([]float64, len(f.Rounds))
	for i, round := range f.Rounds {
		all[i] = round[p]
	}
	return summarize(all)
}

// verdict compares a figure with the budget.
func (b budget) verdict(figure float64) string {
	switch {
	case b.Limit == 0:
		return "-"
	case figure > b.Limit:
		return "over"
	case b.Stretch > 0 && figure <= b.Stretch:
		return "stretch met"
	default:
		return "met"
	}
}

func (b budget) text(format func(float64) string) string {
	switch {
	case b.Limit == 0:
		return "-"
	case b.Stretch == 0:
		return format(b.Limit)
	default:
		return format(b.Limit) + ", stretch " + format(b.Stretch)
	}
}

var proxyNames = map[proxyMode]string{
	plain: "plain reverse_proxy", builtin: "gate, built-in forwarding", reverseProxy: "gate, reverse_proxy",
}

// printLoad writes the table of CPU times as Markdown.
func (r *report) printLoad(out io.Writer) {
	fmt.Fprintf(out, "\n%d CPUs (%s), %s, GOMAXPROCS %d, %d connections\n\n", r.CPUs, r.CPU, r.Go, r.GOMAXPROCS, r.Clients)
	t := newTable(out, "CPU time relative to plain Caddy")
	for i := range r.Load {
		f := &r.Load[i]
		for _, p := range []proxyMode{builtin, reverseProxy} {
			t.figure(f, p, f.ratios(p), ratio)
		}
	}
	t.end()
}

// printMemory writes the table of memory.
func (r *report) printMemory(out io.Writer) {
	t := newTable(out, "memory")
	for _, p := range proxyModes {
		t.figure(r.Memory, p, r.Memory.values(p), kilobytes)
	}
	t.end()
}

func ratio(v float64) string     { return fmt.Sprintf("%.2f", v) }
func kilobytes(v float64) string { return fmt.Sprintf("%.0f KB", v/1000) }

func (s summary) text(format func(float64) string) string {
	return fmt.Sprintf("%s [%s %s]", format(s.median), format(s.low), format(s.high))
}

// table writes a Markdown table with aligned columns.
type table struct {
	out   io.Writer
	cells *tabwriter.Writer
}

func newTabs(out io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(out, 0, 1, 1, ' ', 0) }

func newTable(out io.Writer, what string) *table {
	t := &table{out, newTabs(out)}
	t.row(what, "mode", "median [min max]", "budget", "")
	t.row("---", "---", "---", "---", "---")
	return t
}

func (t *table) row(cells ...string) {
	fmt.Fprintf(t.cells, "| %s\t|\n", strings.Join(cells, "\t| "))
}

func (t *table) figure(f *figures, p proxyMode, s summary, format func(float64) string) {
	b := f.budgets[p]
	t.row(f.Description, proxyNames[p], s.text(format), b.text(format), b.verdict(s.median))
}

func (t *table) end() {
	_ = t.cells.Flush() // an error of the output cannot be reported
	fmt.Fprintln(t.out)
}
