package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// runMixed sends requests with keys of all kinds of policies at the same time, and checks that the limits of each key hold exactly, and
// that neither a flood of requests nor one of visitors on one key affects the others. Then it compares the CPU time of the kinds.
func runMixed(ctx context.Context, o *options, out io.Writer) error {
	w, err := openEnv(ctx, o)
	if err != nil {
		return err
	}
	defer w.close()
	m := &mixed{env: w, scale: o.scale}
	if err := writeMixedKeys(w.keyFile); err != nil {
		return err
	}
	if m.proxy, err = w.start(ctx, builtin, func(address string) string { return mixedCaddyfile(address, w.upstream.address, w.keyFile) }); err != nil {
		return err
	}
	defer m.proxy.stop()
	t := &table{out, newTabs(out)}
	t.row("a mix of keys", "sent", "accepted", "allowed", "")
	t.row("---", "---", "---", "---", "---")
	err = m.enforce(ctx, t)
	if err == nil {
		err = m.floodVisitors(ctx, t)
	}
	t.end()
	if err != nil {
		return err
	}
	return m.compareKinds(ctx, out)
}

// mixed is a run with keys of all kinds.
type mixed struct {
	*env
	proxy  *proxy
	scale  float64
	failed bool
}

// check reports what a kind has sent and what was accepted, and whether that is as its limits allow.
func (m *mixed) check(t *table, name string, r *mixedResult, low, high int) {
	verdict := "met"
	if r.accepted < low || r.accepted > high || r.err != nil {
		verdict, m.failed = "violated", true
	}
	allowed := fmt.Sprint(low)
	if low != high {
		allowed = fmt.Sprintf("%d to %d", low, high)
	}
	t.row(name, fmt.Sprint(r.sent), fmt.Sprint(r.accepted), allowed, verdict)
	if r.err != nil {
		progress("%s: %v", name, r.err)
	}
}

// errViolated means that a limit did not hold; the table has the details.
var errViolated = errors.New("limits of keys did not hold")

// enforce sends requests with all kinds of keys at the same time. The flooded key gets as many as possible.
func (m *mixed) enforce(ctx context.Context, t *table) error {
	progress("sending with all kinds of keys for %v", mixedTime)
	ctx, stop := context.WithTimeout(ctx, mixedTime)
	defer stop()
	results := make([]*mixedResult, len(mixedKinds))
	begin := time.Now()
	done := make(chan struct{})
	for i := range mixedKinds {
		k := &mixedKinds[i]
		results[i] = new(mixedResult)
		go func() {
			defer func() { done <- struct{}{} }()
			m.send(ctx, k, results[i])
		}()
	}
	for range mixedKinds {
		<-done
	}
	took := time.Since(begin)
	for i := range mixedKinds {
		low, high := mixedKinds[i].allowed(results[i].sent, took)
		m.check(t, mixedKinds[i].name, results[i], low, high)
	}
	if m.failed {
		return errViolated
	}
	return nil
}

const (
	// mixedTime is how long keys of all kinds are used at the same time.
	mixedTime = 10 * time.Second

	floodVisitors = 80_000
	floodKept     = 200 // visitors of another key, who have reached their limit before the flood

	// floodMemory bounds the growth of the gate by the flood, in bytes. The counters of one key need at most 7 MB; the rest is garbage
	// of 80,000 requests.
	floodMemory = 64 << 20
)

// floodVisitors sends a request of each of many visitors with one key. The visitors of another key who have reached their limit before
// are still rejected after it.
func (m *mixed) floodVisitors(ctx context.Context, t *table) error {
	progress("flooding one key with %d visitors", floodVisitors)
	kept, flooded := mixedKey("kept"), mixedKey("flooded")
	const perVisitor = 3 // of the key "kept"
	var before, after, flood mixedResult
	m.sendAll(ctx, floodKept*(perVisitor+1), func(n int) mixedRequest {
		return mixedRequest{token: kept, address: address(100, n%floodKept)}
	}, &before)
	m.check(t, "visitors before a flood on another key", &before, floodKept*perVisitor, floodKept*perVisitor)
	memory, err := m.proxy.memory()
	if err != nil {
		return err
	}
	m.sendAll(ctx, floodVisitors, func(n int) mixedRequest { return mixedRequest{token: flooded, address: address(101, n)} }, &flood)
	m.check(t, "the flood, one request of each visitor", &flood, floodVisitors, floodVisitors)
	m.sendAll(ctx, floodKept, func(n int) mixedRequest { return mixedRequest{token: kept, address: address(100, n)} }, &after)
	m.check(t, "the same visitors after the flood", &after, 0, 0)
	grown, err := m.proxy.memory()
	if err != nil {
		return err
	}
	verdict := "met"
	if grown-memory > floodMemory {
		verdict, m.failed = "violated", true
	}
	t.row("memory that the flood needs", "", megabytes(grown-memory), "at most "+megabytes(floodMemory), verdict)
	if m.failed {
		return errViolated
	}
	return ctx.Err()
}

func megabytes(bytes float64) string { return fmt.Sprintf("%.0f MB", math.Max(bytes, 0)/(1<<20)) }

// compareKinds measures the CPU time of accepted requests of each kind, relative to keys without a policy.
func (m *mixed) compareKinds(ctx context.Context, out io.Writer) error {
	requests := int(math.Ceil(float64(mixedRequests) * m.scale))
	progress("comparing the kinds: %d rounds of %d requests for each", m.options.rounds, requests)
	ratios := make(map[string][]float64)
	for n := range m.options.rounds + 1 { // the first one is to warm up
		times := make(map[string]float64)
		for i := range costKinds {
			k := &costKinds[(n+i)%len(costKinds)]
			seconds, err := m.cost(ctx, k, requests)
			if err != nil {
				return err
			}
			times[k.name] = seconds
		}
		for name, seconds := range times {
			if n > 0 {
				ratios[name] = append(ratios[name], seconds/times[costKinds[0].name])
			}
		}
	}
	t := &table{out, newTabs(out)}
	fmt.Fprintln(out)
	t.row("CPU time relative to keys without a policy", "median [min max]")
	t.row("---", "---")
	for i := range costKinds {
		t.row(costKinds[i].name, summarize(ratios[costKinds[i].name]).text(func(v float64) string { return fmt.Sprintf("%.2f", v) }))
	}
	t.end()
	return nil
}

// mixedRequests is the number of requests per round of each kind.
const mixedRequests = 5000

// cost returns the CPU time of the gate for requests of one kind, in seconds.
func (m *mixed) cost(ctx context.Context, k *costKind, requests int) (float64, error) {
	before, err := m.proxy.cpu()
	if err != nil {
		return 0, err
	}
	var r mixedResult
	m.sendAll(ctx, requests, k.request, &r)
	if err := pause(ctx, quiesce); err != nil {
		return 0, err
	}
	after, err := m.proxy.cpu()
	switch {
	case err != nil:
		return 0, err
	case r.err != nil:
		return 0, fmt.Errorf("%s: %w", k.name, r.err)
	case (r.accepted == r.sent) == k.rejected:
		return 0, fmt.Errorf("%s: %d of %d requests were accepted", k.name, r.accepted, r.sent)
	}
	return after - before, nil
}
