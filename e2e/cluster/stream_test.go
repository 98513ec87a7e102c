package cluster

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// stream is a streamed answer in flight, which takes longer than a test.
type stream struct {
	t      *testing.T
	events atomic.Int64
	ended  chan struct{} // closed at its end
	at     time.Time     // of the end
	last   string        // last event with a type that is not an answer
	cancel context.CancelFunc
}

// startStream begins an answer and waits for its first events.
func (n *node) startStream(token string) *stream {
	n.c.t.Helper()
	s := n.openStream(token)
	s.awaitEvents()
	return s
}

// awaitEvents waits for the first events.
func (s *stream) awaitEvents() {
	s.t.Helper()
	waitFor(s.t, "an answer is streamed", func() bool { return s.events.Load() > 2 || s.hasEnded() })
	if s.hasEnded() {
		s.t.Fatalf("the stream has ended with %s", s.last)
	}
}

func (n *node) openStream(token string) *stream {
	n.c.t.Helper()
	ctx, cancel := context.WithCancel(n.c.t.Context())
	n.c.t.Cleanup(cancel)
	body := fmt.Sprintf(`{"question":"[[words=10000]]","api_key":%q}`, token)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+n.site+"/stream", strings.NewReader(body))
	if err != nil {
		n.c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	client := &http.Client{Transport: n.client.Transport} // without its timeout
	s := &stream{t: n.c.t, ended: make(chan struct{}), cancel: cancel}
	go func() {
		defer close(s.ended)
		defer func() { s.at = time.Now() }()
		resp, err := client.Do(req)
		if err != nil {
			s.last = err.Error()
			return
		}
		defer resp.Body.Close()
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			if line := lines.Text(); strings.HasPrefix(line, "data:") {
				s.events.Add(1)
				if !strings.Contains(line, `"answer"`) || strings.Contains(line, `"error"`) {
					s.last = line
				}
			}
		}
	}()
	return s
}

func (s *stream) hasEnded() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// expectProgress waits until further events have arrived.
func (s *stream) expectProgress() {
	s.t.Helper()
	before := s.events.Load()
	waitFor(s.t, "the stream continues", func() bool { return s.events.Load() > before+2 || s.hasEnded() })
	if s.hasEnded() {
		s.t.Errorf("the stream has ended with %s", s.last)
	}
}

// expectEnd waits until the stream has ended because its key is revoked.
func (s *stream) expectEnd() {
	s.t.Helper()
	select {
	case <-s.ended:
	case <-time.After(patience):
		s.t.Fatal("the stream of a revoked key continues")
	}
	if !strings.Contains(s.last, "key_revoked") {
		s.t.Errorf("the stream of a revoked key has ended with %s", s.last)
	}
}
