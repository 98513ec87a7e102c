package http1

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// long does not fit into the buffers of a socket.
var long = strings.Repeat("question ", 4<<20)

func TestDoSendsBodies(t *testing.T) {
	c := serve(t, echo)
	for _, size := range []int{0, 1, 1000, bufferSize - 100, bufferSize, maxFirstWrite - 1, maxFirstWrite, maxFirstWrite + 1, 1 << 20} {
		for _, onDisk := range []bool{false, true} {
			t.Run(fmt.Sprint(size, onDisk), func(t *testing.T) {
				body := newBody(long[:size])
				body.onDisk = onDisk
				resp, err := post(t.Context(), t, c, body)
				if err != nil {
					t.Fatal(err)
				}
				if got := read(t, resp); got != body.text {
					t.Errorf("the server got %d bytes", len(got))
				}
			})
		}
	}
}

func TestDoReusesConnections(t *testing.T) {
	const clients = 30
	var connections atomic.Int32
	c := serve(t, func(number int, nc net.Conn) {
		connections.Add(1)
		echo(number, nc)
	})
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			for n := range 20 {
				if body := fmt.Sprint("question ", i, n); ask(t, c, body) != body {
					t.Errorf("the answer is to another question than %q", body)
				}
			}
		})
	}
	all.Wait()
	if n := connections.Load(); n > clients || len(idle(c)) != int(n) {
		t.Errorf("%d connections for %d concurrent requests, %d are idle", n, clients, len(idle(c)))
	}
}

// The server has closed the idle connection, or has sent something on it.
func TestDoReplacesUnusableConnection(t *testing.T) {
	for name, surplus := range map[string]string{"closed": "", "a timeout message": "HTTP/1.1 408 Request Timeout\r\n\r\n"} {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int32
			c := serve(t, func(_ int, nc net.Conn) {
				r := bufio.NewReader(nc)
				if _, ok := readRequest(r); ok {
					requests.Add(1)
					_, _ = io.WriteString(nc, answer)
				}
				_, _ = io.WriteString(nc, surplus)
				if surplus != "" {
					_, _ = r.ReadByte()
				}
			})
			for range 5 {
				if got := ask(t, c, "{}"); got != "ok" {
					t.Errorf("got %q", got)
				}
				eventually(t, "the connection is unusable", func() bool {
					for _, cn := range idle(c) {
						if cn.isUsable() {
							return false
						}
					}
					return true
				})
			}
			if requests.Load() != 5 {
				t.Errorf("the server got %d requests, want 5", requests.Load())
			}
		})
	}
}

// Deadlines of an earlier request on the same connection are extended.
func TestDoExtendsDeadlines(t *testing.T) {
	c := serve(t, echo)
	ask(t, c, "{}")
	for range 3 {
		cn := idle(c)[0]
		past := time.Now().Add(-time.Minute)
		if err := errors.Join(cn.setReadDeadline(past), cn.setWriteDeadline(past)); err != nil {
			t.Fatal(err)
		}
		if got := ask(t, c, "again"); got != "again" || idle(c)[0] != cn {
			t.Errorf("got %q", got)
		}
	}
}

func TestDoHeaderTimeout(t *testing.T) {
	short := func(c *Config) { c.HeaderTimeout = 20 * time.Millisecond }
	for name, tc := range map[string]struct {
		handle func(int, net.Conn)
		hold   bool // the connection is neither read nor closed
		body   string
		change func(*Config)
	}{
		"no response":     {handle: func(_ int, nc net.Conn) { _, _ = io.Copy(io.Discard, nc) }, change: short},
		"nothing is read": {handle: func(_ int, nc net.Conn) { _, _ = nc.Read(make([]byte, 1)) }, hold: true, body: long, change: short},
		"a slow header": {handle: func(_ int, nc net.Conn) {
			for {
				if _, err := io.WriteString(nc, "HTTP/1.1 100 Continue\r\n"); err != nil {
					return
				}
				if _, err := nc.Read(make([]byte, 4096)); err != nil {
					return
				}
			}
		}, change: short},
		"no connection": {handle: echo, change: func(c *Config) {
			short(c)
			c.Dial = func(ctx context.Context) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c := serve(t, func(number int, nc net.Conn) {
				tc.handle(number, nc)
				if tc.hold {
					<-t.Context().Done()
				}
			}, tc.change)
			if _, err := post(t.Context(), t, c, newBody(tc.body)); !errors.Is(err, ErrHeaderTimeout) {
				t.Errorf("got %v", err)
			}
			if len(idle(c)) > 0 {
				t.Error("the connection is kept")
			}
		})
	}
}

