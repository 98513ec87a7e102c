package main

import (
	"context"
	"math"
)

// perRequests is the number of requests that CPU times are given for.
const perRequests = 10000

// compare measures CPU time. The proxies run side by side and take turns, each round beginning with another one, so
// that whatever else happens on the machine happens to all of them.
func (w *world) compare(ctx context.Context, r *report) error {
	proxies := make([]*proxy, 0, len(proxyKinds))
	defer func() {
		for _, p := range proxies {
			p.stop()
		}
	}()
	for _, p := range proxyKinds {
		running, err := w.startProxy(ctx, p, false)
		if err != nil {
			return err
		}
		proxies = append(proxies, running)
	}
	for i := range w.options.kinds {
		k := &w.options.kinds[i]
		requests := int(math.Ceil(float64(k.Requests) * w.options.scale))
		progress("%s: %d rounds of %d requests for each", k.About, w.options.rounds, requests)
		f := figures{Kind: k.Name, About: k.About, Requests: requests, budgets: k.Budgets}
		for _, p := range proxies {
			if _, err := w.measure(ctx, p, k, max(1, requests/10)); err != nil { // to warm up
				return err
			}
		}
		for n := range w.options.rounds {
			round := map[proxyKind]float64{}
			for i := range proxies {
				p := proxies[(n+i)%len(proxies)]
				seconds, err := w.measure(ctx, p, k, requests)
				if err != nil {
					return err
				}
				round[p.kind] = seconds * perRequests / float64(requests)
			}
			f.Rounds = append(f.Rounds, round)
		}
		r.Load = append(r.Load, f)
	}
	return nil
}

// measure returns the CPU time that a proxy takes for some requests, in seconds.
func (w *world) measure(ctx context.Context, p *proxy, k *kind, requests int) (float64, error) {
	before, err := p.cpu()
	if err != nil {
		return 0, err
	}
	client, err := w.send(ctx, p, k, requests)
	if err != nil {
		return 0, err
	}
	client.stop()
	if err := pause(ctx, settle); err != nil {
		return 0, err
	}
	after, err := p.cpu()
	return after - before, err
}

// memoryRounds is how often memory is measured at most; each round starts all proxies anew.
const memoryRounds = 3

// compareMemory measures what an open stream takes: how much the resident memory of a fresh proxy grows, after it has
// answered some requests, when many streams are opened that have begun and are silent.
func (w *world) compareMemory(ctx context.Context, r *report) error {
	rounds := min(w.options.rounds, memoryRounds)
	progress("memory: %d rounds of %d open streams for each", rounds, w.options.streams)
	f := figures{
		Kind: "memory", About: "memory for each open stream", Requests: w.options.streams,
		budgets: map[proxyKind]budget{own: {50e3, 35e3}, via: {}},
	}
	for range rounds {
		round := map[proxyKind]float64{}
		for _, p := range proxyKinds {
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

// memory returns by how many bytes a proxy grows with its open streams.
func (w *world) memory(ctx context.Context, kind proxyKind) (float64, error) {
	p, err := w.startProxy(ctx, kind, false)
	if err != nil {
		return 0, err
	}
	defer p.stop()
	if _, err := w.measure(ctx, p, &kinds[0], 500); err != nil { // to warm up
		return 0, err
	}
	before, err := p.memory()
	if err != nil {
		return 0, err
	}
	client, err := w.send(ctx, p, &holdKind, w.options.streams)
	if err != nil {
		return 0, err
	}
	defer client.stop()
	if err := pause(ctx, settle); err != nil {
		return 0, err
	}
	after, err := p.memory()
	return after - before, err
}
