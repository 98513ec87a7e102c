package lifecycle

import (
	"crypto/tls"
	"net"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"
)

type wrappedConn struct{ net.Conn }

type rawConn struct{ inner net.Conn }

func (c rawConn) Raw() net.Conn { return c.inner }

type proxyConn struct {
	net.Listener // no connection is embedded
	rawConn
	hidden
}

type hidden interface {
	Read([]byte) (int, error)
	Write([]byte) (int, error)
	LocalAddr() net.Addr
	RemoteAddr() net.Addr
	SetDeadline(time.Time) error
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

func (c proxyConn) Close() error { return c.inner.Close() }

// connectedPair returns both ends of a connection.
func connectedPair(t *testing.T, network, address string) (server, client net.Conn) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err = (&net.Dialer{}).DialContext(t.Context(), network, listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if server, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return server, client
}

// The disconnect of a client that has sent unread data is detected through all wrappers, and nothing is read. A connected client is
// never reported as disconnected.
func TestDisconnectDetected(t *testing.T) {
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "s")} {
		for name, wrap := range map[string]func(net.Conn) net.Conn{
			"plain":    func(c net.Conn) net.Conn { return c },
			"TLS":      func(c net.Conn) net.Conn { return tls.Server(c, &tls.Config{MinVersion: tls.VersionTLS12}) },
			"embedded": func(c net.Conn) net.Conn { return &wrappedConn{wrappedConn{c}} },
			"PROXY":    func(c net.Conn) net.Conn { return proxyConn{rawConn: rawConn{c}, hidden: c} },
			"TLS over embedded": func(c net.Conn) net.Conn {
				return wrappedConn{tls.Server(wrappedConn{c}, &tls.Config{MinVersion: tls.VersionTLS12})}
			},
		} {
			t.Run(network+" "+name, func(t *testing.T) {
				server, client := connectedPair(t, network, address)
				c := newClientConn(wrap(server))
				if c.socket == nil || c.tcp != (network == "tcp") {
					t.Fatalf("the socket is not found, or of another kind: %+v", c)
				}
				c.limitUnsent()
				if c.disconnected() {
					t.Error("an idle client is reported as disconnected")
				}
				if _, err := client.Write([]byte("GET /")); err != nil {
					t.Fatal(err)
				}
				if c.disconnected() {
					t.Error("a client with pipelined data is reported as disconnected")
				}
				client.Close()
				waitFor(t, "the disconnect is detected", c.disconnected)
				if b := make([]byte, 10); true {
					if n, err := server.Read(b); err != nil || string(b[:n]) != "GET /" {
						t.Errorf("data was read: %q, %v", b[:n], err)
					}
				}
			})
		}
	}
}

func TestConnectionResetDetected(t *testing.T) {
	server, client := connectedPair(t, "tcp", "127.0.0.1:0")
	c := newClientConn(server)
	if err := client.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	client.Close()
	waitFor(t, "the reset is detected", c.disconnected)
}

func TestConnectionWithoutSocket(t *testing.T) {
	one, other := net.Pipe()
	defer one.Close()
	defer other.Close()
	for _, c := range []net.Conn{one, wrappedConn{}, &wrappedConn{}, proxyConn{}, (*wrappedConn)(nil)} {
		client := newClientConn(c)
		client.limitUnsent()
		if client.disconnected() {
			t.Errorf("%T is reported as disconnected", c)
		}
	}
	server, _ := connectedPair(t, "tcp", "127.0.0.1:0")
	c := newClientConn(server)
	server.Close()
	c.limitUnsent()
	if c.disconnected() {
		t.Error("a connection that the server has closed is reported as disconnected")
	}
}

func TestClientConnSharedByHandlers(t *testing.T) {
	server, _ := connectedPair(t, "tcp", "127.0.0.1:0")
	r := httptest.NewRequest("GET", "/", nil)
	ctx := withClientConn(r.Context(), server)
	if first := clientConnOf(ctx); first == nil || clientConnOf(withClientConn(ctx, server)) != first {
		t.Error("a second handler of the server has another connection")
	}
	if clientConnOf(r.Context()) != nil {
		t.Error("the context of a server without connections contains one")
	}
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting until %s", what)
		}
	}
}
