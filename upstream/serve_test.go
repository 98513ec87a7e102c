package upstream

import (
	"bytes"
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"
)

// serve starts a local server and returns an upstream for it. change may modify the configuration.
func serve(t *testing.T, handler http.HandlerFunc, change ...func(*Config)) (*Upstream, *httptest.Server) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return connect(t, server.URL, change...), server
}

// connect returns an upstream with the client that New chooses.
func connect(t *testing.T, address string, change ...func(*Config)) *Upstream {
	t.Helper()
	return connectWith(t, New, address, change)
}

type connectFunc = func(t *testing.T, address string, change ...func(*Config)) *Upstream

// forEachClient runs a test with http1.Client and with http.Transport, over plain TCP.
func forEachClient(t *testing.T, test func(t *testing.T, connect connectFunc)) {
	t.Helper()
	for name, create := range map[string]func(Config) *Upstream{"http1": New, "transport": newWithTransport} {
		t.Run(name, func(t *testing.T) {
			test(t, func(t *testing.T, address string, change ...func(*Config)) *Upstream {
				t.Helper()
				return connectWith(t, create, address, change)
			})
		})
	}
}

func connectWith(t *testing.T, create func(Config) *Upstream, address string, change []func(*Config)) *Upstream {
	t.Helper()
	parsed, err := ParseAddress(address)
	if err != nil {
		t.Fatal(err)
	}
	c := Config{Address: parsed}
	for _, do := range change {
		do(&c)
	}
	u := create(c)
	t.Cleanup(u.Close)
	return u
}

// post sends a body to the path /stream; nil means without a body. The request is canceled when the test ends.
func post(ctx context.Context, t *testing.T, u *Upstream, body []byte) (*http.Response, error) {
	t.Helper()
	ctx, stop := context.WithCancelCause(ctx)
	t.Cleanup(func() { stop(nil) })
	return postUnder(ctx, stop, u, body)
}

func postUnder(ctx context.Context, stop context.CancelCauseFunc, u *Upstream, body []byte) (*http.Response, error) {
	r := Request{Method: http.MethodPost, Path: "/stream", Header: http.Header{}}
	if body != nil {
		buffer := NewBuffer(len(body))
		buffer.Bytes = append(buffer.Bytes, body...)
		r.Body = buffer
	}
	return u.Send(ctx, stop, r)
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

// ask posts a body, and returns the body of the response.
func ask(t *testing.T, u *Upstream, body []byte) string {
	t.Helper()
	resp, err := post(t.Context(), t, u, body)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, resp)
}

// raw starts a server for tests of single connections. It passes each connection, with its number from 1 on, to handle,
// and closes it afterwards.
func raw(t *testing.T, handle func(number int, c net.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for number := 1; ; number++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			handle(number, c)
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().String()
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

// noConnections reports whether all http.Transports have closed their connections.
func noConnections() bool {
	stacks := make([]byte, 1<<20)
	return !bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte("(*persistConn).readLoop"))
}

const answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// long is a body that does not fit into the buffers of a socket.
var long = []byte(strings.Repeat("question ", 4<<20))

// quiet discards the log of servers whose clients fail on purpose.
var quiet = log.New(io.Discard, "", 0)
