package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// mixedResult counts the responses of one kind.
type mixedResult struct {
	mu             sync.Mutex
	sent, accepted int
	err            error // the first invalid response
}

// count counts a response: accepted, rejected, or invalid.
func (r *mixedResult) count(accepted bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent++
	if accepted {
		r.accepted++
	}
	if err != nil && r.err == nil {
		r.err = err
	}
}

// send sends requests of a kind until ctx ends. Each worker has a connection of its own.
func (m *mixed) send(ctx context.Context, k *mixedKind, r *mixedResult) {
	var next atomic.Int64
	var workers sync.WaitGroup
	for range k.workers {
		workers.Go(func() {
			client := newMixedClient(m.proxy.address)
			defer client.close()
			for ctx.Err() == nil {
				// The last request is completed, so that it is counted on both sides.
				r.count(client.ask(context.WithoutCancel(ctx), k.request(int(next.Add(1))-1), cmp.Or(k.status, http.StatusOK)))
				if k.pause > 0 && pause(ctx, k.pause) != nil {
					return
				}
			}
		})
	}
	workers.Wait()
}

// sendAll sends a number of requests as fast as possible.
func (m *mixed) sendAll(ctx context.Context, requests int, request func(n int) mixedRequest, r *mixedResult) {
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(m.options.connections, requests) {
		workers.Go(func() {
			client := newMixedClient(m.proxy.address)
			defer client.close()
			for n := next.Add(1) - 1; n < int64(requests) && ctx.Err() == nil; n = next.Add(1) - 1 {
				r.count(client.ask(ctx, request(int(n)), http.StatusOK))
			}
		})
	}
	workers.Wait()
}

// mixedClient is a client with one connection.
type mixedClient struct {
	url       string
	transport *http.Transport
	body      bytes.Buffer
}

func newMixedClient(address string) *mixedClient {
	return &mixedClient{url: "http://" + address + "/api/answer", transport: &http.Transport{MaxConnsPerHost: 1, DisableCompression: true}}
}

func (c *mixedClient) close() { c.transport.CloseIdleConnections() }

// ask sends a question and reports whether the response has a status. It returns an error if the response is neither a complete answer
// nor an error of the gate that a policy may cause.
func (c *mixedClient) ask(ctx context.Context, q mixedRequest, status int) (accepted bool, err error) {
	ctx, stop := context.WithTimeout(ctx, requestTimeout)
	defer stop()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(scenarioAnswer.body(q.token)))
	if err != nil {
		return false, err
	}
	r.Header = http.Header{"Content-Type": {"application/json"}, "X-Forwarded-For": {q.address}, "User-Agent": {userAgent}}
	if q.origin != "" {
		r.Header.Set("Origin", q.origin)
	}
	resp, err := c.transport.RoundTrip(r)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	c.body.Reset()
	if _, err := io.Copy(&c.body, resp.Body); err != nil {
		return false, err
	}
	switch resp.StatusCode {
	case http.StatusOK:
		if !bytes.Contains(c.body.Bytes(), []byte(answerEnd)) {
			return false, fmt.Errorf("an incomplete answer: %.300q", c.body.Bytes())
		}
	case http.StatusUnauthorized, http.StatusForbidden:
	case http.StatusTooManyRequests:
		if after := resp.Header.Get("Retry-After"); after == "" || after == "0" {
			return false, fmt.Errorf("429 without a wait: %.300q", c.body.Bytes())
		}
	default:
		return false, fmt.Errorf("status %d: %.300q", resp.StatusCode, c.body.Bytes())
	}
	return resp.StatusCode == status, nil
}

// scenarioAnswer is the question of all requests.
var scenarioAnswer = scenario{Path: "/api/answer"}

// start starts a gate with a configuration, which gets its address.
func (w *env) start(ctx context.Context, mode proxyMode, caddyfile func(address string) string) (*proxy, error) {
	return w.startWith(ctx, mode, false, func(address, _ string) string { return caddyfile(address) })
}
