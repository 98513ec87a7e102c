package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// reloadReport is the result of a run with reloads.
type reloadReport struct {
	*report
	Reloads int
	Streams int // open during all reloads
	Modes   map[proxyMode]*reloadFigures
}

// reloadFigures are the figures of one proxy.
type reloadFigures struct {
	// Requests on a new connection each, and on connections that are reused.
	New, Reused trafficCounts
	// Streams that ended.
	CutStreams int
	// After the first tenth of the reloads and after all, with all streams open and no other requests.
	Heap, Goroutines [2]float64
	// The average duration of a reload in seconds.
	Reload float64
}

// reloadModes are the proxies in the order of the measurement.
var reloadModes = []proxyMode{plain, builtin}

// runReloads reloads the configuration of plain Caddy and of the gate many times, with open streams and steady traffic.
func (w *env) runReloads(ctx context.Context, out io.Writer) error {
	r := &reloadReport{
		report: newReport(w.options), Reloads: w.options.reloads, Streams: w.options.streams, Modes: map[proxyMode]*reloadFigures{},
	}
	for _, mode := range reloadModes {
		progress("%s: %d reloads with %d streams", mode, r.Reloads, r.Streams)
		figures, err := w.measureReloads(ctx, mode)
		if err != nil {
			return fmt.Errorf("%s: %w", mode, err)
		}
		r.Modes[mode] = figures
	}
	r.print(out)
	if err := saveJSON(r, w.options.out, "reload.json"); err != nil {
		return err
	}
	return r.check()
}

func (w *env) measureReloads(ctx context.Context, mode proxyMode) (*reloadFigures, error) {
	p, err := w.startProxy(ctx, mode, true)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	streams := &load{
		plan:     workload{Address: p.address, Proxy: mode, Requests: w.options.streams, Connections: w.options.streams},
		scenario: &holdScenario, expect: holdScenario.expect(mode),
	}
	streams.run(ctx)
	defer streams.close()
	if streams.outcome.Invalid > 0 {
		return nil, fmt.Errorf("%d streams do not begin: %s", streams.outcome.Invalid, streams.outcome.FirstError)
	}
	f := new(reloadFigures)
	warmUp := max(w.options.reloads/10, 1)
	begin := time.Now()
	for part, reloads := range []int{warmUp, w.options.reloads - warmUp} {
		t := startTraffic(ctx, p, w.options.connections)
		err := errors.Join(w.reload(ctx, p, reloads), t.stop())
		f.New.add(t.fresh)
		f.Reused.add(t.reused)
		if err == nil {
			f.Heap[part], f.Goroutines[part], err = p.profile(ctx)
		}
		if err != nil {
			return nil, err
		}
	}
	f.Reload = time.Since(begin).Seconds() / float64(w.options.reloads)
	f.CutStreams = streams.countEnded()
	return f, nil
}

// betweenReloads is the time from the end of a reload to the next.
const betweenReloads = 100 * time.Millisecond

// reload reloads the configuration of a proxy n times.
func (w *env) reload(ctx context.Context, p *proxy, n int) error {
	text := p.mode.caddyfile(p.address, w.upstream.address, p.admin, w.keyFile)
	for range n {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.admin+"/load", strings.NewReader(text))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "text/caddyfile")
		req.Header.Set("Cache-Control", "must-revalidate") // although it is the same
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return fmt.Errorf("reloading: %w", err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			return fmt.Errorf("reloading: status %d: %s, %w", resp.StatusCode, body, err)
		}
		if err := pause(ctx, betweenReloads); err != nil {
			return err
		}
	}
	return nil
}

var (
	heapLine      = regexp.MustCompile(`(?m)^# HeapAlloc = (\d+)$`)
	goroutineLine = regexp.MustCompile(`^goroutine profile: total (\d+)`)
)

