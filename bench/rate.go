package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
)

// rateReport is the result of measurements at fixed rates, at which proxies are mostly idle: then wake-ups, timers and garbage
// collections show.
type rateReport struct {
	*report  // Load is the CPU time
	Rate     float64
	P50, P99 []figures // seconds, as Load
	Delay    figures   // seconds
	Limits   []rateLimits
}

const (
	rateSeconds = 4 // duration of a measurement
	delayRate   = 40.0
	delayTime   = 3 // seconds
)

// rateScenarios are measured at a fixed rate.
var rateScenarios = []string{"widget", "answer", "history-32k", "unknown", "openai", "openai-stream"}

// runRates measures programs at a fixed rate.
func (w *env) runRates(ctx context.Context, list []gateway, running map[proxyMode]*proxy) (*rateReport, error) {
	r := &rateReport{report: newReport(w.options), Rate: w.options.rate}
	list = slices.DeleteFunc(slices.Clone(list), func(g gateway) bool { return g.slow })
	for i := range scenarios {
		k := &scenarios[i]
		if slices.Contains(rateScenarios, k.Name) {
			if err := w.measureRate(ctx, able(list, k.Name), running, k, r); err != nil {
				return nil, err
			}
		}
	}
	var err error
	if r.Delay, err = w.measureDelays(ctx, relaying(list), running); err != nil {
		return nil, err
	}
	for _, name := range []string{"widget", "openai"} {
		limits, err := w.findLimits(ctx, able(list, name), running, name)
		if err != nil {
			return nil, err
		}
		r.Limits = append(r.Limits, limits)
	}
	return r, nil
}

// able returns the programs that can do a scenario.
func able(list []gateway, scenario string) []gateway {
	return slices.DeleteFunc(slices.Clone(list), func(g gateway) bool { return !slices.Contains(g.scenarios, scenario) })
}

// relaying returns the programs that relay the events of an upstream.
func relaying(list []gateway) []gateway {
	return slices.DeleteFunc(able(list, "widget"), func(g gateway) bool { return g.mode == respond })
}

// measureRate measures the CPU time and the latency of a scenario, in turns.
func (w *env) measureRate(ctx context.Context, list []gateway, running map[proxyMode]*proxy, k *scenario, r *rateReport) error {
	requests := int(math.Ceil(r.Rate * rateSeconds * w.options.scale))
	progress("%s at %g/s: %d rounds of %d requests for each", k.Description, r.Rate, w.options.rounds, requests)
	all := [3]figures{}
	for i := range all {
		all[i] = figures{Scenario: k.Name, Description: k.Description, Requests: requests}
	}
	for n := range w.options.rounds {
		round := [3]map[proxyMode]float64{{}, {}, {}}
		for i := range list {
			p := running[list[(n+i)%len(list)].mode]
			seconds, result, err := w.measureAt(ctx, p, k, requests, r.Rate)
			if err != nil {
				return err
			}
			round[0][p.mode], round[1][p.mode], round[2][p.mode] = seconds*perRequests/float64(requests), result.P50, result.P99
		}
		for i := range all {
			all[i].Rounds = append(all[i].Rounds, round[i])
		}
	}
	r.Load, r.P50, r.P99 = append(r.Load, all[0]), append(r.P50, all[1]), append(r.P99, all[2])
	return nil
}

// measureAt is measure at a rate.
func (w *env) measureAt(ctx context.Context, p *proxy, k *scenario, requests int, rate float64) (float64, outcome, error) {
	before, err := p.cpu()
	if err != nil {
		return 0, outcome{}, err
	}
	client, result, err := w.sendAt(ctx, p, k, requests, rate)
	if err != nil {
		return 0, result, err
	}
	client.stop()
	if err := pause(ctx, quiesce); err != nil {
		return 0, result, err
	}
	after, err := p.cpu()
	return after - before, result, err
}

// measureDelays measures how long an event takes from the upstream to the client.
func (w *env) measureDelays(ctx context.Context, list []gateway, running map[proxyMode]*proxy) (figures, error) {
	f := figures{Scenario: timedScenario.Name, Description: timedScenario.Description, Requests: int(math.Ceil(delayRate * delayTime * w.options.scale))}
	progress("%s: %d rounds of %d streams for each", f.Description, w.options.rounds, f.Requests)
	for n := range w.options.rounds {
		round := map[proxyMode]float64{}
		for i := range list {
			p := running[list[(n+i)%len(list)].mode]
			_, result, err := w.measureAt(ctx, p, &timedScenario, f.Requests, delayRate)
			if err != nil {
				return f, err
			}
			round[p.mode] = result.Delay
		}
		f.Rounds = append(f.Rounds, round)
	}
	return f, nil
}

// print writes the tables as Markdown.
func (r *rateReport) print(out io.Writer, list []gateway) {
	r.printRows(out, fmt.Sprintf("CPU time at %g/s, relative to Caddy without a gate", r.Rate), list, r.Load,
		func(f *figures, p proxyMode) string { return f.ratios(p).text(ratio) })
	r.printRows(out, fmt.Sprintf("latency at %g/s, p50 / p99", r.Rate), list, r.P50, func(f *figures, p proxyMode) string {
		i := slices.IndexFunc(r.P99, func(o figures) bool { return o.Scenario == f.Scenario })
		return milliseconds(f.values(p).median) + " / " + milliseconds(r.P99[i].values(p).median)
	})
	r.printRows(out, "from the upstream's write of an event to its arrival, p50", list, []figures{r.Delay},
		func(f *figures, p proxyMode) string { return f.values(p).text(microseconds) })
	for i := range r.Limits {
		r.Limits[i].print(out, list)
	}
}

// printRows writes a table with a row for each program and a column for each scenario.
func (r *rateReport) printRows(out io.Writer, title string, list []gateway, columns []figures, cell func(*figures, proxyMode) string) {
	t := &table{out, newTabs(out)}
	head, line := []string{title}, []string{"---"}
	for i := range columns {
		head, line = append(head, columns[i].Description), append(line, "---")
	}
	t.row(head...)
	t.row(line...)
	for i := range list {
		cells, measured := []string{list[i].name}, false
		for j := range columns {
			if _, ok := columns[j].Rounds[0][list[i].mode]; !ok {
				cells = append(cells, "-")
				continue
			}
			measured = true
			cells = append(cells, cell(&columns[j], list[i].mode))
		}
		if measured {
			t.row(cells...)
		}
	}
	t.end()
}
