package main

import (
	"net"
	"net/http/httptest"
	"testing"
	"time"
)

// The traffic counts connections that end before and after the first byte of a response.
func TestTrafficCounts(t *testing.T) {
	server := httptest.NewServer(newStub())
	defer server.Close()
	for name, c := range map[string]struct {
		response string // "": of the stub
		want     func(trafficCounts) bool
	}{
		"complete":    {"", func(c trafficCounts) bool { return c.Sent > 0 && c.lost() == 0 && c.Cut == 0 }},
		"no response": {"-", func(c trafficCounts) bool { return c.Sent > 0 && c.NoResponse == c.Sent }},
		"cut":         {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", func(c trafficCounts) bool { return c.Sent > 0 && c.Cut == c.Sent }},
	} {
		t.Run(name, func(t *testing.T) {
			address := server.Listener.Addr().String()
			if c.response != "" {
				address = respondAndClose(t, c.response)
			}
			load := startTraffic(t.Context(), &proxy{mode: plain, address: address}, 2)
			for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
				load.mu.Lock()
				fresh, reused := load.fresh, load.reused
				load.mu.Unlock()
				if fresh.Sent > 2 && reused.Sent > 2 {
					break
				}
				if time.Now().After(deadline) {
					t.Fatal("no requests")
				}
			}
			if err := load.stop(); err != nil || !c.want(load.fresh) || !c.want(load.reused) {
				t.Errorf("new %+v, reused %+v, %v", load.fresh, load.reused, err)
			}
		})
	}
}

// respondAndClose starts a server that reads a request, writes a response unless it is "-", and closes the connection.
func respondAndClose(t *testing.T, response string) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 4096))
			if response != "-" {
				_, _ = conn.Write([]byte(response))
			}
			conn.Close()
		}
	}()
	return listener.Addr().String()
}

func TestReloadReportChecks(t *testing.T) {
	good := func() *reloadReport {
		return &reloadReport{Modes: map[proxyMode]*reloadFigures{plain: {New: trafficCounts{NoResponse: 3}}, builtin: {}}}
	}
	if err := good().check(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*reloadFigures){
		"a cut stream":      func(f *reloadFigures) { f.CutStreams = 1 },
		"a cut response":    func(f *reloadFigures) { f.Reused.Cut = 1 },
		"more lost than it": func(f *reloadFigures) { f.New.Refused = 4 },
	} {
		r := good()
		spoil(r.Modes[builtin])
		if r.check() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
