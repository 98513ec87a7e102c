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

// profileSeconds is how long a CPU profile takes.
const profileSeconds = 15

// takeProfile writes the CPU and the allocation profile of one proxy under the load of each kind, for go tool pprof, and
// a heap profile with many open streams. They come from Caddy's admin endpoint, which is off in the comparison. Allocations are counted from the proxy's start.
func (w *world) takeProfile(ctx context.Context) error {
	p, err := w.startProxy(ctx, w.options.profile, true)
	if err != nil {
		return err
	}
	defer p.stop()
	for i := range w.options.kinds {
		k := &w.options.kinds[i]
		name := filepath.Join(w.options.out, string(p.kind)+"-"+k.Name)
		done := make(chan error, 1)
		go func() { done <- p.fetch(ctx, fmt.Sprintf("profile?seconds=%d", profileSeconds), name+"-cpu.pprof") }()
		rounds := 0
		for under := true; under; rounds++ {
			if _, err := w.measure(ctx, p, k, max(1, k.Requests/10)); err != nil {
				return errors.Join(err, <-done)
			}
			select {
			case err := <-done:
				if err != nil {
					return err
				}
				under = false
			default:
			}
		}
		if err := p.fetch(ctx, "allocs", name+"-allocs.pprof"); err != nil {
			return err
		}
		progress("%s: %d requests; profiles: %s-*.pprof", k.About, rounds*max(1, k.Requests/10), name)
	}
	if !w.options.memory {
		return nil
	}
	client, err := w.send(ctx, p, &holdKind, w.options.streams)
	if err != nil {
		return err
	}
	defer client.stop()
	name := filepath.Join(w.options.out, string(p.kind)+"-streams-heap.pprof")
	progress("%d open streams; what is in use then: %s", w.options.streams, name)
	return p.fetch(ctx, "heap?gc=1", name)
}

// fetch gets a profile and writes it to a file.
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