func TestDoCanceled(t *testing.T) {
	errGone := errors.New("the client is gone")
	for name, tc := range map[string]struct {
		body   string
		handle func(nc net.Conn, cancel func())
		inBody bool
	}{
		"while writing": {body: long, handle: func(nc net.Conn, cancel func()) {
			_, _ = nc.Read(make([]byte, 1)) // the rest is still being sent
			cancel()
		}},
		"before the header": {body: "{}", handle: func(nc net.Conn, cancel func()) {
			_, _ = readRequest(bufio.NewReader(nc))
			cancel()
		}},
		"in the header": {body: "{}", handle: func(nc net.Conn, cancel func()) {
			_, _ = readRequest(bufio.NewReader(nc))
			_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\n")
			cancel()
		}},
		"in the body": {body: "{}", inBody: true, handle: func(nc net.Conn, cancel func()) {
			_, _ = readRequest(bufio.NewReader(nc))
			_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok")
			cancel()
		}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, stop := context.WithCancelCause(t.Context())
			defer stop(nil)
			begun, closed := make(chan struct{}), make(chan struct{})
			c := serve(t, func(_ int, nc net.Conn) {
				defer close(closed)
				tc.handle(nc, func() {
					if tc.inBody {
						<-begun
					}
					stop(errGone)
				})
				_, _ = io.Copy(io.Discard, nc)
			})
			resp, err := post(ctx, t, c, newBody(tc.body))
			if tc.inBody {
				if err != nil {
					t.Fatal(err)
				}
				close(begun)
				if _, err = io.ReadAll(resp.Body); err != nil {
					err = context.Cause(ctx)
				}
			}
			if !errors.Is(err, errGone) {
				t.Errorf("got %v", err)
			}
			<-closed // the server notices the cancellation
			if len(idle(c)) > 0 {
				t.Error("the connection is kept")
			}
		})
	}
	t.Run("before", func(t *testing.T) {
		c := serve(t, func(int, net.Conn) { t.Error("it has connected") })
		ctx, stop := context.WithCancelCause(t.Context())
		stop(errGone)
		if _, err := post(ctx, t, c, newBody("{}")); !errors.Is(err, errGone) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("while connecting", func(t *testing.T) {
		ctx, stop := context.WithCancelCause(t.Context())
		c := serve(t, echo, func(c *Config) {
			c.Dial = func(ctx context.Context) (net.Conn, error) { stop(errGone); <-ctx.Done(); return nil, ctx.Err() }
		})
		if _, err := post(ctx, t, c, newBody("{}")); !errors.Is(err, errGone) {
			t.Errorf("got %v", err)
		}
	})
}

// The context may end after the response without closing a connection that another request uses.
func TestDoForgetsContext(t *testing.T) {
	c := serve(t, echo)
	for range 20 {
		ctx, stop := context.WithCancelCause(t.Context())
		resp, err := post(ctx, t, c, newBody("{}"))
		if err != nil {
			t.Fatal(err)
		}
		read(t, resp)
		stop(nil)
	}
	if cns := idle(c); len(cns) != 1 || !cns[0].isUsable() {
		t.Errorf("%d connections", len(cns))
	}
}

func TestDoEarlyResponse(t *testing.T) {
	const tooLarge = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno"
	for name, reads := range map[string]bool{"the connection stays open": true, "nothing more is read": false} {
		for kind, onDisk := range map[string]bool{"in memory": false, "on disk": true} {
			t.Run(name+", "+kind, func(t *testing.T) {
				c := serve(t, func(_ int, nc net.Conn) {
					_, _ = nc.Read(make([]byte, 10))
					_, _ = io.WriteString(nc, tooLarge)
					if reads {
						_, _ = io.Copy(io.Discard, nc)
					} else {
						<-t.Context().Done()
					}
				})
				body := newBody(long)
				body.onDisk = onDisk
				resp, err := post(t.Context(), t, c, body)
				if err != nil {
					t.Fatal(err)
				}
				if got := read(t, resp); got != "no" || resp.StatusCode != http.StatusRequestEntityTooLarge {
					t.Errorf("got %d %q", resp.StatusCode, got)
				}
				if len(idle(c)) > 0 && !reads {
					t.Error("a connection that is still being written to is kept")
				}
			})
		}
	}
}

// A server that rejects a request before it has read it, and then closes the connection, resets it. The response that it has sent
// before is not lost.
func TestDoResponseBeforeReset(t *testing.T) {
	c := serve(t, func(_ int, nc net.Conn) {
		_, _ = nc.Read(make([]byte, 10))
		_, _ = io.WriteString(nc, "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
	})
	for range 20 {
		resp, err := post(t.Context(), t, c, newBody(long[:maxFirstWrite]))
		if err != nil {
			continue // the reset came first
		}
		if got := read(t, resp); got != "no" || resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("got %d %q", resp.StatusCode, got)
		}
	}
	if len(idle(c)) > 0 {
		t.Error("a connection is kept")
	}
}

func TestDoTruncatedRequestBody(t *testing.T) {
	for _, size := range []int{0, 10, 3 * chunkSize} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			end := make(chan bool, 1)
			c := serve(t, func(_ int, nc net.Conn) {
				_, ok := readRequest(bufio.NewReader(nc))
				end <- ok
			})
			body := newBody(long[:size])
			body.onDisk, body.announce = true, int64(size+10)
			if _, err := post(t.Context(), t, c, body); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("got %v", err)
			}
			if size > chunkSize && <-end {
				t.Error("the server got a complete request")
			}
		})
	}
}

