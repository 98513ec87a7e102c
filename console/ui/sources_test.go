package ui

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docsgate/docsgate/console/keyservice"
)

// Pages that open together share one request to DocsGPT. Pages that only show names do not wait for a slow one, which completes for
// the next page.
func TestSourcesShareOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var requests atomic.Int32
		answered := make(chan struct{})
		s := &sources{now: time.Now, list: func(ctx context.Context) ([]keyservice.Source, error) {
			requests.Add(1)
			select {
			case <-answered:
				return []keyservice.Source{{ID: "s1", Name: "Handbook"}}, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}}
		began := time.Now()
		lists := make(chan []keyservice.Source, 5)
		for range cap(lists) {
			go func() {
				all, err := s.get(t.Context())
				if err != nil {
					t.Error(err)
				}
				lists <- all
			}()
		}
		synctest.Wait()
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if names := s.load(gone); names != nil || time.Since(began) != 0 {
			t.Errorf("%v after %s, although the browser disconnected", names, time.Since(began))
		}
		if names := s.load(t.Context()); names != nil || time.Since(began) != namesTimeout {
			t.Errorf("%v after %s", names, time.Since(began))
		}
		close(answered)
		for range cap(lists) {
			if all := <-lists; len(all) != 1 {
				t.Errorf("%d sources", len(all))
			}
		}
		if names := s.load(t.Context()); names["s1"] != "Handbook" || requests.Load() != 1 {
			t.Errorf("%v with %d requests", names, requests.Load())
		}
	})
}

// The first browser may disconnect; others wait for the same response.
func TestSourcesSurviveDisconnectedBrowser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sources{now: time.Now, list: func(ctx context.Context) ([]keyservice.Source, error) {
			select {
			case <-time.After(time.Second):
				return []keyservice.Source{{ID: "s1"}}, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}}
		first, cancel := context.WithCancel(t.Context())
		go func() { _, _ = s.get(first) }()
		synctest.Wait()
		cancel()
		if all, err := s.get(t.Context()); err != nil || len(all) != 1 {
			t.Errorf("%v, %v", all, err)
		}
	})
}
