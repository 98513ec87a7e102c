package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
)

// soakFigure is a figure of a soak that must not grow.
type soakFigure struct {
	name   string
	value  func(*soakPoint) float64
	format func(float64) string

	// The last fifth may be this factor and this amount above the second one. Latency depends on the other load of the machine.
	factor, more float64
}

var soakFigures = []soakFigure{
	{"resident memory without mapped files", func(s *soakPoint) float64 { return s.Anonymous }, megabytes, 1.05, 5e6},
	{"mapped files in memory", func(s *soakPoint) float64 { return s.Mapped }, megabytes, 1.1, 10e6},
	{"heap, garbage included", func(s *soakPoint) float64 { return s.Heap }, megabytes, 1.1, 5e6},
	{"goroutines", func(s *soakPoint) float64 { return s.Goroutines }, count, 1.1, 10},
	{"open files", func(s *soakPoint) float64 { return s.Files }, count, 1.1, 10},
	{"latency, p50", func(s *soakPoint) float64 { return s.P50 }, milliseconds, 1.5, 1e-3},
	{"latency, p99", func(s *soakPoint) float64 { return s.P99 }, milliseconds, 2, 10e-3},
	{"CPU time for a request", func(s *soakPoint) float64 { return s.CPU / perRequests }, microseconds, 1.2, 0},
}

func microseconds(v float64) string { return fmt.Sprintf("%.0f µs", v*1e6) }
func count(v float64) string        { return fmt.Sprintf("%.0f", v) }

// fifth returns a fifth of the samples, from 0 to 4.
func (r *soakReport) fifth(n int, value func(*soakPoint) float64) summary {
	var all []float64
	for i := n * len(r.Samples) / 5; i < (n+1)*len(r.Samples)/5; i++ {
		all = append(all, value(&r.Samples[i]))
	}
	return summarize(all)
}

// check compares the medians of the second and of the last fifth; the first is to warm up.
func (r *soakReport) check() error {
	if len(r.Samples) < 5 {
		return fmt.Errorf("only %d samples: run the soak for at least a minute and a half", len(r.Samples))
	}
	var errs []error
	for _, f := range soakFigures {
		before, after := r.fifth(1, f.value).median, r.fifth(4, f.value).median
		if after > before*f.factor+f.more {
			errs = append(errs, fmt.Errorf("%s has grown from %s to %s", f.name, f.format(before), f.format(after)))
		}
	}
	return errors.Join(errs...)
}

func (r *soakReport) print(out io.Writer) {
	fmt.Fprintf(out, "\n%d CPUs (%s), %s, GOMAXPROCS %d: %g requests a second for %s, %d in total; %d keys created and revoked, %d rotated\n\n",
		r.CPUs, r.CPU, r.Go, r.GOMAXPROCS, r.Rate, r.Duration, r.Requests, r.Created, r.Rotated)
	t := &table{out, newTabs(out)}
	t.row("soak", "second fifth, median [min max]", "last fifth")
	t.row("---", "---", "---")
	if len(r.Samples) >= 5 {
		for _, f := range soakFigures {
			t.row(f.name, r.fifth(1, f.value).text(f.format), r.fifth(4, f.value).text(f.format))
		}
	}
	t.end()
}

// plot draws the samples over time.
func (r *soakReport) plot(ctx context.Context, w *env) error {
	panel := func(label string, lines ...plotLine) plotPanel {
		return plotPanel{X: "minutes", Y: label, Lines: lines}
	}
	line := func(name string, value func(*soakPoint) float64) plotLine {
		l := plotLine{Name: name}
		for i := range r.Samples {
			l.Points = append(l.Points, [2]float64{r.Samples[i].Minutes, value(&r.Samples[i])})
		}
		return l
	}
	return w.plot(ctx, filepath.Join(w.options.out, "soak.svg"), []plotPanel{
		panel("MB", line("resident memory without mapped files", func(s *soakPoint) float64 { return s.Anonymous / 1e6 }),
			line("mapped files", func(s *soakPoint) float64 { return s.Mapped / 1e6 }),
			line("heap", func(s *soakPoint) float64 { return s.Heap / 1e6 })),
		panel("ms", line("p50", func(s *soakPoint) float64 { return s.P50 * 1e3 }), line("p99", func(s *soakPoint) float64 { return s.P99 * 1e3 })),
		panel("number", line("goroutines", func(s *soakPoint) float64 { return s.Goroutines }),
			line("open files", func(s *soakPoint) float64 { return s.Files })),
	})
}
