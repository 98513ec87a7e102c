package ui

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/docsgate/docsgate/console/keyservice"
)

const (
	sourcesTTL     = time.Minute     // how long a list of sources is fresh
	sourcesTimeout = 4 * time.Second // how long a form waits for DocsGPT
	namesTimeout   = time.Second     // how long other pages wait
	sourcesRetry   = 20 * time.Second
)

// sources caches DocsGPT's list of sources, so that not every page waits for DocsGPT.
type sources struct {
	list func(context.Context) ([]keyservice.Source, error) // nil: not available
	now  func() time.Time

	flight singleflight.Group // at most one request to DocsGPT at a time
	mu     sync.Mutex         // guards the rest
	all    []keyservice.Source
	names  map[string]string
	at     time.Time // of all
	failed time.Time // of the last failure
	err    error
}

// load returns the source names by ID. It waits only briefly: a page shows IDs without names rather than being delayed. The map
// must not be modified.
func (s *sources) load(ctx context.Context) map[string]string {
	ctx, cancel := context.WithTimeout(ctx, namesTimeout)
	defer cancel()
	_, _ = s.get(ctx) // fetch remembers the error, and a late response is for the next page
	return s.known()
}

// known returns the cached names by ID without waiting.
func (s *sources) known() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.names
}

// get returns the sources, from DocsGPT if the cached list is stale. The end of ctx ends only the wait.
func (s *sources) get(ctx context.Context) ([]keyservice.Source, error) {
	if s.list == nil {
		return nil, nil
	}
	if all, err, fresh := s.last(); fresh {
		return all, err
	}
	done := s.flight.DoChan("", func() (any, error) { return s.fetch(context.WithoutCancel(ctx)) })
	select {
	case result := <-done:
		all, _ := result.Val.([]keyservice.Source)
		return all, result.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// fetch requests the sources from DocsGPT, unless that was just done.
func (s *sources) fetch(ctx context.Context) ([]keyservice.Source, error) {
	if all, err, fresh := s.last(); fresh {
		return all, err
	}
	ctx, cancel := context.WithTimeout(ctx, sourcesTimeout)
	defer cancel()
	all, err := s.list(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err = err; err != nil {
		s.failed = s.now()
		return nil, err
	}
	s.all, s.at = all, s.now()
	s.names = make(map[string]string, len(all))
	for _, one := range all {
		s.names[one.ID] = one.Name
	}
	return all, nil
}

func (s *sources) last() (all []keyservice.Source, err error, fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err, s.now().Sub(s.failed) < sourcesRetry
	}
	return s.all, nil, s.names != nil && s.now().Sub(s.at) < sourcesTTL
}
