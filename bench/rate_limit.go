package main

import (
	"context"
	"fmt"
	"io"
	"sort"
)

// rateLimits are the highest rates of a scenario at which p99 stays below some limits.
type rateLimits struct {
	Scenario, Description string
	Limits                []float64               // of p99, in seconds
	Rates                 map[proxyMode][]float64 // for each limit, in requests per second; 0: none of those that were tried
	Trials                map[proxyMode][]rateTrial
}

// rateTrial is a measurement at one rate.
type rateTrial struct{ Rate, P99 float64 }

var p99Limits = []float64{1e-3, 5e-3, 10e-3, 50e-3}

// triedRates are the rates that the search chooses from, the lowest first.
var triedRates = []float64{50, 100, 200, 400, 600, 800, 1100, 1500, 2000, 2700, 3600, 4800, 6400, 8500}

// trialTime is the duration of a measurement in seconds.
const trialTime = 1

// findLimits searches for the highest rates by bisection. A measurement serves for all limits, so a program takes at most as many as
// there are rates.
func (w *env) findLimits(ctx context.Context, list []gateway, running map[proxyMode]*proxy, name string) (rateLimits, error) {
	k, err := findScenario(name)
	r := rateLimits{Rates: map[proxyMode][]float64{}, Trials: map[proxyMode][]rateTrial{}, Limits: p99Limits}
	if err != nil {
		return r, err
	}
	r.Scenario, r.Description = k.Name, k.Description
	progress("%s: highest rates", k.Description)
	for i := range list {
		p, tried := running[list[i].mode], map[int]float64{}
		var failed error
		trial := func(n int) float64 {
			if _, done := tried[n]; !done && failed == nil {
				_, result, err := w.measureAt(ctx, p, k, int(triedRates[n]*trialTime), triedRates[n])
				tried[n], failed = result.P99, err
			}
			return tried[n]
		}
		var rates []float64
		for _, limit := range r.Limits {
			first := sort.Search(len(triedRates), func(n int) bool { return trial(n) >= limit }) // the first rate that is too high
			if first == 0 {
				rates = append(rates, 0)
				continue
			}
			rates = append(rates, triedRates[first-1])
		}
		if failed != nil {
			return r, failed
		}
		r.Rates[p.mode] = rates
		for n, rate := range triedRates {
			if p99, done := tried[n]; done {
				r.Trials[p.mode] = append(r.Trials[p.mode], rateTrial{rate, p99})
			}
		}
	}
	return r, nil
}

func (r *rateLimits) print(out io.Writer, list []gateway) {
	t := &table{out, newTabs(out)}
	head, line := []string{r.Description + ": highest rate with p99 below"}, []string{"---"}
	for _, limit := range r.Limits {
		head, line = append(head, fmt.Sprintf("%g ms", limit*1e3)), append(line, "---")
	}
	t.row(head...)
	t.row(line...)
	for i := range list {
		rates, ok := r.Rates[list[i].mode]
		if !ok {
			continue
		}
		cells := []string{list[i].name}
		for _, rate := range rates {
			if rate == 0 {
				cells = append(cells, fmt.Sprintf("below %g/s", triedRates[0]))
				continue
			}
			cells = append(cells, fmt.Sprintf("%g/s", rate))
		}
		t.row(cells...)
	}
	t.end()
}

// panel returns the diagram of the measurements.
func (r *rateLimits) panel(list []gateway) plotPanel {
	d := plotPanel{X: "requests per second, " + r.Description, Y: "p99, ms"}
	for i := range list {
		l := plotLine{Name: string(list[i].mode)}
		for _, trial := range r.Trials[list[i].mode] {
			l.Points = append(l.Points, [2]float64{trial.Rate, min(trial.P99*1e3, plotLimit)})
		}
		if len(l.Points) > 0 {
			d.Lines = append(d.Lines, l)
		}
	}
	return d
}

// plotLimit is the highest p99 in the diagram, in milliseconds.
const plotLimit = 100
