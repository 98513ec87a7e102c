package main

import (
	"context"
	"math"
)

// perRequests is the number of requests that a reported CPU time is for.
const perRequests = 10000

// compare measures CPU time. All proxies run at the same time and are measured in turns, each round in another order, so that
// other load on the machine affects all of them equally.
func (w *env) compare(ctx context.Context, r *report) error {
	proxies := make([]*proxy, 0, len(proxyModes))
	defer func() {
		for _, p := range proxies {
			p.stop()
		}
	}()
	for _, p := range proxyModes {
		running, err := w.startProxy(ctx, p, false)
		if err != nil {
			return err
		}
		proxies = append(proxies, running)
	}
	for i := range w.options.scenarios {
		k := &w.options.scenarios[i]
		requests := int(math.Ceil(float64(k.Requests) * w.options.scale))
		progress("%s: %d rounds of %d requests for each", k.Description, w.options.rounds, requests)
		f := figures{Scenario: k.Name, Description: k.Description, Requests: requests, budgets: k.Budgets}
		for _, p := range proxies {
			if _, err := w.measure(ctx, p, k, max(1, requests/10)); err != nil { // to warm up
				return err
			}
		}
		for n := range w.options.rounds {
			round := map[proxyMode]float64{}
			for i := range proxies {
				p := proxies[(n+i)%len(proxies)]
				seconds, err := w.measure(ctx, p, k, requests)
				if err != nil {
					return err
				}
				round[p.mode] = seconds * perRequests / float64(requests)
			}
			f.Rounds = append(f.Rounds, round)
		}
		r.Load = append(r.Load, f)
	}
	return nil
}

// measure returns the CPU time of a proxy for some requests, in seconds.
func (w *env) measure(ctx context.Context, p *proxy, k *scenario, requests int) (float64, error) {
	before, err := p.cpu()
	if err != nil {
		return 0, err
	}
	client, err := w.send(ctx, p, k, requests)
	if err != nil {
		return 0, err
	}
	client.stop()
	if err := pause(ctx, quiesce); err != nil {
		return 0, err
	}
	after, err := p.cpu()
	return after - before, err
}

// memoryRounds is the maximum number of rounds that measure memory. Each round restarts all proxies.
const memoryRounds = 3

// compareMemory measures the memory of an open stream: the growth of a new proxy's resident memory when many streams are opened
// that have started and are idle. The proxy is warmed up with some requests.
func (w *env) compareMemory(ctx context.Context, r *report) error {
	rounds := min(w.options.rounds, memoryRounds)
	progress("memory: %d rounds of %d open streams for each", rounds, w.options.streams)
	f := figures{
		Scenario: "memory", Description: "memory for each open stream", Requests: w.options.streams,
		budgets: map[proxyMode]budget{builtin: {50e3, 35e3}, reverseProxy: {}},
	}
	for range rounds {
		round := map[proxyMode]float64{}
		for _, p := range proxyModes {
			bytes, err := w.memory(ctx, p)
			if err != nil {
				return err
			}
			round[p] = bytes / float64(w.options.streams)
		}
		f.Rounds = append(f.Rounds, round)
	}
	r.Memory = &f
	return nil
}

// memory returns the growth of a proxy with its open streams, in bytes.
func (w *env) memory(ctx context.Context, kind proxyMode) (float64, error) {
	p, err := w.startProxy(ctx, kind, false)
	if err != nil {
		return 0, err
	}
	defer p.stop()
	if _, err := w.measure(ctx, p, &scenarios[0], 500); err != nil { // to warm up
		return 0, err
	}
	before, err := p.memory()
	if err != nil {
		return 0, err
	}
	client, err := w.send(ctx, p, &holdScenario, w.options.streams)
	if err != nil {
		return 0, err
	}
	defer client.stop()
	if err := pause(ctx, quiesce); err != nil {
		return 0, err
	}
	after, err := p.memory()
	return after - before, err
}