// profile returns the heap in bytes after a garbage collection, and the number of goroutines. Servers of previous configurations
// take up to half a second to notice that their last request has ended.
func (p *proxy) profile(ctx context.Context) (heap, goroutines float64, err error) {
	if err := pause(ctx, time.Second); err != nil {
		return 0, 0, err
	}
	read := func(path string, line *regexp.Regexp) float64 {
		req, requestErr := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.admin+"/debug/pprof/"+path, nil)
		if requestErr != nil {
			err = requestErr
			return 0
		}
		resp, requestErr := http.DefaultClient.Do(req)
		if requestErr != nil {
			err = requestErr
			return 0
		}
		defer resp.Body.Close()
		body, requestErr := io.ReadAll(resp.Body)
		found := line.FindSubmatch(body)
		if requestErr != nil || found == nil {
			err = fmt.Errorf("reading the profile %s: %w", path, requestErr)
			return 0
		}
		n, requestErr := strconv.ParseFloat(string(found[1]), 64)
		err = errors.Join(err, requestErr)
		return n
	}
	read("heap?gc=1&debug=1", heapLine) // finalizers run after the first one
	heap, goroutines = read("heap?gc=1&debug=1", heapLine), read("goroutine?debug=1", goroutineLine)
	return heap, goroutines, err
}

// countEnded returns the number of streams that have ended.
func (l *load) countEnded() int {
	ended, piece := 0, make([]byte, 4<<10)
	for _, conn := range l.open {
		for {
			if err := conn.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
				ended++
				break
			}
			if _, err := conn.Read(piece); err != nil { // keepalives are data
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					ended++
				}
				break
			}
		}
	}
	return ended
}

// check returns an error if a stream or a started response was cut, or if the gate loses more connections than plain Caddy.
func (r *reloadReport) check() error {
	caddy, gate := r.Modes[plain], r.Modes[builtin]
	var errs []error
	if gate.CutStreams > 0 || gate.New.Cut > 0 || gate.Reused.Cut > 0 {
		errs = append(errs, errors.New("the gate cut streams or responses"))
	}
	if gate.New.lost() > caddy.New.lost() {
		errs = append(errs, errors.New("the gate lost more new connections than plain Caddy"))
	}
	return errors.Join(errs...)
}

// print writes the table as Markdown.
func (r *reloadReport) print(out io.Writer) {
	fmt.Fprintf(out, "\n%d CPUs (%s), %s, GOMAXPROCS %d; %d reloads, %d open streams, %d clients\n\n",
		r.CPUs, r.CPU, r.Go, r.GOMAXPROCS, r.Reloads, r.Streams, 2*r.Clients)
	t := &table{out, newTabs(out)}
	t.row(fmt.Sprintf("%d reloads", r.Reloads), proxyNames[plain], proxyNames[builtin])
	t.row("---", "---", "---")
	row := func(what string, value func(*reloadFigures) string) {
		t.row(what, value(r.Modes[plain]), value(r.Modes[builtin]))
	}
	count := func(what string, value func(*reloadFigures) int) {
		row(what, func(f *reloadFigures) string { return strconv.Itoa(value(f)) })
	}
	count("streams that were cut", func(f *reloadFigures) int { return f.CutStreams })
	count("requests on new connections", func(f *reloadFigures) int { return f.New.Sent })
	count("- connection refused or reset", func(f *reloadFigures) int { return f.New.Refused + f.New.NoResponse })
	count("- response cut", func(f *reloadFigures) int { return f.New.Cut })
	count("requests on reused connections", func(f *reloadFigures) int { return f.Reused.Sent })
	count("- closed before the response", func(f *reloadFigures) int { return f.Reused.lost() })
	count("- response cut", func(f *reloadFigures) int { return f.Reused.Cut })
	growth := func(v [2]float64) string { return fmt.Sprintf("%.2f", v[1]/v[0]) }
	row("heap at the end / after the first tenth", func(f *reloadFigures) string { return growth(f.Heap) })
	row("goroutines at the end / after the first tenth", func(f *reloadFigures) string { return growth(f.Goroutines) })
	row("duration of a reload", func(f *reloadFigures) string { return milliseconds(f.Reload - betweenReloads.Seconds()) })
	t.end()
}
