package upstream

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"testing"
	"time"
)

// BenchmarkSend sends a question over loopback and relays a short stream, with both clients. The server allocates nothing, so the
// allocations are those of the client.
func BenchmarkSend(b *testing.B) {
	for name, create := range map[string]func(Config) *Upstream{"http1": New, "transport": newWithTransport} {
		b.Run(name, func(b *testing.B) { benchmarkSend(b, create) })
	}
}

const benchResponse = "HTTP/1.1 200 OK\r\nserver: uvicorn\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n" +
	"access-control-allow-origin: *\r\ntransfer-encoding: chunked\r\n\r\n" +
	"1d\r\ndata: {\"answer\": \"some text\"}\r\n1d\r\ndata: {\"answer\": \"some text\"}\r\n0\r\n\r\n"

func benchmarkSend(b *testing.B, create func(Config) *Upstream) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	go func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		end, response, p := []byte(`"api_key":"agent"}`), []byte(benchResponse), make([]byte, 4096)
		for {
			n, err := nc.Read(p)
			if err != nil {
				return
			}
			if bytes.HasSuffix(p[:n], end) {
				if _, err := nc.Write(response); err != nil {
					return
				}
			}
		}
	}()
	address, err := ParseAddress(l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	u := create(Config{Address: address})
	defer u.Close()
	header := http.Header{
		"Accept": {"*/*"}, "Accept-Encoding": {"identity"}, "Content-Type": {"application/json"}, "User-Agent": {"Mozilla/5.0"},
		"X-Forwarded-For": {"192.0.2.7"}, "X-Forwarded-Host": {"ask.example.com"}, "X-Forwarded-Proto": {"https"},
	}
	received := 0
	sink := func(p []byte) error { received += len(p); return nil }
	b.ReportAllocs()
	for b.Loop() {
		ctx, stop := context.WithCancelCause(b.Context())
		body := NewBuffer(200)
		body.Bytes = append(body.Bytes, `{"question":"What does this do?","history":"[]","api_key":"agent"}`...)
		resp, err := u.Send(ctx, stop, Request{Method: http.MethodPost, Path: "/stream", Header: header, Body: body})
		if err != nil {
			b.Fatal(err)
		}
		if err := Copy(ctx, stop, resp.Body, time.Minute, SinkFunc(sink)); err != nil {
			b.Fatal(err)
		}
		resp.Body.Close()
		stop(nil)
	}
	if received != 58*b.N {
		b.Errorf("received %d bytes, want %d", received, 58*b.N)
	}
}
