package commands

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// stream is an open stream of a client.
type stream struct {
	net.Conn
	lines *bufio.Scanner
}

// openStream begins a stream that pauses for ten minutes.
func openStream(t *testing.T, dial func(context.Context) (net.Conn, error)) *stream {
	t.Helper()
	conn, err := dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	body := fmt.Sprintf(`{"question":"[[gap=600]]","history":"[]","api_key":%q}`, gateToken)
	if _, err := fmt.Fprintf(conn, "POST /stream HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		len(body), body); err != nil {
		t.Fatal(err)
	}
	s := &stream{conn, bufio.NewScanner(conn)}
	if !s.readUntil(`"answer"`) {
		t.Fatalf("the stream does not begin: %v", s.lines.Err())
	}
	return s
}

func (s *stream) readUntil(text string) bool {
	for s.lines.Scan() {
		if strings.Contains(s.lines.Text(), text) {
			return true
		}
	}
	return false
}

// isOpen reports whether a stream has not ended. The scanner cannot be used afterwards.
func (s *stream) isOpen() bool {
	piece := make([]byte, 4096)
	for {
		if err := s.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
			return false
		}
		if _, err := s.Read(piece); err != nil { // keepalives are data
			return errors.Is(err, os.ErrDeadlineExceeded)
		}
	}
}

// handOver describes how the next process gets the socket.
type handOver struct {
	bind, options string
	inherited     *os.File // nil: none
}

func (h *handOver) start(b *testbed, name, port string) *process {
	b.t.Helper()
	cmd := b.command(b.t.Context(), "run", "--adapter", "caddyfile", "--config",
		b.caddyfile(name, "unix/"+b.dir+"/"+name+".sock", "http://127.0.0.1:"+port, h.bind, "shutdown_grace 2s\n"+h.options))
	if h.inherited != nil {
		cmd.ExtraFiles = []*os.File{h.inherited}
	}
	return b.start(cmd)
}

// While one process exits, the next one serves all new connections. A stream continues for the grace period, then ends with the error event.
func TestHandOver(t *testing.T) {
	t.Run("inherited socket", func(t *testing.T) {
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		socket, err := listener.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		listener.Close()
		defer socket.Close()
		_, port, _ := net.SplitHostPort(listener.Addr().String())
		h := &handOver{bind: "bind fd/3", inherited: socket}
		b := newTestbed(t)
		load, second := testHandOver(b, h, port)

		// The socket outlives all processes, so clients wait for the next one.
		terminate(t, second)
		if err := <-second.exited; err != nil {
			t.Errorf("%v\n%s", err, second.log)
		}
		h.start(b, "third", port)
		load.waitCount(t, "third", 0)
		load.stop()
		load.checkNoFailures(t)
	})
	t.Run("shared port", func(t *testing.T) {
		b := newTestbed(t)
		load, _ := testHandOver(b, &handOver{bind: "bind 127.0.0.1", options: "shared_port"}, b.port())
		load.stop()
		load.checkNoFailures(t)
	})
}

func testHandOver(b *testbed, h *handOver, port string) (load *traffic, second *process) {
	t := b.t
	t.Helper()
	dial := dialer("tcp", "127.0.0.1:"+port)
	first := h.start(b, "first", port)
	open := openStream(t, dial)
	load = startTraffic(t, 4, dial)
	load.waitCount(t, "first", 10)
	second = h.start(b, "second", port)
	load.waitCount(t, "second", 10)
	begun := time.Now()
	terminate(t, first)
	if !open.readUntil(`"code":"shutting_down"`) {
		t.Errorf("the stream ends without shutting_down: %v", open.lines.Err())
	}
	if took := time.Since(begun); took < 2*time.Second {
		t.Errorf("the stream ends after %v, before the grace period", took)
	}
	if err := <-first.exited; err != nil {
		t.Errorf("%v\n%s", err, first.log)
	}
	load.waitCount(t, "second", load.count("second")+10)
	return load, second
}

func terminate(t *testing.T, p *process) {
	t.Helper()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

func (l *traffic) checkNoFailures(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	t.Logf("responses: %v, failures: %d, slowest response: %v", l.served, len(l.failed), l.slowest.Round(time.Millisecond))
	if len(l.failed) > 0 {
		t.Errorf("%d requests fail, the first: %v; responses: %v", len(l.failed), l.failed[0], l.served)
	}
}

// Reloads cut no stream and lose no connection. bench counts the same with more of everything, and compares it with plain Caddy.
func TestReloadsLoseNothing(t *testing.T) {
	b := newTestbed(t)
	port, admin := b.port(), "unix/"+b.dir+"/admin.sock"
	config := b.caddyfile("gate", admin, "http://127.0.0.1:"+port, "", "")
	process := b.start(b.command(t.Context(), "run", "--config", config, "--adapter", "caddyfile"))
	dial := dialer("tcp", "127.0.0.1:"+port)
	streams := make([]*stream, 10)
	for i := range streams {
		streams[i] = openStream(t, dial)
	}
	load := startTraffic(t, 4, dial)
	for range 10 {
		load.waitCount(t, "gate", load.count("gate")+5)
		out, err := b.command(t.Context(), "reload", "--config", config, "--adapter", "caddyfile", "--address", admin, "--force").CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	load.waitCount(t, "gate", load.count("gate")+5)
	load.stop()
	load.checkNoFailures(t)
	for i, s := range streams {
		if !s.isOpen() {
			t.Errorf("stream %d was cut\n%s", i, process.log)
		}
	}
}