func TestDoRejectsInvalidRequests(t *testing.T) {
	c := serve(t, func(int, net.Conn) { t.Error("it has connected") })
	for name, r := range map[string]Request{
		"no method":             {Target: "/", Host: "localhost"},
		"an invalid method":     {Method: "GET /", Target: "/", Host: "localhost"},
		"no target":             {Method: "GET", Host: "localhost"},
		"a relative target":     {Method: "GET", Target: "stream", Host: "localhost"},
		"a space in the target": {Method: "GET", Target: "/ HTTP/1.1", Host: "localhost"},
		"a line end in it":      {Method: "GET", Target: "/\r\nA: 1", Host: "localhost"},
		"an invalid host":       {Method: "GET", Target: "/", Host: "local\r\nhost"},
		"an invalid name":       {Method: "GET", Target: "/", Host: "localhost", Header: http.Header{"A: 1\r\nB": {"2"}}},
		"an invalid value":      {Method: "GET", Target: "/", Host: "localhost", Header: http.Header{"A": {"secret\r\nB: 2"}}},
	} {
		t.Run(name, func(t *testing.T) {
			body := newBody("{}")
			r.Body = body
			_, err := c.Do(t.Context(), &r)
			if err == nil || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v", err)
			}
			if body.released.Load() != 1 {
				t.Errorf("the body was released %d times", body.released.Load())
			}
		})
	}
}

func TestCloseBodyEarly(t *testing.T) {
	end := make(chan error, 1)
	c := serve(t, func(_ int, nc net.Conn) {
		r := bufio.NewReader(nc)
		_, _ = readRequest(r)
		_, _ = io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok")
		_, err := r.ReadByte()
		end <- err
	})
	resp, err := post(t.Context(), t, c, newBody("{}"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	resp.Body.Close()
	if _, err := resp.Body.Read(make([]byte, 1)); !errors.Is(err, http.ErrBodyReadAfterClose) {
		t.Errorf("reading it: %v", err)
	}
	if err := <-end; err == nil || len(idle(c)) > 0 {
		t.Errorf("the server got %v", err)
	}
}

func TestIdleConnections(t *testing.T) {
	t.Run("expire", func(t *testing.T) {
		c := serve(t, echo, func(c *Config) { c.IdleTimeout = time.Millisecond })
		for range 3 {
			ask(t, c, "{}")
			eventually(t, "the connection has expired", func() bool { return len(idle(c)) == 0 })
		}
	})
	t.Run("expire without the timer", func(t *testing.T) {
		c := serve(t, echo)
		ask(t, c, "{}")
		if c.pool.get(time.Now().Add(time.Hour)) != nil || len(idle(c)) > 0 {
			t.Error("an expired connection is used")
		}
	})
	t.Run("limit", func(t *testing.T) {
		c := serve(t, echo, func(c *Config) { c.MaxIdle = 2 })
		var all []*http.Response
		for range 5 {
			resp, err := post(t.Context(), t, c, newBody("{}"))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, resp)
		}
		for _, resp := range all {
			read(t, resp)
		}
		if n := len(idle(c)); n != 2 {
			t.Errorf("%d idle connections, want 2", n)
		}
	})
	t.Run("close", func(t *testing.T) {
		c := serve(t, echo)
		resp, err := post(t.Context(), t, c, newBody("{}"))
		if err != nil {
			t.Fatal(err)
		}
		ask(t, c, "{}")
		c.Close()
		if len(idle(c)) > 0 {
			t.Error("idle connections are kept")
		}
		if got := read(t, resp); got != "{}" || len(idle(c)) > 0 {
			t.Errorf("a request in flight got %q", got)
		}
	})
}
