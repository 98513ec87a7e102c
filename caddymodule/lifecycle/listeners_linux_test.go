package lifecycle

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// listenShared opens a socket as Caddy does.
func listenShared(t *testing.T, address string) (*net.TCPListener, syscall.RawConn) {
	t.Helper()
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		return errors.Join(c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) }), err)
	}}
	listener, err := config.Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	socket, err := listener.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	return listener.(*net.TCPListener), socket
}

// accepted counts the connections that a listener accepts.
func accepted(l net.Listener) func() int {
	var mu sync.Mutex
	n := 0
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
			mu.Lock()
			n++
			mu.Unlock()
		}
	}()
	return func() int { mu.Lock(); defer mu.Unlock(); return n }
}

func connect(t *testing.T, address string, n int) {
	t.Helper()
	for range n {
		c, err := net.DialTimeout("tcp", address, 20*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
}

// New connections are steered to the newest socket, and again to all.
func TestSteer(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		older, socket := listenShared(t, address)
		address = older.Addr().String()
		newer, _ := listenShared(t, address)
		first, second := accepted(older), accepted(newer)
		if err := steer(socket, 1); err != nil {
			t.Fatal(err)
		}
		connect(t, address, 50)
		waitFor(t, "the newer socket has accepted all", func() bool { return second() == 50 })
		if first() != 0 {
			t.Errorf("the older socket accepts %d connections", first())
		}
		if err := steer(socket, noSteering); err != nil {
			t.Fatal(err)
		}
		connect(t, address, 50)
		waitFor(t, "both have accepted all", func() bool { return first()+second() == 100 })
		if first() == 0 || second() == 50 {
			t.Errorf("one socket gets all: %d and %d", first(), second())
		}
	}
}

// A socket that rejects handshakes accepts the established connections, and clients reach the other one with their next attempt.
func TestRejectHandshakes(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		older, socket := listenShared(t, address)
		address = older.Addr().String()
		connect(t, address, 3)
		if n := pendingConns(socket); n != 3 {
			t.Errorf("%d connections are pending, want 3", n)
		}
		if err := rejectHandshakes(socket); err != nil {
			t.Fatal(err)
		}
		if c, err := net.DialTimeout("tcp", address, 200*time.Millisecond); err == nil {
			c.Close()
			t.Error("a client has connected")
		}
		first := accepted(older)
		waitFor(t, "the established ones are accepted", func() bool { return first() == 3 && pendingConns(socket) == 0 })
		newer, _ := listenShared(t, address)
		second := accepted(newer)
		time.AfterFunc(100*time.Millisecond, func() { older.Close() })
		connect(t, address, 20)
		waitFor(t, "the newer socket has accepted all", func() bool { return second() == 20 })
		if first() != 3 {
			t.Errorf("the older socket has accepted %d, want 3", first())
		}
	}
}
