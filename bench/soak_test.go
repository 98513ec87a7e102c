package main

import (
	"bytes"
	"strings"
	"testing"
)

// A soak fails if a figure of the last fifth is above that of the second one, whatever the first one was.
func TestSoakGrowth(t *testing.T) {
	samples := func(change func(fifth int, s *soakPoint)) *soakReport {
		r := &soakReport{report: newReport(&options{})}
		for i := range 50 {
			s := soakPoint{Anonymous: 40e6, Mapped: 60e6, Heap: 20e6, Goroutines: 80, Files: 90, P50: 2e-3, P99: 20e-3, CPU: 5}
			change(i/10, &s)
			r.Samples = append(r.Samples, s)
		}
		return r
	}
	for name, tc := range map[string]struct {
		change func(fifth int, s *soakPoint)
		want   string // in the error; empty: none
	}{
		"steady":     {func(int, *soakPoint) {}, ""},
		"warming up": {func(fifth int, s *soakPoint) { s.Anonymous = map[int]float64{0: 50e6}[fifth] + 50e6 }, ""},
		"less":       {func(fifth int, s *soakPoint) { s.P99 -= float64(fifth) * 1e-3 }, ""},
		"memory":     {func(fifth int, s *soakPoint) { s.Anonymous += float64(fifth) * 5e6 }, "resident memory without mapped files has grown from 43 MB to 57 MB"},
		"goroutines": {func(fifth int, s *soakPoint) { s.Goroutines += float64(fifth) * 20 }, "goroutines has grown"},
		"latency":    {func(fifth int, s *soakPoint) { s.P99 += float64(fifth) * 20e-3 }, "latency, p99 has grown"},
	} {
		t.Run(name, func(t *testing.T) {
			r := samples(tc.change)
			err := r.check()
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
			var out bytes.Buffer
			if r.print(&out); strings.Count(out.String(), "\n| ") != len(soakFigures)+2 {
				t.Errorf("table:\n%s", out.String())
			}
		})
	}
	if err := (&soakReport{}).check(); err == nil {
		t.Error("a soak without samples has passed")
	}
}
