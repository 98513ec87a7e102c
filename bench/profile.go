package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
)

// profileSeconds is the duration of a CPU profile.
const profileSeconds = 15

// takeProfile writes profiles of one proxy for go tool pprof: a CPU profile and an allocation profile under the load of each
// scenario, and a heap profile with many open streams. They come from Caddy's admin endpoint, which is off in the comparison.
// Allocations are counted from the proxy's start.
func (w *env) takeProfile(ctx context.Context) error {
	p, err := w.startProxy(ctx, w.options.profile, true)
	if err != nil {
		return err
	}
	defer p.stop()
	for i := range w.options.scenarios {
		k := &w.options.scenarios[i]
		name := filepath.Join(w.options.out, string(p.mode)+"-"+k.Name)
		done := make(chan error, 1)
		go func() { done <- p.fetch(ctx, fmt.Sprintf("profile?seconds=%d", profileSeconds), name+"-cpu.pprof") }()
		rounds := 0
		for running := true; running; rounds++ {
			if _, err := w.measure(ctx, p, k, max(1, k.Requests/10)); err != nil {
				return errors.Join(err, <-done)
			}
			select {
			case err := <-done:
				if err != nil {
					return err
				}
				running = false
			default:
			}
		}
		if err := p.fetch(ctx, "allocs", name+"-allocs.pprof"); err != nil {
			return err
		}
		progress("%s: %d requests; profiles: %s-*.pprof", k.Description, rounds*max(1, k.Requests/10), name)
	}
	if !w.options.memory {
		return nil
	}
	client, err := w.send(ctx, p, &holdScenario, w.options.streams)
	if err != nil {
		return err
	}
	defer client.stop()
	name := filepath.Join(w.options.out, string(p.mode)+"-streams-heap.pprof")
	progress("%d open streams; heap profile: %s", w.options.streams, name)
	return p.fetch(ctx, "heap?gc=1", name)
}

// fetch downloads a profile to a file.
func (p *proxy) fetch(ctx context.Context, what, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.admin+"/debug/pprof/"+what, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("fetching a profile: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %.200s", resp.StatusCode, text)
	}
	if err != nil {
		return fmt.Errorf("fetching a profile: %w", err)
	}
	return os.WriteFile(path, text, 0o600)
}
