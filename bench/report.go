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

// report is the outcome of a run. Its JSON holds the raw figures.
type report struct {
	Time       time.Time
	CPUs       int
	CPU        string
	Go         string
	GOMAXPROCS int // of the proxies
	Clients    int // connections at the same time

	// Seconds of CPU time for 10,000 requests.
	Load []figures
	// Bytes for each open stream.
	Memory *figures `json:",omitempty"`
}

// figures are the raw figures of one kind.
type figures struct {
	Kind     string
	About    string
	Requests int                     // a round, for each proxy
	Rounds   []map[proxyKind]float64 // what each proxy took

	budgets map[proxyKind]budget
}

func newReport(o *options) *report {
	return &report{
		Time: time.Now().UTC().Truncate(time.Second), CPUs: runtime.NumCPU(), CPU: cpuName(), Go: runtime.Version(),
		GOMAXPROCS: o.procs, Clients: o.connections,
	}
}

// cpuName returns what /proc says about the machine's processor; empty where it says nothing.
func cpuName() string {
	text, _ := os.ReadFile("/proc/cpuinfo") // on other systems there is none
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// save writes load.json.
func (r *report) save(dir string) error { return saveJSON(r, dir, "load.json") }

// saveJSON writes raw figures.
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

// spread is the median of some numbers, with the lowest and the highest.
type spread struct{ median, low, high float64 }

func spreadOf(numbers []float64) spread {
	s := slices.Sorted(slices.Values(numbers))
	n := len(s)
	return spread{(s[(n-1)/2] + s[n/2]) / 2, s[0], s[n-1]}
}

// ratios compares a proxy with plain Caddy, round by round.
func (f *figures) ratios(p proxyKind) spread {
	all := make([]float64, len(f.Rounds))
	for i, round := range f.Rounds {
		all[i] = round[p] / round[plain]
	}
	return spreadOf(all)
}

func (f *figures) values(p proxyKind) spread {
	all := make([]float64, len(f.Rounds))
	for i, round := range f.Rounds {
		all[i] = round[p]
	}
	return spreadOf(all)
}

// verdict says how a figure stands to its budget.
func (b budget) verdict(figure float64) string {
	switch {
	case b.Limit == 0:
		return "-"
	case figure > b.Limit:
		return "over"
	case b.Stretch > 0 && figure <= b.Stretch:
		return "met, and the stretch"
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

var proxyNames = map[proxyKind]string{
	plain: "plain reverse_proxy", own: "gate, own forwarding", via: "gate, reverse_proxy",
}

// printLoad writes the table of CPU time that people read: as Markdown, so that it can be kept.
func (r *report) printLoad(out io.Writer) {
	fmt.Fprintf(out, "\n%d CPUs (%s), %s, GOMAXPROCS %d, %d connections\n\n", r.CPUs, r.CPU, r.Go, r.GOMAXPROCS, r.Clients)
	t := newTable(out, "CPU time, as a multiple of plain Caddy's")
	for i := range r.Load {
		f := &r.Load[i]
		for _, p := range []proxyKind{own, via} {
			t.figure(f, p, f.ratios(p), ratio)
		}
	}
	t.end()
}

// printMemory writes the table of memory.
func (r *report) printMemory(out io.Writer) {
	t := newTable(out, "memory")
	for _, p := range proxyKinds {
		t.figure(r.Memory, p, r.Memory.values(p), kilobytes)
	}
	t.end()
}

func ratio(v float64) string     { return fmt.Sprintf("%.2f", v) }
func kilobytes(v float64) string { return fmt.Sprintf("%.0f KB", v/1000) }

func (s spread) text(format func(float64) string) string {
	return fmt.Sprintf("%s [%s %s]", format(s.median), format(s.low), format(s.high))
}

// table writes a Markdown table with straight columns.
type table struct {
	out   io.Writer
	cells *tabwriter.Writer
}

func newTabs(out io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(out, 0, 1, 1, ' ', 0) }

func newTable(out io.Writer, what string) *table {
	t := &table{out, newTabs(out)}
	t.row(what, "way", "median [lowest highest]", "budget", "")
	t.row("---", "---", "---", "---", "---")
	return t
}

func (t *table) row(cells ...string) {
	fmt.Fprintf(t.cells, "| %s\t|\n", strings.Join(cells, "\t| "))
}

func (t *table) figure(f *figures, p proxyKind, s spread, format func(float64) string) {
	b := f.budgets[p]
	t.row(f.About, proxyNames[p], s.text(format), b.text(format), b.verdict(s.median))
}

func (t *table) end() {
	_ = t.cells.Flush() // what cannot be printed cannot be reported either
	fmt.Fprintln(t.out)
}
