package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// trafficCounts counts the requests of clients by their outcome.
type trafficCounts struct {
	Sent       int // all
	Refused    int // the connection was not established
	NoResponse int // the connection ended before the first byte of the response
	Cut        int // it ended after that
}

func (c *trafficCounts) add(more trafficCounts) {
	c.Sent += more.Sent
	c.Refused += more.Refused
	c.NoResponse += more.NoResponse
	c.Cut += more.Cut
}

// lost returns the number of requests without a response.
func (c trafficCounts) lost() int { return c.Refused + c.NoResponse }

// traffic is a steady load of two kinds of clients: with a new connection for each request, and with one that is reused until
// it ends. Clients do not retry.
type traffic struct {
	address       string
	request       []byte
	expect        expectation
	running       sync.WaitGroup
	cancel        context.CancelFunc
	mu            sync.Mutex
	fresh, reused trafficCounts
	invalid       error // first invalid response
}

// betweenRequests is the time from a response to the next request of the same client.
const betweenRequests = 20 * time.Millisecond

func startTraffic(ctx context.Context, p *proxy, clients int) *traffic {
	k := &scenarios[0]
	t := &traffic{address: p.address, request: k.request(p.address, goodToken), expect: k.expect(p.mode)}
	ctx, t.cancel = context.WithCancel(ctx)
	for range clients {
		t.running.Go(func() { t.send(ctx, &t.fresh, false) })
		t.running.Go(func() { t.send(ctx, &t.reused, true) })
	}
	return t
}

// stop waits for the responses of all requests. The error is that of an invalid response.
func (t *traffic) stop() error {
	t.cancel()
	t.running.Wait()
	return t.invalid
}

func (t *traffic) send(ctx context.Context, counts *trafficCounts, reuse bool) {
	var conn net.Conn
	var reader *bufio.Reader
	closeConn := func() {
		if conn != nil {
			conn.Close()
			conn = nil
		}
	}
	defer closeConn()
	dialer := net.Dialer{Timeout: requestTimeout}
	for pause(ctx, betweenRequests) == nil {
		if conn != nil && hasEnded(conn, reader) {
			closeConn()
		}
		if conn == nil {
			var err error
			if conn, err = dialer.DialContext(context.WithoutCancel(ctx), "tcp", t.address); err != nil {
				t.count(counts, trafficCounts{Sent: 1, Refused: 1}, nil)
				continue
			}
			reader = bufio.NewReader(conn)
		}
		outcome, keep, err := t.exchange(conn, reader)
		t.count(counts, outcome, err)
		if !reuse || !keep {
			closeConn()
		}
	}
}

// hasEnded reports whether the server has closed an idle connection, which clients notice before they use it again.
func hasEnded(conn net.Conn, reader *bufio.Reader) bool {
	_ = conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := reader.Peek(1)
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

// exchange sends a request. keep reports whether the connection can be used again.
func (t *traffic) exchange(conn net.Conn, reader *bufio.Reader) (_ trafficCounts, keep bool, invalid error) {
	_ = conn.SetDeadline(time.Now().Add(requestTimeout)) // reading fails, too
	_, writeErr := conn.Write(t.request)
	if _, err := reader.Peek(1); err != nil || writeErr != nil {
		return trafficCounts{Sent: 1, NoResponse: 1}, false, nil
	}
	resp, err := http.ReadResponse(reader, nil)
	if err != nil {
		return trafficCounts{Sent: 1, Cut: 1}, false, nil
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	if _, err := io.Copy(&body, resp.Body); err != nil {
		return trafficCounts{Sent: 1, Cut: 1}, false, nil
	}
	return trafficCounts{Sent: 1}, !resp.Close, t.expect.check(resp.StatusCode, body.Bytes())
}

func (t *traffic) count(to *trafficCounts, outcome trafficCounts, invalid error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	to.add(outcome)
	if t.invalid == nil && invalid != nil {
		t.invalid = fmt.Errorf("an invalid response: %w", invalid)
	}
}
