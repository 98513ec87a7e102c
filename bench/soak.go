package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	soakSample  = 10 * time.Second // interval of the samples
	soakWorkers = 64               // maximum number of requests in flight
	soakKeys    = 200              // number of valid keys at any time

	// soakWarmUp is the number of keys that are created, used and revoked before the first sample: the limits of visitors keep the state of
	// up to 1024 keys that are no longer used.
	soakWarmUp = 1100
)

// soakReport is the result of a soak: a steady load for a long time.
type soakReport struct {
	*report
	Rate     float64 // requests per second
	Duration string
	Requests int
	Created  int // keys that were created after the warm-up, of which as many were revoked
	Rotated  int
	Samples  []soakPoint
}

// soakPoint is a sample.
type soakPoint struct {
	Minutes    float64
	Anonymous  float64 // resident memory without mapped files, in bytes
	Mapped     float64 // resident pages of mapped files, which the system can reclaim, in bytes
	Heap       float64 // bytes, garbage included
	Goroutines float64
	Files      float64 // open file descriptors
	P50, P99   float64 // seconds, of the requests since the previous sample
	CPU        float64 // seconds per 10,000 requests since then
}

// soakCaddyfile returns the configuration: a key store, whose keys are bound to sources, and the default limits of visitors.
func soakCaddyfile(address, upstream, admin, store string) string {
	return "{\n\tadmin " + admin + "\n\tpersist_config off\n\tauto_https off\n\tservers {\n\t\ttrusted_proxies static 127.0.0.1/32\n\t}\n" +
		"\tmetrics\n\tdocsgate {\n\t\tfeed store " + store + "\n\t\tdocsgpt_version 1.1.0\n\t\tupstream_token {env.BENCH_AGENT_KEY}\n\t\tupstream_tools none\n\t}\n}\n\n" +
		"http://" + address + " {\n\tdocsgate " + upstream + " {\n\t\tendpoints widget openai\n\t\tlimits {\n\t\t\tfailed_tokens 1000000/1s\n\t\t}\n\t}\n}\n"
}

// runSoak sends requests at a steady rate while keys are created, rotated and revoked, and while origins, visitors, conversations and
// unknown tokens change. It is an error if memory or latency grow.
func (w *env) runSoak(ctx context.Context, out io.Writer) error {
	p, err := w.startWith(ctx, builtin, true, func(address, admin string) string {
		return soakCaddyfile(address, w.backend, admin, filepath.Join(w.dir, "keys.db"))
	})
	if err != nil {
		return err
	}
	defer p.stop()
	pool := &soakPool{admin: "http://" + p.admin + "/docsgate/v1/keys"}
	if err := pool.fill(ctx, soakKeys); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	traffic := newSoakTraffic(p, pool, stop)
	progress("warming up: creating, using and revoking %d keys", soakWarmUp)
	if err := traffic.warmUp(ctx); err != nil {
		return err
	}
	created, rotated := pool.created, pool.rotated
	r := &soakReport{report: newReport(w.options), Rate: w.options.soakRate, Duration: w.options.soak.String()}
	progress("soak: %g requests a second for %s", r.Rate, r.Duration)

	failed := make(chan error, 2)
	go func() { failed <- pool.churn(ctx, time.Duration(100/r.Rate*float64(time.Second))) }()
	go func() { failed <- w.sampleSoak(ctx, p, traffic, r) }()
	r.Requests = paced(ctx, r.Rate, w.options.soak, soakWorkers, traffic.send)
	stop()
	err = errors.Join(<-failed, <-failed, traffic.err())
	if err != nil {
		return err
	}
	r.Created, r.Rotated = pool.created-created, pool.rotated-rotated
	r.print(out)
	if err := saveJSON(r, w.options.out, "soak.json"); err != nil {
		return err
	}
	return errors.Join(r.plot(context.WithoutCancel(ctx), w), r.check())
}

// warmUp creates, uses and revokes keys.
func (t *soakTraffic) warmUp(ctx context.Context) error {
	for n := range soakWarmUp {
		if err := t.pool.fill(ctx, 1); err != nil {
			return err
		}
		k := t.pool.takeLast()
		question := scenario{Path: "/stream"}
		if _, err := t.exchange(&question, n, k.token, question.body(k.token)); err != nil {
			return err
		}
		if err := t.pool.call(ctx, "/"+k.id+"/revoke", "", nil); err != nil {
			return fmt.Errorf("revoking a key: %w", err)
		}
	}
	return nil
}

// sampleSoak samples the proxy until ctx ends.
func (w *env) sampleSoak(ctx context.Context, p *proxy, t *soakTraffic, r *soakReport) error {
	begin, cpu := time.Now(), 0.0
	for first := true; pause(ctx, soakSample) == nil; first = false {
		now, err := p.cpu()
		if err != nil {
			return err
		}
		s, err := p.sample(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		times := t.latencies.take()
		s.Minutes, s.P50, s.P99 = time.Since(begin).Minutes(), quantile(times, 0.5), quantile(times, 0.99)
		s.CPU, cpu = (now-cpu)*perRequests/float64(max(len(times), 1)), now
		if first {
			continue // includes the startup
		}
		r.Samples = append(r.Samples, *s)
		if len(r.Samples)%30 == 0 {
			progress("soak: %.0f minutes, %.0f MB, p99 %.1f ms", s.Minutes, s.Anonymous/1e6, s.P99*1e3)
		}
	}
	return nil
}

var (
	heapMetric      = regexp.MustCompile(`(?m)^go_memstats_heap_alloc_bytes (\S+)$`)
	goroutineMetric = regexp.MustCompile(`(?m)^go_goroutines (\S+)$`)
)

// sample returns the memory, goroutines and file descriptors of the proxy.
func (p *proxy) sample(ctx context.Context) (*soakPoint, error) {
	s := new(soakPoint)
	var err error
	if s.Anonymous, err = p.anonymousMemory(); err != nil {
		return nil, err
	}
	if s.Mapped, err = p.memory(); err != nil {
		return nil, err
	}
	s.Mapped -= s.Anonymous
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
	if err != nil {
		return nil, err
	}
	s.Files = float64(len(files))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.admin+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	for _, metric := range []struct {
		pattern *regexp.Regexp
		value   *float64
	}{{heapMetric, &s.Heap}, {goroutineMetric, &s.Goroutines}} {
		found := metric.pattern.FindSubmatch(text)
		if found == nil {
			return nil, fmt.Errorf("a metric is missing: %s", metric.pattern)
		}
		if *metric.value, err = strconv.ParseFloat(strings.TrimSpace(string(found[1])), 64); err != nil {
			return nil, err
		}
	}
	return s, nil
}
