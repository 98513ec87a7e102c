package http1

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// serve starts a server that passes each connection, with its number from 1 on, to handle, and closes it afterwards. It returns a
// client for it; change may modify its configuration.
func serve(t *testing.T, handle func(number int, c net.Conn), change ...func(*Config)) *Client {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for number := 1; ; number++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer c.Close()
				handle(number, c)
			})
		}
	})
	config := Config{
		Dial: func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
		},
		HeaderTimeout: time.Minute, IdleTimeout: time.Minute, MaxIdle: 100,
	}
	for _, do := range change {
		do(&config)
	}
	client := New(config)
	t.Cleanup(func() {
		client.Close()
		l.Close()
		running.Wait()
	})
	return client
}

// readRequest reads a request and returns its body. ok is false at the end of the connection.
func readRequest(r *bufio.Reader) (body string, ok bool) {
	request, err := http.ReadRequest(r)
	if err != nil {
		return "", false
	}
	read, err := io.ReadAll(request.Body)
	return string(read), err == nil
}

// echo responds to all requests of a connection with their body.
func echo(_ int, c net.Conn) {
	for r := bufio.NewReader(c); ; {
		body, ok := readRequest(r)
		if !ok {
			return
		}
		resp := http.Response{ProtoMajor: 1, ProtoMinor: 1, StatusCode: 200, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}
		if resp.Write(c) != nil {
			return
		}
	}
}

// countedBody is a request body that counts its releases.
type countedBody struct {
	text     string
	onDisk   bool // it has no view
	announce int64
	opened   atomic.Int32 // readers that are open
	released atomic.Int32
}

func newBody(text string) *countedBody { return &countedBody{text: text, announce: int64(len(text))} }

func (b *countedBody) Len() int64 { return b.announce }

func (b *countedBody) View() []byte {
	if b.onDisk {
		return nil
	}
	return []byte(b.text)
}

func (b *countedBody) Open() io.ReadCloser {
	b.opened.Add(1)
	return countedReader{strings.NewReader(b.text), b}
}

func (b *countedBody) Release() { b.released.Add(1) }

type countedReader struct {
	io.Reader

	b *countedBody
}

func (r countedReader) Close() error {
	r.b.opened.Add(-1)
	return nil
}

// post sends a POST with a body, and checks that it is released exactly once.
func post(ctx context.Context, t *testing.T, c *Client, body *countedBody) (*http.Response, error) {
	t.Helper()
	t.Cleanup(func() {
		eventually(t, "the body is released", func() bool { return body.released.Load() > 0 })
		if n := body.released.Load(); n != 1 || body.opened.Load() != 0 {
			t.Errorf("the body was released %d times, with %d open readers", n, body.opened.Load())
		}
	})
	return c.Do(ctx, &Request{Method: http.MethodPost, Target: "/stream", Host: "localhost", Body: body})
}

// read returns the whole body of a response.
func read(t *testing.T, resp *http.Response) string {
	t.Helper()
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

// ask posts a body and returns that of the response.
func ask(t *testing.T, c *Client, body string) string {
	t.Helper()
	resp, err := post(t.Context(), t, c, newBody(body))
	if err != nil {
		t.Fatal(err)
	}
	return read(t, resp)
}

// eventually polls until a condition is true.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("still not so after a minute: %s", what)
		}
	}
}

// idle returns the idle connections of a client.
func idle(c *Client) []*conn {
	c.pool.mu.Lock()
	defer c.pool.mu.Unlock()
	return append([]*conn(nil), c.pool.idle...)
}
